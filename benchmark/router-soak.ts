/**
 * What the router holds on to under a steady load: `npx tsx --tsconfig benchmark/tsconfig.json benchmark/router-soak.ts [minutes]`.
 *
 * Two hundred requests a second of every operation, whole and streamed, over a prefill and a decode engine, and every tenth caller leaves before its answer is whole.
 * Every half minute the heap is told after its garbage was collected: flat is as it should be.
 */
import { performance } from 'node:perf_hooks';
import { Pool } from 'undici';
import { FuzzEngine } from '../test/router/runtime/fuzz/fuzz-engine';
import { Random } from '../test/router/runtime/fuzz/random';
import { validRequest } from '../test/router/runtime/fuzz/requests';
import { RouterProcess } from '../test/router/runtime/fuzz/router-process';
import { configOf } from '../test/router/runtime/harness';

const REQUESTS_PER_SECOND = 200;
const TICK_MILLIS = 50;
const REPORT_SECONDS = 30;

async function main(): Promise<void> {
  const [minutes = 10] = process.argv.slice(2).map(Number);
  const engine = await FuzzEngine.start();
  const router = await RouterProcess.start(configOf([
    { name: 'decode', role: 'decode', protocol: 'openai', url: engine.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
    { name: 'prefill', role: 'prefill', protocol: 'openai', url: engine.url, kvConnector: 'NixlConnector' },
  ], { routing: { minPromptTokens: 100 } }), 256, () => {});
  const pool = new Pool(`http://127.0.0.1:${router.port}`, { connections: 128 });
  const answers: { [outcome: string]: number } = {};
  let index = 0;
  const ask = async () => {
    const random = new Random(1, index++);
    const { path, headers, body } = validRequest(random);
    const controller = new AbortController();
    if (random.chance(0.1)) {
      setTimeout(() => controller.abort(), random.below(10));
    }
    const outcome = await pool.request({ method: 'POST', path, headers, body, signal: controller.signal }).then(async (response) => {
      await response.body.dump();
      return String(response.statusCode);
    }).catch(() => (controller.signal.aborted ? 'left' : 'failed'));
    answers[outcome] = (answers[outcome] ?? 0) + 1;
  };
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  console.log('| seconds | requests | heap MB | resident MB | sockets | answers |');
  console.log('|---|---|---|---|---|---|');
  for (let reported = 0; seconds() < minutes * 60 && router.end === undefined;) {
    for (; index < seconds() * REQUESTS_PER_SECOND;) {
      void ask();
    }
    if (seconds() - reported >= REPORT_SECONDS) {
      reported = seconds();
      const { heapBytes, rssBytes, resources } = await router.vitals();
      const megabytes = (bytes: number) => (bytes / 1024 / 1024).toFixed(1);
      console.log(`| ${[reported.toFixed(0), index, megabytes(heapBytes), megabytes(rssBytes), resources.TCPSocketWrap ?? 0, JSON.stringify(answers)].join(' | ')} |`);
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MILLIS));
  }
  if (router.end !== undefined) {
    console.log(router.end);
    process.exitCode = 1;
  }
  await pool.destroy();
  await router.stop();
  await engine.stop();
}

void main();
