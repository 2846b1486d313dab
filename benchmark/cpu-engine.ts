/**
 * The estimator against an engine that any machine can run: `npx tsx --tsconfig benchmark/tsconfig.json benchmark/cpu-engine.ts FOLDER [requests]`.
 *
 * One vLLM engine on one core of the CPU serves a Llama of 185 million random weights. Requests come at random at each rate, 150 of them if no number is
 * given. Before each such run and after the last the engine is measured unloaded, prompt by prompt and step by step; the coefficients are fitted to that,
 * and what each request of the runs met is told beside its prediction. What was measured is written to the folder, with the engine's log, a file a run,
 * as the files of `calibrate` are. vLLM is installed as CONTRIBUTING.md says for `test:engines`. Nothing else should run meanwhile.
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
/** An engine that just answered is quicker than one that waited for its request. */
const MEAN_PAUSE_SECONDS = 0.3;
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

type Unloaded = Pick<Measurements, 'prompts' | 'steps'>;

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

/** A prompt of each length and a batch of each size for each context, in any order and with pauses: a machine drifts, and is not to be taken for a length. */
async function measureUnloaded(client: Client): Promise<Unloaded> {
  const prompts: UnloadedPrompt[] = [];
  const steps: DecodeStep[] = [];
  const batches = CONTEXT_TOKENS.flatMap((inputTokens) => BATCHES.map((batch) => ({ inputTokens, batch })))
    .filter(({ inputTokens, batch }) => batch * inputTokens <= MAX_BATCH_TOKENS);
  const measurements = [
    ...UNLOADED_INPUT_TOKENS.map((inputTokens) => async () => {
      const { tokenSeconds: [ttftSeconds] } = await client.ask(client.prompt(inputTokens), 1);
      prompts.push({ inputTokens, ttftSeconds });
    }),
    ...batches.map(({ inputTokens, batch }) => async () => {
      const stepSeconds = await measureSteps(client, inputTokens, batch);
      if (stepSeconds !== undefined) {
        steps.push({ sequences: batch, contextTokens: inputTokens + DECODE_TOKENS / 2, stepSeconds });
      }
    }),
  ];
  while (measurements.length > 0) {
    await pause(client.gapSeconds(1 / MEAN_PAUSE_SECONDS));
    const next = client.pick(measurements);
    measurements.splice(measurements.indexOf(next), 1);
    await next();
  }
  return { prompts, steps };
}

/** Mean time of steps while all of a batch are being answered, in seconds; undefined if no step had all. */
async function measureSteps(client: Client, inputTokens: number, batch: number): Promise<number | undefined> {
  const answers = await Promise.all(Array.from({ length: batch }, async () => client.ask(client.prompt(inputTokens), DECODE_TOKENS)));
  const times = answers.map(({ sentMillis, tokenSeconds }) => tokenSeconds.map((seconds) => sentMillis / 1000 + seconds));
  const [begin, end] = [Math.max(...times.map((of) => of[0])), Math.min(...times.map((of) => of.at(-1)!))];
  const gaps = times.flatMap((of) => of.slice(1).map((to, i) => ({ from: of[i], to })))
    .filter(({ from, to }) => from >= begin && to <= end + 1e-3);
  return gaps.length === 0 ? undefined : mean(gaps.map(({ from, to }) => to - from));
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
    await pause(due);
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

async function pause(seconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
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
    await client.ask(client.prompt(64), 2);
    const unloaded = [await measureUnloaded(client)];
    const runs: { readonly ratePerSecond: number; readonly log: LoggedRequest[] }[] = [];
    for (const ratePerSecond of RATES_PER_SECOND) {
      const log = await measureRun(client, ratePerSecond, Number(requests));
      write(`poisson-${ratePerSecond}.jsonl`, log);
      runs.push({ ratePerSecond, log });
      unloaded.push(await measureUnloaded(client));
    }
    const [prompts, steps] = [unloaded.flatMap((pass) => pass.prompts), unloaded.flatMap((pass) => pass.steps)];
    write('unloaded.jsonl', [...prompts, ...steps]);
    const alone = new MeasuredConfiguration(SMALL_LLAMA_ON_A_CORE, { ...NOTHING, prompts, steps });
    const { coefficients } = calibrate(SMALL_LLAMA_ON_A_CORE.start, [alone]);
    write('coefficients.json', [coefficients]);
    console.log('| run | times | metric | measured mean ms | predicted mean ms | off by | MAPE | median | bias |');
    console.log('|---|---|---|---|---|---|---|---|---|');
    printScores('unloaded, which was fitted to', scored(alone.compare(coefficients)));
    for (const { ratePerSecond, log } of runs) {
      const run = new MeasuredConfiguration(SMALL_LLAMA_ON_A_CORE, { ...NOTHING, logs: [log] });
      printScores(`${ratePerSecond} requests/s`, scored(run.compare(coefficients)));
    }
  } finally {
    await client.close();
    engine.kill();
    rmSync(own, { recursive: true });
  }
}

void main();
