import { Problem, Problems } from '../problems';
import { ObjectiveSpec } from './workload-spec';

/** Percentiles that an estimate gives. */
const PERCENTILES = [50, 90, 95, 99];

/** Percentile of a promise that does not name one. */
const DEFAULT_PERCENTILE = 95;

/**
 * What is promised: latencies, in seconds, that a percentile of the requests keeps.
 */
export class ServiceLevelObjective {
  /**
   * A promise of latencies.
   *
   * Throws a `ProblemsError` with all problems if nothing is promised, a latency is not above 0 s, or the percentile is not 50, 90, 95
   * or 99.
   *
   * @param objective the latencies, in seconds, and the percentile.
   */
  public static of(objective: ObjectiveSpec): ServiceLevelObjective {
    return ServiceLevelObjective.fromSpec(objective);
  }

  /**
   * A promise from its plain value.
   *
   * Throws as `of` does.
   *
   * @param spec the plain value.
   * @param path path of the value in messages; `objective` if not given.
   */
  public static fromSpec(spec: ObjectiveSpec, path: string = 'objective'): ServiceLevelObjective {
    const { ttftSeconds, tpotSeconds, endToEndSeconds, percentile = DEFAULT_PERCENTILE } = spec;
    const promised = Object.entries({ ttftSeconds, tpotSeconds, endToEndSeconds }).filter(([, seconds]) => seconds !== undefined);
    const problems: Problem[] = promised
      .filter(([, seconds]) => !(Number.isFinite(seconds) && seconds! > 0))
      .map(([name, seconds]) => ({
        rule: 'ObjectiveNotPositive',
        path: `${path}.${name}`,
        value: typeof seconds === 'number' ? String(seconds) : JSON.stringify(seconds),
        message: 'the promise is not a finite number of seconds above 0',
        mend: 'give seconds, or leave it out to promise nothing',
      }));
    if (promised.length === 0) {
      problems.push({
        rule: 'ObjectiveEmpty',
        path,
        message: 'the objective promises nothing',
        mend: 'give ttftSeconds, tpotSeconds or endToEndSeconds, or leave the objective out',
      });
    }
    if (!PERCENTILES.includes(percentile)) {
      problems.push({
        rule: 'ObjectivePercentileUnknown',
        path: `${path}.percentile`,
        value: JSON.stringify(percentile),
        message: 'the percentile is not one that is estimated',
        mend: `give one of ${PERCENTILES.join(', ')}`,
      });
    }
    Problems.throwIfAny(problems);
    const objective = new ServiceLevelObjective();
    objective.spec = { ...Object.fromEntries(promised), percentile };
    return objective;
  }

  private spec: ObjectiveSpec = {};

  private constructor() {}

  /** Time to first token that is promised, in seconds; undefined if not promised. */
  public get ttftSeconds(): number | undefined {
    return this.spec.ttftSeconds;
  }

  /** Time per output token after the first that is promised, in seconds; undefined if not promised. */
  public get tpotSeconds(): number | undefined {
    return this.spec.tpotSeconds;
  }

  /** Time to the last token that is promised, in seconds; undefined if not promised. */
  public get endToEndSeconds(): number | undefined {
    return this.spec.endToEndSeconds;
  }

  /** Percentile of requests that each promise speaks of: 50, 90, 95 or 99. */
  public get percentile(): number {
    return this.spec.percentile ?? DEFAULT_PERCENTILE;
  }

  /** The promise as a plain value that survives JSON, the percentile filled in. */
  public toSpec(): ObjectiveSpec {
    return this.spec;
  }
}
