/**
 * What the router adds to a request, beside others: `npx tsx --tsconfig benchmark/tsconfig.json benchmark/router.ts [seconds] [Python environment...]`.
 *
 * An engine that costs next to nothing answers at once; the same client asks it through each gateway and without one. The gateway has the first core, client and
 * engine share the second, so no figure is above what those two can do together: the row of the engine alone. Added is the difference to the engine alone at the same
 * rate of an open loop, the highest of some that is held: of the medians of some short rounds with and without the gateway in turns, as client and engine, which
 * collect garbage too, and whatever else the machine does have their part in the slowest of every hundred. In brackets is what a second of a core's time was enough
 * for, which a machine that has other things to do distorts less. LiteLLM, sglang-router and smg are taken from the environments that are named (`python3 -m venv a &&
 * a/bin/pip install 'litellm[proxy]' sglang-router smg`). The router is the bundle in `assets/`: build it first, `node projenrc/bundle.mjs`.
 */
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { Gateway, KEY, ours, peers, RunningGateway, start } from './router/gateways';
import { Ask, closedLoop, EVENTS, EVENTS_A_WRITE, openLoop, Outcome, post } from './router/load';

const RATES = [5000, 2000, 1000, 500, 200, 100, 50];
const PROMPT_BYTES = 1_000;
const LONG_PROMPT_BYTES = 220_000;
const WARM_UP_SECONDS = 10;
/** Rounds of an open loop, and how long each is: an odd number, so that one is the median. */
const ROUNDS = 5;
const ROUND_SECONDS = 2;

/** An API, and a gateway that has it. */
interface Way {
  readonly gateway: Gateway;
  readonly api: string;
  readonly ask: (promptBytes: number, stream: boolean) => Buffer;
}

const openAi: Way['ask'] = (promptBytes, stream) =>
  post('/v1/chat/completions', KEY, { model: 'm', stream, messages: [{ role: 'user', content: 'word '.repeat(promptBytes / 5) }] });
const converse: Way['ask'] = (promptBytes, stream) =>
  post(`/model/m/converse${stream ? '-stream' : ''}`, KEY, { messages: [{ role: 'user', content: [{ text: 'word '.repeat(promptBytes / 5) }] }] });

const single = ours('this router', (url) => [{ name: 'engine', role: 'aggregated', protocol: 'openai', url, maxInFlight: 1024 }]);
// whatever is asked is handed off.
const pair = ours('this router', (url) => [
  { name: 'decode', role: 'decode', protocol: 'openai', url, kvConnector: 'NixlConnector', prefill: 'prefill', maxInFlight: 1024 },
  { name: 'prefill', role: 'prefill', protocol: 'openai', url, kvConnector: 'NixlConnector', maxInFlight: 1024 },
], { minPromptTokens: 0 });

async function main(): Promise<void> {
  const [seconds = 5] = process.argv.slice(2, 3).map(Number);
  execFileSync('taskset', ['-cp', '1', String(process.pid)]);
  // inherits the core.
  const engine = fork(join(__dirname, 'router', 'engine.ts'));
  const [enginePort] = await once(engine, 'message') as [number];
  const others = peers(process.argv.slice(3));
  const missing = others.filter(({ command }) => command === undefined).map(({ name }) => name);
  const ways: Way[] = [
    { gateway: single, api: 'OpenAI', ask: openAi },
    { gateway: single, api: 'Converse', ask: converse },
    { gateway: pair, api: 'OpenAI, handed off', ask: openAi },
    { gateway: pair, api: 'Converse, handed off', ask: converse },
    ...others.filter(({ command }) => command !== undefined).map((gateway) => ({ gateway, api: 'OpenAI', ask: openAi })),
  ];
  console.log(`Load of the machine before: ${loadavg()[0].toFixed(1)}. ${missing.length === 0 ? '' : `Not installed: ${missing.join(', ')}. `}`
    + `Prompts of ${PROMPT_BYTES} bytes unless told; streams of ${EVENTS} tokens, ${EVENTS_A_WRITE} in a write of the engine's.\n`);
  console.log('| gateway | API | req/s, open loop | added p50 ms | added p99 ms | most req/s | most req/s, 220 KB | most tokens/s, streamed |');
  console.log('|---|---|---|---|---|---|---|---|');
  try {
    await measure('none', { api: 'OpenAI', ask: openAi }, enginePort, enginePort, seconds);
    for (const way of ways) {
      try {
        const gateway = await start(way.gateway, `http://127.0.0.1:${enginePort}`);
        await measure(way.gateway.name, way, gateway.port, enginePort, seconds, gateway).finally(async () => gateway.stop());
      } catch (e) {
        console.log(`| ${way.gateway.name} | ${way.api} | ${(e as Error).message.replaceAll('\n', ' ')} | | | | | |`);
      }
    }
  } finally {
    engine.kill();
  }
}

async function measure(
  name: string, { api, ask }: Pick<Way, 'api' | 'ask'>, port: number, enginePort: number, seconds: number, gateway?: RunningGateway,
): Promise<void> {
  const short = { port, bytes: ask(PROMPT_BYTES, false) };
  // what runs for the first time is slow, and some load most of their code then.
  await closedLoop(short, WARM_UP_SECONDS);
  const most = async (promptBytes: number, stream: boolean) => {
    await gateway?.idle();
    const before = gateway?.cpuSeconds();
    const { requests, perSecond } = await closedLoop({ port, bytes: ask(promptBytes, stream) }, seconds);
    const units = stream ? EVENTS : 1;
    const ofACore = gateway === undefined ? '' : ` (${Math.round(units * requests / (gateway.cpuSeconds() - before!))})`;
    return `${Math.round(units * perSecond)}${ofACore}`;
  };
  const figures = [await most(PROMPT_BYTES, false), await most(LONG_PROMPT_BYTES, false), await most(PROMPT_BYTES, true)];
  let added: string[] = ['none is held', '', ''];
  // one that cannot hold a rate would still be busy with what it was asked when it is asked anew.
  for (const rate of RATES.filter((one) => one < parseFloat(figures[0]))) {
    await gateway?.idle();
    const rounds = await inTurns(short, { port: enginePort, bytes: openAi(PROMPT_BYTES, false) }, rate);
    if (rounds !== undefined) {
      const addedMillis = (of: 'p50Millis' | 'p99Millis') => median(rounds.map(([routed]) => routed[of])) - median(rounds.map(([, direct]) => direct[of]));
      added = [String(rate), addedMillis('p50Millis').toFixed(2), addedMillis('p99Millis').toFixed(2)];
      break;
    }
  }
  console.log(`| ${[name, api, ...added, ...figures].join(' | ')} |`);
}

/** Rounds of open loops, the one through the gateway and the one without it in turns; undefined as soon as the rate is not held. */
async function inTurns(routed: Ask, direct: Ask, rate: number): Promise<[Outcome, Outcome][] | undefined> {
  const rounds: [Outcome, Outcome][] = [];
  while (rounds.length < ROUNDS) {
    const one = await openLoop(routed, rate, ROUND_SECONDS);
    const other = one && await openLoop(direct, rate, ROUND_SECONDS);
    if (one === undefined || other === undefined) {
      return undefined;
    }
    rounds.push([one, other]);
  }
  return rounds;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

void main();
