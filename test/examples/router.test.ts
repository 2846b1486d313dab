import { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import schema from '../../src/router/runtime/router-config.v1.schema.json';
import { CliProcess } from '../cli/cli-process';
import { VllmPair } from '../router/runtime/handoff/vllm-pair';

const EXAMPLE = join(__dirname, '../../examples/router/router.json');

let pair: VllmPair;
let serving: ChildProcess;
afterEach(async () => {
  serving.kill('SIGKILL');
  await pair.stop();
});

test('the router of the example serves with a prefill and a decode engine, for whoever has a key', async () => {
  pair = await VllmPair.start();
  const example = JSON.parse(readFileSync(EXAMPLE, 'utf8'));
  expect(JSON.parse(readFileSync(join(EXAMPLE, '..', example.$schema), 'utf8')).$id).toBe(schema.$id);
  // as it is, but for ports that are free here.
  const at: { [name: string]: string } = { prefill: pair.prefill.url, decode: pair.decode.url };
  const targets = example.targets.map((target: any) => ({ ...target, url: at[target.name] }));
  const file = join(mkdtempSync(join(tmpdir(), 'example-')), 'router.json');
  writeFileSync(file, JSON.stringify({ ...example, port: 0, targets }));

  serving = new CliProcess().spawn(['serve', '--config', file], { ROUTER_API_KEYS: 'a-key\nanother' });
  const { port } = await new Promise<{ port: number }>((resolve) => createInterface({ input: serving.stdout! }).on('line', (line) => {
    const said = JSON.parse(line);
    if (said.msg === 'listening') {
      resolve(said);
    }
  }));
  const ask = async (key: string, content: string) => fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'authorization': `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'llama-3.3-70b', messages: [{ role: 'user', content }] }),
  });
  const [long, short, stranger] = [await ask('a-key', 'word '.repeat(2000)), await ask('another', 'hi'), await ask('no-key', 'hi')];
  expect([long, short, stranger].map(({ status, headers }) => [status, headers.get('x-router-route')])).toEqual([
    [200, 'disaggregated; reason=long_prompt'], [200, 'aggregated; reason=short_prompt'], [401, null],
  ]);
  const ready = await fetch(`http://127.0.0.1:${port}/readyz`);
  expect([ready.status, await ready.json()]).toEqual([200, {
    status: 'ready', targets: { decode: { endpoints: 1, healthy: 1 }, prefill: { endpoints: 1, healthy: 1 } },
  }]);
}, 60_000);
