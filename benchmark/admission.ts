/**
 * What the queue and the limits add to a request: `npx tsx --tsconfig benchmark/tsconfig.json benchmark/admission.ts`.
 *
 * The median of 20 rounds, within one process, with no engine asked.
 */
import { createServer } from 'node:http';
import { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { parseRouterConfig, ROUTER_CONFIG_SCHEMA } from '../src/router/runtime';
import { Admission } from '../src/router/runtime/admission/admission';
import { FairQueue, Waiting } from '../src/router/runtime/admission/fair-queue';
import { RateLimits } from '../src/router/runtime/admission/rate-limits';
import { Exchange } from '../src/router/runtime/exchange';
import { PathChooser, Routed } from '../src/router/runtime/paths/path-chooser';
import { readPrompt } from '../src/router/runtime/paths/prompt';
import { Engines } from '../src/router/runtime/targets/engines';
import { FailedRequests } from '../src/router/runtime/targets/failed-requests';
import { Target } from '../src/router/runtime/targets/target';
import { RouterMetrics } from '../src/router/runtime/telemetry/metrics';

const ROUNDS = 20;
const CALLS = 20_000;
const NONE = new Set<never>();

async function main(): Promise<void> {
  const engine = createServer((_, response) => response.end());
  await new Promise<void>((resolve) => engine.listen(0, '127.0.0.1', resolve));
  const config = parseRouterConfig(JSON.stringify({
    schema: ROUTER_CONFIG_SCHEMA,
    model: { id: 'm', servedNames: ['m'] },
    targets: [{ name: 'engine', role: 'aggregated', protocol: 'openai', url: `http://127.0.0.1:${(engine.address() as AddressInfo).port}` }],
    auth: 'none',
  }), {});
  const targets = config.targets.map((target) => new Target(target, new Engines(target, undefined)));
  await targets[0].engines.discover();
  const paths = new PathChooser(config, targets, new FailedRequests());
  const asked = { path: '/v1/chat/completions', model: 'm', stream: true, bytes: Buffer.alloc(0), body: {} };
  const prompt = readPrompt(asked, 1000, 'caller');
  const routed: Routed = { asked, prompt, caller: 'caller', text: { bytes: 4000, tokens: 0 }, promptTokens: 1000, isEligible: true, tier: 'default' };
  const limits = new RateLimits({ requestsPerMinute: 1e12, tokensPerMinute: 1e12 });
  const rows: object[] = [];
  const measure = async (what: string, call: () => unknown) => rows.push({ what, microseconds: await median(call) });

  await measure('a path chosen and its slot given back, awaited', async () => Promise.resolve(paths.choose(routed, NONE).by!.endpoint.release()));
  const admission = new Admission(config, paths, targets, new RouterMetrics(undefined));
  // nothing of it is read while nobody waits.
  const exchange = {} as Exchange;
  await measure('the same through the queue, nobody waiting', async () => (await admission.admit(exchange, routed, NONE))!.by!.endpoint.release());
  await measure('limits of a key, on arrival and at the end', () => {
    limits.take('key', 1000, performance.now());
    limits.charge('key', 500, performance.now());
  });
  for (const callers of [1, 1000]) {
    const queue = new FairQueue<Waiting>(config.queue);
    let i = 0;
    const push = () => queue.push({ tier: 'default', caller: String(i++ % callers), promptTokens: 100, bytes: 400, needs: 'slot' });
    Array.from({ length: 999 }, push);
    await measure(`a place taken and a slot given, 999 waiting of ${callers} callers`, () => {
      push();
      queue.take(() => true);
    });
  }
  console.table(rows);
  await targets[0].engines.stop();
  engine.closeAllConnections();
  engine.close();
}

async function median(call: () => unknown): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let i = 0; i < CALLS; i++) {
      await call();
    }
    times.push((performance.now() - start) * 1000 / CALLS);
  }
  return Number(times.sort((a, b) => a - b)[ROUNDS / 2].toFixed(2));
}

void main();
