/**
 * What it costs to know which engine has read the beginning of a prompt: `npx tsx --tsconfig benchmark/tsconfig.json benchmark/prefix.ts`.
 *
 * The median of 20 rounds, in microseconds of one core, within one process, with no engine asked. All engines know the prompt, which is the most that there is to
 * look up.
 */
import { readPrompt } from '../src/router/runtime/paths/prompt';
import { MAX_BLOCKS, Prompt, ReadPrompts } from '../src/routing';

const ROUNDS = 20;
const CALLS = 500;
const ENGINES = 16;
const PROMPT_BYTES = [1_000, 4_000, 20_000, 220_000];

const rows = PROMPT_BYTES.map((promptBytes) => {
  const body = { model: 'm', messages: [{ role: 'user', content: 'some words '.repeat(promptBytes / 11) }] };
  const asked = { path: '/v1/chat/completions', model: 'm', stream: false, bytes: Buffer.from(JSON.stringify(body)), body };
  const prompt = readPrompt(asked, 1, 'caller');
  const engines = Array.from({ length: ENGINES }, () => knowing(prompt));
  return {
    bytes: promptBytes,
    blocks: prompt.blocks.length,
    hashed: median(() => readPrompt(asked, 1, 'caller')),
    [`looked up in ${ENGINES} engines`]: median(() => engines.forEach((engine) => engine.blocksOf(prompt))),
    remembered: median(() => engines[0].add(prompt)),
  };
});
console.table(rows);

const before = process.memoryUsage().heapUsed;
const full = Array.from({ length: 100 }, (_, i) => filled(i));
console.log(`an engine that has read a lot takes ${Math.round((process.memoryUsage().heapUsed - before) / full.length / 1024)} KiB`);

function knowing(prompt: Prompt): ReadPrompts {
  const engine = new ReadPrompts();
  engine.add(prompt);
  return engine;
}

function filled(seed: number): ReadPrompts {
  const engine = new ReadPrompts();
  for (let i = 0; i < 40; i++) {
    const first = (seed * 40 + i) * MAX_BLOCKS + 1;
    engine.add({ tokens: 1, sharePerBlock: 1, blocks: Int32Array.from({ length: MAX_BLOCKS }, (_, at) => Math.imul(first + at, 0x9e3779b1)) });
  }
  return engine;
}

function median(call: () => unknown): number {
  const times = Array.from({ length: ROUNDS }, () => {
    const start = process.cpuUsage();
    for (let i = 0; i < CALLS; i++) {
      call();
    }
    return process.cpuUsage(start).user / CALLS;
  });
  return Number(times.sort((a, b) => a - b)[ROUNDS / 2].toFixed(2));
}
