import { closeSync, openSync, writeFileSync } from 'node:fs';
import {
  FailedRequest, InstanceFailure, SimulatedLatency, SimulatedRequest, SimulatedVerdict, Simulation, SimulationObserver, SimulationOutcome, Simulator,
} from '../estimator';
import { STEADY_ERROR_SHARE } from '../estimator/simulation/steadiness';
import { Problem, Problems, ProblemsError } from '../problems';
import { RequestTrace } from '../workload';
import { attempt } from './attempt';
import { loadText } from './estimate-text';
import { MeasuredRun, RunComparison } from './measured-run';
import { readSpecAndTrace } from './spec-file';
import { NO_PROGRESS_BAR, number, progressBar, table, time } from './text-table';
import { checkWritable, writing } from './written-file';

/** Lines are written in pieces of about this many characters. */
const PIECE = 65_536;
/** Shorter runs are over before progress is of use. */
const PROGRESS_FROM = 500_000;

/** Flags by the names that the simulation has for what they give. */
const FLAGS = new Map([['seed', '--seed'], ['requests', '--requests'], ['concurrency', '--concurrency'], ['routing.minPromptTokens', '--route']]);

/** Options of `simulate`, as commander gives them. */
export interface SimulateOptions {
  readonly set: string[];
  readonly seed?: string;
  readonly requests?: string;
  readonly concurrency?: string;
  readonly trace?: string;
  readonly against?: string;
  readonly jsonl?: string;
  readonly fail: string[];
  /** `true` if no length is given. */
  readonly route?: string | true;
}

/** A simulation, or why there is none, and how far it is from a run that was measured, if one is given. */
export interface ComparedSimulation extends SimulationOutcome {
  readonly comparisons?: readonly RunComparison[];
}

/**
 * Simulates the deployment of a spec file.
 *
 * @param progress takes text for a terminal; undefined where there is none.
 */
export function simulate(file: string, options: SimulateOptions, progress: ((text: string) => void) | undefined): ComparedSimulation {
  const problems: Problem[] = [];
  const read = attempt(problems, () => readSpecAndTrace(file, options.set));
  const measured = options.against === undefined ? undefined : attempt(problems, () => MeasuredRun.fromFile(options.against!));
  const isDrawn = options.requests !== undefined || options.concurrency !== undefined;
  const named = options.trace === undefined ? undefined : attempt(problems, () => RequestTrace.fromFile(options.trace!));
  const trace = named ?? measured?.trace ?? (isDrawn ? undefined : read?.trace);
  for (const name of ['requests', 'seed', 'concurrency', 'route'] as const) {
    const text = options[name];
    const least = name === 'requests' || name === 'concurrency' ? 1 : 0;
    if (text !== undefined && text !== true && !(/^\d+$/.test(text) && Number(text) >= least)) {
      problems.push({
        rule: 'SimulationOptionOutOfRange', path: `--${name}`, value: JSON.stringify(text), message: `this is no whole number from ${least} on`, mend: 'give digits alone',
      });
    }
  }
  if (options.against !== undefined && (options.trace ?? options.concurrency) !== undefined) {
    problems.push({
      rule: 'SimulationLoadTwice', path: '--against', message: 'the measured run says when requests come', mend: 'leave --trace and --concurrency out',
    });
  }
  const failures = options.fail.flatMap((text) => attempt(problems, () => readFailure(text)) ?? []);
  const { jsonl } = options;
  if (jsonl !== undefined) {
    attempt(problems, () => checkWritable(jsonl));
  }
  Problems.throwIfAny(problems);
  const lines = jsonl === undefined ? undefined : new Lines(jsonl);
  const given = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  const minPromptTokens = options.route === true ? undefined : given(options.route);
  const routing = options.route === undefined ? undefined : { minPromptTokens };
  const requests = given(options.requests);
  const expected = Math.min(requests ?? Infinity, trace?.requests.length ?? Infinity);
  const watched = progress !== undefined && expected >= PROGRESS_FROM && expected < Infinity;
  const isObserved = lines !== undefined || watched || measured !== undefined;
  const observer = isObserved ? new Watch(lines, watched ? progress : undefined, expected, measured) : undefined;
  try {
    const outcome = Simulator.simulate(read!.spec, {
      seed: given(options.seed), requests, concurrency: given(options.concurrency), trace, observer, failures, routing,
    });
    return measured === undefined || outcome.simulation === undefined ? outcome : { ...outcome, comparisons: measured.comparisons() };
  } catch (error) {
    throw error instanceof ProblemsError
      ? new ProblemsError(error.problems.map((one) => ({ ...one, path: FLAGS.get(one.path) ?? one.path }))) : error;
  } finally {
    lines?.close();
    if (watched) {
      progress!(NO_PROGRESS_BAR);
    }
  }
}

