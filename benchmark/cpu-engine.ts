/**
 * The estimator against an engine that any machine can run: `npx tsx --tsconfig benchmark/tsconfig.json benchmark/cpu-engine.ts FOLDER [requests]`.
 *
 * One vLLM engine on one core of the CPU serves a Llama of 185 million random weights. It is measured unloaded, prompt by prompt and step by step; the
 * coefficients are fitted to that; then requests come at random at each rate, 150 of them if no number is given, and what each met is told beside its
 * prediction. What was measured is written to the folder, with the engine's log, a file a run, as the files of `calibrate` are. vLLM is installed as
 * CONTRIBUTING.md says for `test:engines`. Nothing else should run meanwhile.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Pool } from 'undici';
import { scored, Scored, SMALL_LLAMA_ON_A_CORE } from './accuracy/replays';
import { calibrate } from '../src/estimator/calibration/calibrate';
import { DecodeStep, LoggedRequest, MeasuredConfiguration, Measurements, UnloadedPrompt } from '../src/estimator/calibration/measurements';
import { mean } from '../src/estimator/calibration/score';
import { Random } from '../src/estimator/simulation/random';
import { Engine, makeModel } from '../test/engines/engine';
import { freePorts } from '../test/ports';

const RATES_PER_SECOND = [0.5, 1.25, 2];
/** Of requests that come at random, each as likely. */
const INPUT_TOKENS = [32, 64, 128, 256, 384, 512];
const OUTPUT_TOKENS = [8, 16, 32, 48];

const UNLOADED_INPUT_TOKENS = [16, 32, 64, 128, 256, 512, 768, 1024, 1536];
const UNLOADED_REPEATS = 4;
const CONTEXT_TOKENS = [64, 512, 1024];
const BATCHES = [1, 2, 4, 8, 16];
/** Prompts of a larger batch would take so long to read that few steps have all of it. */
const MAX_BATCH_TOKENS = 9000;
const DECODE_TOKENS = 40;

const SERVED_NAME = 'llama-185m';
const { sequences, stepTokens } = SMALL_LLAMA_ON_A_CORE.limits;
const ENGINE_ARGS = [
  '--max-model-len', '2048', '--max-num-seqs', String(sequences), '--max-num-batched-tokens', String(stepTokens),
  '--enable-chunked-prefill', '--no-enable-prefix-caching',
];

const NOTHING: Measurements = { prompts: [], steps: [], loops: [], logs: [] };

/** When each token of an answer came, in seconds from when it was asked for. */
interface Answer {
  readonly sentMillis: number;
  readonly tokenSeconds: readonly number[];
}

/** Asks one engine for answers of a given length to prompts of a given length. */
class Client {
  private readonly pool: Pool;
  private readonly random = new Random(1, 0);

  constructor(url: string) {
    this.pool = new Pool(url, { connections: null, headersTimeout: 0, bodyTimeout: 0 });
  }

  /** A prompt that no engine has seen. */
  public prompt(tokens: number): number[] {
    return Array.from({ length: tokens }, () => 300 + Math.floor(3700 * this.random.uniform()));
  }

  /** Whatever is random about a run of requests. */
  public pick<T>(from: readonly T[]): T {
    return from[Math.floor(from.length * this.random.uniform())];
  }

  public gapSeconds(ratePerSecond: number): number {
    return this.random.exponential() / ratePerSecond;
  }

  public async ask(prompt: readonly number[], tokens: number): Promise<Answer> {
    const lengths = { max_tokens: tokens, min_tokens: tokens, ignore_eos: true };
    const body = JSON.stringify({ model: SERVED_NAME, prompt, ...lengths, temperature: 0, stream: true });
    const sentMillis = performance.now();
    const response = await this.pool.request({ method: 'POST', path: '/v1/completions', headers: { 'content-type': 'application/json' }, body });
    const tokenSeconds: number[] = [];
    let text = '';
    for await (const chunk of response.body) {
      const now = (performance.now() - sentMillis) / 1000;
      text += chunk;
      const events = text.split('\n\n');
      text = events.pop()!;
      tokenSeconds.push(...events.filter((event) => event.includes('"text"')).map(() => now));
    }
    if (response.statusCode !== 200 || tokenSeconds.length === 0) {
      throw new Error(`the engine answered ${response.statusCode}: ${text}`);
    }
    return { sentMillis, tokenSeconds };
  }

  public async close(): Promise<void> {
    await this.pool.destroy();
  }
}

/** Times to the first token of an engine with nothing else to do. */
async function measurePrompts(client: Client): Promise<UnloadedPrompt[]> {
  await client.ask(client.prompt(64), 2);
  const prompts: UnloadedPrompt[] = [];
  for (const inputTokens of UNLOADED_INPUT_TOKENS) {
    for (let i = 0; i < UNLOADED_REPEATS; i++) {
      const { tokenSeconds: [ttftSeconds] } = await client.ask(client.prompt(inputTokens), 1);
      prompts.push({ inputTokens, ttftSeconds });
    }
  }
  return prompts;
}

