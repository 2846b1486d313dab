import { Problem, Problems } from '../problems';
import { LengthDistribution } from './length-distribution';
import { MAX_TOKENS, factorProblems } from './limits';
import { RequestTrace } from './request-trace';
import { SERVICE_TIERS } from '../routing';
import { INPUT_CUTS, OUTPUT_CUTS, reduceToClasses } from './strata';
import { LengthClass, WorkloadSpec } from './workload-spec';

/**
 * Requests of equal lengths at a steady rate.
 */
export interface SteadyWorkload {
  /** Mean arrivals per second. */
  readonly requestsPerSecond: number;
  /** Prompt length, in tokens. */
  readonly inputTokens: number;
  /** Generated tokens, the first one included. */
  readonly outputTokens: number;
  /**
   * Leading tokens of the prompt whose KV cache is already there.
   *
   * @default 0
   */
  readonly cachedInputTokens?: number;
}

/**
 * Requests whose prompt and output lengths are distributed independently of each other.
 */
export interface DistributedWorkload {
  /** Mean arrivals per second. */
  readonly requestsPerSecond: number;
  /** Prompt lengths. */
  readonly inputTokens: LengthDistribution;
  /** Generated tokens, the first one included. */
  readonly outputTokens: LengthDistribution;
  /**
   * Squared coefficient of variation of the gaps between arrivals: 0 evenly spaced, 1 Poisson, above 1 bursty.
   *
   * @default 1
   */
  readonly interarrivalScv?: number;
}

/**
 * What is asked of a service: how often, how evenly, and with which lengths of prompts and outputs.
 *
 * Every factory throws a `ProblemsError` with all problems if a rate is not above 0, a length is not from 1 to 10,000,000 tokens, or
 * a cached prefix is as long as its prompt.
 */
export class Workload {
  /**
   * The workload that a recorded trace shows. See `RequestTrace` for the formats.
   *
   * @param path path of the trace, absolute or relative to the working directory.
   */
  public static fromTrace(path: string): Workload {
    return Workload.fromRequestTrace(RequestTrace.fromFile(path));
  }

  /**
   * The workload that a recorded trace shows: its rate, its busiest minute, the variation of its gaps, and its lengths, reduced to at most about 120 weighted
   * classes. Mean lengths are kept exactly; the median, p90, p95 and p99 of both lengths are kept closely.
   *
   * @param trace the trace.
   */
  public static fromRequestTrace(trace: RequestTrace): Workload {
    return Workload.fromSpec({
      source: `trace ${trace.name}`,
      requestsPerSecond: trace.requestsPerSecond,
      interarrivalScv: trace.interarrivalScv,
      peakToMeanRatio: trace.peakToMeanRatio,
      lengthClasses: reduceToClasses(trace.requests),
    });
  }

  /**
   * Poisson arrivals of equal requests.
   *
   * @param workload rate and lengths.
   */
  public static steady(workload: SteadyWorkload): Workload {
    const { requestsPerSecond, ...lengths } = workload;
    return Workload.fromSpec({ source: 'steady', requestsPerSecond, interarrivalScv: 1, lengthClasses: [{ weight: 1, ...lengths }] });
  }

  /**
   * Requests with distributed lengths, prompts and outputs independent of each other.
   *
   * @param workload rate and distributions.
   */
  public static fromDistributions(workload: DistributedWorkload): Workload {
    const inputs = strata(workload.inputTokens, INPUT_CUTS);
    const outputs = strata(workload.outputTokens, OUTPUT_CUTS);
    const lengthClasses = inputs.flatMap((input) => outputs.map((output) => (
      { weight: input.weight * output.weight, inputTokens: input.tokens, outputTokens: output.tokens }
    )));
    return Workload.fromSpec({
      source: 'distributions',
      requestsPerSecond: workload.requestsPerSecond,
      interarrivalScv: workload.interarrivalScv ?? 1,
      lengthClasses,
    });
  }

  /**
   * A workload from its plain value.
   *
   * Throws a `ProblemsError` with every wrong value, also if the weights do not sum to 1.
   *
   * @param spec the plain value.
   * @param path path of the value in messages; `workload` if not given.
   */
  public static fromSpec(spec: WorkloadSpec, path: string = 'workload'): Workload {
    Problems.throwIfAny(problemsOf(spec, path));
    return new Workload(spec);
  }

  private readonly spec: WorkloadSpec;

  private constructor(spec: WorkloadSpec) {
    this.spec = spec;
  }

  /**
   * The same requests at another rate.
   *
   * @param factor rate over the present rate, such as 2 for twice as many requests per second; above 0.
   */
  public scaled(factor: number): Workload {
    Problems.throwIfAny(factorProblems(factor));
    return Workload.fromSpec({ ...this.spec, requestsPerSecond: this.spec.requestsPerSecond * factor });
  }

  /** The workload as a plain value that survives JSON. */
  public toSpec(): WorkloadSpec {
    return this.spec;
  }
}

interface Stratum {
  readonly weight: number;
  readonly tokens: number;
}

