/**
 * What the router adds to a request: `npx tsx --tsconfig test/tsconfig.json benchmark/router.ts`.
 *
 * One client, one engine that answers at once, with and without the router's bundle (assets/router/index.js) between them.
 * All three share the machine's cores, so rates are lower bounds and the difference of the medians is what to read.
 */
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { Pool } from 'undici';

const KEY = 'benchmark';
const TOKENS = 100;
const EVENT = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: ' token' } }] })}\n\n`;
const WHOLE = JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content: ' token'.repeat(TOKENS) } }] });

async function main(): Promise<void> {
  const engine = createServer((request, response) => {
    let streamed = false;
    request.on('data', (chunk: Buffer) => {
      streamed = streamed || chunk.includes('"stream":true');
    });
    request.on('end', () => {
      if (!streamed) {
        response.writeHead(200, { 'content-type': 'application/json' }).end(WHOLE);
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let i = 0; i < TOKENS; i++) {
        response.write(EVENT);
      }
      response.end('data: [DONE]\n\n');
    });
  });
  await new Promise<void>((resolve) => engine.listen(0, '127.0.0.1', resolve));
  const engineUrl = `http://127.0.0.1:${(engine.address() as AddressInfo).port}`;
  const router = spawn(process.execPath, [join(__dirname, '..', 'assets', 'router', 'index.js')], {
    env: {
      KEY,
      ROUTER_CONFIG: JSON.stringify({
        schema: 'cdk-disaggregated-inference/router-config/v1',
        model: { id: 'm', servedNames: ['m'] },
        port: 0,
        targets: [{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engineUrl }],
        auth: { apiKeysEnv: 'KEY' },
        lameduckSeconds: 0,
      }),
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    router.once('exit', () => reject(new Error('the router did not start: bundle it first')));
    createInterface({ input: router.stdout }).on('line', (line) => {
      const { msg, port: told } = JSON.parse(line);
      if (msg === 'listening') {
        resolve(told);
      }
    });
  });
  const urls = { direct: engineUrl, routed: `http://127.0.0.1:${port}` };
  const rows: object[] = [];
  const loads = [['whole', false, 1_000, 4000], ['whole', false, 220_000, 800], ['stream of 100 events', true, 1_000, 2000]] as const;
  for (const [kind, stream, bytes, requests] of loads) {
    for (const concurrency of [1, 64]) {
      const direct = await load(urls.direct, stream, bytes, concurrency, requests);
      const routed = await load(urls.routed, stream, bytes, concurrency, requests);
      rows.push({
        'answer': kind,
        'prompt bytes': bytes,
        'in flight': concurrency,
        'direct p50 ms': direct.p50,
        'routed p50 ms': routed.p50,
        'routed p99 ms': routed.p99,
        'routed req/s': routed.perSecond,
      });
    }
  }
  console.table(rows);
  router.kill('SIGTERM');
  engine.closeAllConnections();
  engine.close();
}

async function load(url: string, stream: boolean, bytes: number, concurrency: number, requests: number) {
  const pool = new Pool(url, { connections: concurrency });
  const body = JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content: 'x'.repeat(bytes) }] });
  const ask = async () => {
    const start = performance.now();
    const response = await pool.request({
      path: '/v1/chat/completions', method: 'POST', headers: { 'authorization': `Bearer ${KEY}`, 'content-type': 'application/json' }, body,
    });
    const text = await response.body.text();
    if (response.statusCode !== 200 || (stream && !text.endsWith('data: [DONE]\n\n'))) {
      throw new Error(`a request was lost: ${response.statusCode}`);
    }
    return performance.now() - start;
  };
  for (let i = 0; i < 200; i++) {
    await ask();
  }
  const times: number[] = [];
  const start = performance.now();
  await Promise.all(Array.from({ length: concurrency }, async () => {
    while (times.length < requests) {
      times.push(await ask());
    }
  }));
  const seconds = (performance.now() - start) / 1000;
  await pool.close();
  times.sort((a, b) => a - b);
  const at = (share: number) => Number(times[Math.floor(times.length * share)].toFixed(2));
  return { p50: at(0.5), p99: at(0.99), perSecond: Math.round(times.length / seconds) };
}

void main();