/** Mean times of steps while all of a batch are being answered. */
async function measureSteps(client: Client): Promise<DecodeStep[]> {
  const steps: DecodeStep[] = [];
  for (const inputTokens of CONTEXT_TOKENS) {
    for (const batch of BATCHES.filter((size) => size * inputTokens <= MAX_BATCH_TOKENS)) {
      const answers = await Promise.all(Array.from({ length: batch }, async () => client.ask(client.prompt(inputTokens), DECODE_TOKENS)));
      const times = answers.map(({ sentMillis, tokenSeconds }) => tokenSeconds.map((seconds) => sentMillis / 1000 + seconds));
      const [begin, end] = [Math.max(...times.map((of) => of[0])), Math.min(...times.map((of) => of.at(-1)!))];
      const gaps = times.flatMap((of) => of.slice(1).map((to, i) => ({ from: of[i], to })))
        .filter(({ from, to }) => from >= begin && to <= end + 1e-3);
      if (gaps.length > 0) {
        steps.push({
          sequences: batch, contextTokens: inputTokens + DECODE_TOKENS / 2, stepSeconds: mean(gaps.map(({ from, to }) => to - from)),
        });
      }
    }
  }
  return steps;
}

/** What requests met that came at random. */
async function measureRun(client: Client, ratePerSecond: number, count: number): Promise<LoggedRequest[]> {
  let dueSeconds = 0;
  const requests = Array.from({ length: count }, () => {
    dueSeconds += client.gapSeconds(ratePerSecond);
    return { dueSeconds, prompt: client.prompt(client.pick(INPUT_TOKENS)), outputTokens: client.pick(OUTPUT_TOKENS) };
  });
  const start = performance.now();
  return Promise.all(requests.map(async ({ dueSeconds: due, prompt, outputTokens }): Promise<LoggedRequest> => {
    await new Promise((resolve) => setTimeout(resolve, due * 1000));
    const { sentMillis, tokenSeconds } = await client.ask(prompt, outputTokens);
    return {
      // those that a busy client sends late came late to the engine.
      arrivalSeconds: (sentMillis - start) / 1000,
      inputTokens: prompt.length,
      outputTokens,
      ttftSeconds: tokenSeconds[0],
      endToEndSeconds: tokenSeconds.at(-1),
    };
  }));
}

function printScores(name: string, { meanSeconds, scores }: Scored): void {
  for (const metric of ['ttft', 'tpot'] as const) {
    const { measured, predicted } = meanSeconds[metric];
    const { count, mape, median, bias } = scores[metric];
    const millis = (seconds: number) => (1000 * seconds).toFixed(1);
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
    const off = [predicted / measured - 1, mape, median, bias].map(percent);
    console.log(`| ${[name, count, metric.toUpperCase(), millis(measured), millis(predicted), ...off].join(' | ')} |`);
  }
}

async function main(): Promise<void> {
  const [folder, requests = '150'] = process.argv.slice(2);
  if (folder === undefined) {
    throw new Error('name a folder for the measurements');
  }
  mkdirSync(folder, { recursive: true });
  const write = (file: string, rows: readonly object[]) => writeFileSync(join(folder, file), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const own = mkdtempSync(join(tmpdir(), 'cpu-engine-'));
  const [port] = await freePorts(1);
  const engine = new Engine({ name: 'engine', model: makeModel(own, '185m'), servedName: SERVED_NAME, folder, port, core: 0, args: ENGINE_ARGS });
  const client = new Client(engine.url);
  try {
    await engine.ready();
    const prompts = await measurePrompts(client);
    const steps = await measureSteps(client);
    write('unloaded.jsonl', [...prompts, ...steps]);
    const unloaded = new MeasuredConfiguration(SMALL_LLAMA_ON_A_CORE, { ...NOTHING, prompts, steps });
    const { coefficients } = calibrate(SMALL_LLAMA_ON_A_CORE.start, [unloaded]);
    write('coefficients.json', [coefficients]);
    console.log('| run | times | metric | measured mean ms | predicted mean ms | off by | MAPE | median | bias |');
    console.log('|---|---|---|---|---|---|---|---|---|');
    printScores('unloaded, which was fitted to', scored(unloaded.compare(coefficients)));
    for (const rate of RATES_PER_SECOND) {
      const log = await measureRun(client, rate, Number(requests));
      write(`poisson-${rate}.jsonl`, log);
      const run = new MeasuredConfiguration(SMALL_LLAMA_ON_A_CORE, { ...NOTHING, logs: [log] });
      printScores(`${rate} requests/s`, scored(run.compare(coefficients)));
    }
  } finally {
    await client.close();
    engine.kill();
    rmSync(own, { recursive: true });
  }
}

void main();