/** Cuts a distribution into strata with their mean lengths; neighbours of one length become one stratum. */
function strata(lengths: LengthDistribution, cuts: number[]): Stratum[] {
  const found: Stratum[] = [];
  let from = 0;
  for (const to of [...cuts, 1]) {
    const tokens = lengths._meanBetween(from, to);
    const last = found[found.length - 1];
    if (last?.tokens === tokens) {
      found[found.length - 1] = { weight: last.weight + to - from, tokens };
    } else {
      found.push({ weight: to - from, tokens });
    }
    from = to;
  }
  return found;
}

/** Rates beyond these, in requests per second, are mistakes: one in 30 years, and more than any service has. */
const [LEAST_RATE, MAX_RATE] = [1e-9, 1e9];
/** More than that of a billion gaps of which one is as long as all. */
const MAX_SCV = 1e9;
/** More than all requests of a year in one of its minutes. */
const MAX_RATIO = 1e6;

function problemsOf(spec: WorkloadSpec, path: string): Problem[] {
  const problems: Problem[] = [];
  const check = (ok: boolean, rule: string, at: string, value: unknown, message: string, mend: string) => {
    if (!ok) {
      problems.push({ rule, path: `${path}.${at}`, value: typeof value === 'number' ? String(value) : JSON.stringify(value), message, mend });
    }
  };
  const { requestsPerSecond, interarrivalScv = 1, peakToMeanRatio = 1, lengthClasses } = spec;
  check(requestsPerSecond >= LEAST_RATE && requestsPerSecond <= MAX_RATE, 'WorkloadRateNotPositive', 'requestsPerSecond', requestsPerSecond,
    `the rate is not a number from ${LEAST_RATE} to ${MAX_RATE}`, 'give mean arrivals per second');
  check(interarrivalScv >= 0 && interarrivalScv <= MAX_SCV, 'WorkloadScvNegative', 'interarrivalScv', interarrivalScv,
    `the squared coefficient of variation is not a number from 0 to ${MAX_SCV}`, 'leave it out for Poisson arrivals');
  check(peakToMeanRatio >= 1 && peakToMeanRatio <= MAX_RATIO, 'WorkloadPeakBelowMean', 'peakToMeanRatio', peakToMeanRatio,
    `the busiest minute is not a number from 1 to ${MAX_RATIO} times the mean`, 'leave it out for a steady rate');
  if (!Array.isArray(lengthClasses) || lengthClasses.length === 0) {
    check(false, 'WorkloadWithoutClasses', 'lengthClasses', lengthClasses, 'there are no length classes', 'give at least one, with weight 1');
    return problems;
  }
  const blank = lengthClasses.findIndex((lengthClass: unknown) => lengthClass === null || typeof lengthClass !== 'object');
  if (blank >= 0) {
    check(false, 'WorkloadClassNotAnObject', `lengthClasses[${blank}]`, lengthClasses[blank], 'the length class is not an object',
      'give weight, inputTokens and outputTokens');
    return problems;
  }
  lengthClasses.forEach((lengthClass: LengthClass, i) => {
    const { weight, inputTokens, cachedInputTokens = 0, outputTokens, serviceTier = 'default' } = lengthClass;
    const at = `lengthClasses[${i}]`;
    check(positive(weight), 'WorkloadWeightNotPositive', `${at}.weight`, weight, 'the weight is not a finite number above 0',
      'leave out classes without requests');
    check(isLength(inputTokens), 'WorkloadLengthOutOfRange', `${at}.inputTokens`, inputTokens,
      `the prompt length is not between 1 and ${MAX_TOKENS} tokens`, 'give it in tokens');
    check(isLength(outputTokens), 'WorkloadLengthOutOfRange', `${at}.outputTokens`, outputTokens,
      `the output length is not between 1 and ${MAX_TOKENS} tokens`, 'give it in tokens');
    check(cachedInputTokens >= 0 && (cachedInputTokens < inputTokens || !isLength(inputTokens)), 'WorkloadCachedPrefixTooLong',
      `${at}.cachedInputTokens`, cachedInputTokens, 'the cached prefix is not from 0 to below the prompt length',
      'count at least the last prompt token as not cached');
    check((SERVICE_TIERS as readonly string[]).includes(serviceTier), 'WorkloadServiceTierUnknown', `${at}.serviceTier`, serviceTier, 'there is no service tier of this name',
      `use one of ${SERVICE_TIERS.join(', ')}, or leave it out`);
  });
  const sum = lengthClasses.reduce((total, lengthClass) => total + lengthClass.weight, 0);
  const weighed = lengthClasses.every((lengthClass) => positive(lengthClass.weight));
  check(!weighed || Math.abs(sum - 1) <= 1e-6, 'WorkloadWeightsNotOne', 'lengthClasses', sum, 'the weights do not sum to 1',
    'divide each weight by their sum');
  return problems;
}

function positive(value: number): boolean {
  return Number.isFinite(value) && value > 0;
}

function isLength(tokens: number): boolean {
  return tokens >= 1 && tokens <= MAX_TOKENS;
}
