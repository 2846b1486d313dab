import { Writable } from 'node:stream';
import { pino } from 'pino';
import { Estimate, EstimateOutcome, Estimator } from '../estimator';
import { routingRates } from '../estimator/routing-rates';
import { ModelArchitecture } from '../model';
import { Problem, Problems, ProblemsError } from '../problems';
import { attempt } from './attempt';
import { parseRouterConfig, ROUTER_CONFIG_SCHEMA, RunningRouter, startRouter } from '../router/runtime';
import { EmulatedFleet } from './emulator/emulated-fleet';
import { EngineServer } from './emulator/engine-server';
import { readSpec } from './spec-file';
import { number, time } from './text-table';

/** Options of `emulate`, as commander gives them. */
export interface EmulateOptions {
  readonly set: string[];
  readonly port: string;
}

/** A router over emulated engines. */
export interface Emulation {
  readonly outcome: EstimateOutcome;
  /** Where it listens; undefined if there is no estimate. */
  readonly url?: string;
  /** Stops it. */
  stop(): Promise<void>;
}

/**
 * Starts the router over engines that answer as fast as the estimator says the deployment of a spec file would.
 *
 * Rejects with ProblemsError if the spec or an option is wrong, or the port in use; nothing is left of it then.
 */
export async function emulate(file: string, options: EmulateOptions): Promise<Emulation> {
  const problems: Problem[] = [];
  const port = /^\d+$/.test(options.port) ? Number(options.port) : NaN;
  if (!(port <= 65535)) {
    problems.push({
      rule: 'PortOutOfRange', path: '--port', value: JSON.stringify(options.port), message: 'this is no port', mend: 'give a number from 0 to 65535; 0 takes a free one',
    });
  }
  const asked = attempt(problems, () => readSpec(file, options.set));
  Problems.throwIfAny(problems);
  const outcome = Estimator.estimate(asked!);
  if (outcome.estimate === undefined) {
    return { outcome, stop: async () => {} };
  }
  const { spec } = outcome.estimate;
  const fleet = new EmulatedFleet(spec);
  const engines = await EngineServer.start(fleet);
  let router: RunningRouter;
  try {
    router = await startEmulatedRouter(outcome.estimate, engines.url, port);
  } catch (e) {
    engines.stop();
    throw e instanceof ProblemsError ? new ProblemsError(e.problems.map(asOption)) : e;
  }
  return {
    outcome,
    url: `http://127.0.0.1:${router.port}`,
    stop: async () => {
      await router.drain();
      engines.stop();
    },
  };
}

/** A problem of the router's configuration, where it is one of an option. */
function asOption(problem: Problem): Problem {
  const { rule, path, mend } = problem;
  return path === 'config.port' ? { ...problem, path: '--port', mend: rule === 'PortInUse' ? 'stop what listens there, or give --port 0' : mend } : problem;
}

/** What a newcomer is told to try. */
export function emulationText(estimate: Estimate, url: string): string {
  const { spec, ttftSeconds, tpotSeconds } = estimate;
  const { requestsPerSecond, peakToMeanRatio = 1 } = spec.workload;
  const fleet = [spec.prefill, spec.decode].flatMap((pool) => (pool === undefined ? [] : [`${pool.instances} x ${pool.hardware}`])).join(' prefill + ');
  return `${spec.name ?? spec.model.id} on ${fleet}${spec.prefill === undefined ? '' : ' decode'}, emulated: tokens mean nothing, and come when the estimator says
TTFT p50 ${time(ttftSeconds.p50.value)}, TPOT p50 ${time(tpotSeconds.p50.value)} at ${number(requestsPerSecond * peakToMeanRatio)} requests/s; alone you are served sooner

A Bedrock endpoint listens at ${url}. Point any client of Bedrock's runtime API at it:
  export AWS_ENDPOINT_URL_BEDROCK_RUNTIME=${url} AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_REGION=us-east-2 AWS_DEFAULT_REGION=us-east-2
  aws bedrock-runtime converse --model-id ${spec.model.id} --messages '[{"role":"user","content":[{"text":"Hello"}]}]'
or one of OpenAI's API:
  curl ${url}/v1/chat/completions -d '{"model":"${spec.model.id}","stream":true,"messages":[{"role":"user","content":"Hello"}]}'
Ctrl-C stops it.`;
}

async function startEmulatedRouter({ spec }: Estimate, engineUrl: string, port: number): Promise<RunningRouter> {
  const engine = { protocol: 'openai', url: engineUrl, maxInFlight: 10_000 };
  const targets = spec.prefill === undefined
    ? [{ ...engine, name: 'aggregated', role: 'aggregated' }]
    : [{ ...engine, name: 'prefill', role: 'prefill', kvConnector: 'NixlConnector' }, { ...engine, name: 'decode', role: 'decode', kvConnector: 'NixlConnector', prefill: 'prefill' }];
  // applications may know a model by its name at Hugging Face, which engines go by unless told otherwise.
  const aliases = ModelArchitecture.all().find(({ id }) => id === spec.model.id)?.aliases ?? [];
  const config = {
    schema: ROUTER_CONFIG_SCHEMA,
    model: { id: spec.model.id, servedNames: [spec.model.id, ...aliases] },
    host: '127.0.0.1',
    port,
    targets,
    // the rates are those of one engine, and behind one URL here are all.
    routing: { minPromptTokens: routingRates(spec)?.minPromptTokens },
    auth: 'none',
    priorityCallers: ['*'],
    lameduckSeconds: 0,
    drainSeconds: 1,
  };
  // its log would drown what a newcomer is told.
  const log = pino(new Writable({ write: (_line, _encoding, done) => done() }));
  return startRouter(parseRouterConfig(JSON.stringify(config), {}), {}, log);
}