/** Reads `pool:instance@seconds` or `pool:instance@seconds-seconds`; the simulator tells what is wrong with the numbers. */
function readFailure(text: string): InstanceFailure {
  const [, pool, instance, at, until] = /^(\w+):(\d+)@(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?$/.exec(text) ?? [];
  if (pool === undefined) {
    throw new ProblemsError([{
      rule: 'SimulationFailureWrong',
      path: '--fail',
      value: JSON.stringify(text),
      message: 'this is no failure of an instance',
      mend: 'give the pool, the number of the instance and when it is down, in seconds: decode:0@60-120',
    }]);
  }
  return { pool, instance: Number(instance), atSeconds: Number(at), untilSeconds: until === undefined ? undefined : Number(until) };
}

/**
 * A simulation as text for a terminal.
 */
export function simulationText(simulation: Simulation): string {
  const { spec } = simulation;
  const load = simulation.load === 'open-loop' ? loadText(spec.workload) : simulation.load;
  return [
    `${spec.name ?? spec.model.id}, ${simulation.serving}, ${load}, ${simulation.requests} requests, seed ${simulation.seed}`,
    ...simulation.backlogGrows ? ['the backlog grows: the latencies tell how long the simulation was, and not what to expect'] : tooShort(simulation),
    table([
      ['', 'avg', 'min', 'max', 'p50', 'p90', 'p95', 'p99'],
      row('time to first token', simulation.ttftSeconds),
      ...simulation.tpotSeconds ? [row('time per output token', simulation.tpotSeconds)] : [],
      row('end to end', simulation.endToEndSeconds),
      ['output tokens per second', number(simulation.outputTokensPerSecond), '', '', '', '', '', ''],
      ['requests per second', number(simulation.requestsPerSecond), '', '', '', '', '', ''],
      ['requests per second that kept the objective', number(simulation.keptRequestsPerSecond), '', '', '', '', '', ''],
    ], 1),
    ...simulation.tiers.length === 0 ? [] : [table([
      ['service tier', 'requests', '', 'avg', 'min', 'max', 'p50', 'p90', 'p95', 'p99'],
      ...simulation.tiers.flatMap(({ serviceTier, requests, ttftSeconds, tpotSeconds, endToEndSeconds }) => [
        [serviceTier, String(requests), ...row('time to first token', ttftSeconds)],
        ...tpotSeconds ? [['', '', ...row('time per output token', tpotSeconds)]] : [],
        ['', '', ...row('end to end', endToEndSeconds)],
      ]),
    ], 3)],
    table([
      ['stage', 'engines', 'share of time with work', 'mean batch'],
      ...simulation.stages.map((stage) => (
        [stage.name, String(stage.engines), number(stage.utilisation), stage.meanBatch === undefined ? '-' : `${number(stage.meanBatch)} of ${stage.maxBatch}`]
      )),
    ], 1),
    ...simulation.failedRequests > 0 ? [`${simulation.failedRequests} requests were answered with an error as instances failed; figures are of the others`] : [],
    ...simulation.readByDecodeRequests > 0 ? [`${simulation.readByDecodeRequests} prompts were read by decode engines`] : [],
    ...simulation.prefixHitRate > 0 ? [`${number(100 * simulation.prefixHitRate)} % of the prompts' tokens were found in prefix caches${evictions(simulation)}`] : [],
    ...simulation.preemptions > 0 ? [`${simulation.preemptions} times a request lost its place because the KV cache was full, and was read again`] : [],
    ...simulation.objectives.map((verdict) => verdictText(verdict, simulation)),
  ].join('\n\n');
}

/** One promise; where too few were answered to keep it at any time, that. */
function verdictText(
  { metric, percentile, simulatedSeconds, objectiveSeconds, verdict }: SimulatedVerdict, { failedRequests, requests }: Simulation,
): string {
  return verdict === 'missed' && simulatedSeconds <= objectiveSeconds
    ? `${metric} p${percentile} of ${time(objectiveSeconds)}: missed, as ${number(100 * failedRequests / requests)} % of the requests were answered with an error`
    : `${metric} p${percentile} ${time(simulatedSeconds)} of ${time(objectiveSeconds)}: ${verdict}`;
}

/** What is wrong with a run whose queues have not come to their steady state. */
function tooShort({ steadiness, requests, ttftSeconds }: Simulation): string[] {
  return steadiness === undefined || steadiness.isSteady ? [] : [
    `${requests} requests are too few: waits differ so much over the run that their mean is not settled, and is rather too low. By the means of its parts, the `
    + `time to first token is ${time(ttftSeconds.avg)} +- ${number(100 * steadiness.ttftErrorShare)} %; for +- ${number(100 * STEADY_ERROR_SHARE)} %, simulate with `
    + `--requests ${steadiness.requestsNeeded}`,
  ];
}

function evictions({ evictedBlocks }: Simulation): string {
  return evictedBlocks > 0 ? `, which lost ${evictedBlocks} blocks as others needed the room` : '';
}

function row(name: string, latency: SimulatedLatency): string[] {
  return [name, ...[latency.avg, latency.min, latency.max, latency.p50, latency.p90, latency.p95, latency.p99].map(time)];
}

/** Writes requests, compares them with measured ones, and tells how far the simulation is. */
class Watch extends SimulationObserver {
  private count = 0;

  constructor(
    private readonly lines: Lines | undefined, private readonly progress: ((text: string) => void) | undefined, private readonly expected: number,
    private readonly measured: MeasuredRun | undefined,
  ) {
    super();
  }

  public onRequest(request: SimulatedRequest): void {
    this.measured?.add(request);
    this.ended(request);
  }

  public onFailure(request: FailedRequest): void {
    this.ended(request);
  }

  private ended(request: object): void {
    this.lines?.add(JSON.stringify(request));
    if (this.progress !== undefined && ++this.count % Math.ceil(this.expected / 100) === 0) {
      this.progress(progressBar(this.count / this.expected));
    }
  }
}

/** Lines on their way to a file, which is opened for the first of them: a simulation that is refused has none, and leaves the file as it was. */
class Lines {
  private file: number | undefined;
  private piece = '';

  constructor(private readonly path: string) {}

  public add(line: string): void {
    this.piece += `${line}\n`;
    if (this.piece.length > PIECE) {
      this.flush();
    }
  }

  public close(): void {
    if (this.piece !== '') {
      this.flush();
    }
    if (this.file !== undefined) {
      closeSync(this.file);
    }
  }

  private flush(): void {
    writing(this.path, () => {
      this.file ??= openSync(this.path, 'w');
      writeFileSync(this.file, this.piece);
    });
    this.piece = '';
  }
}
