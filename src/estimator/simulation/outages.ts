import { InstanceFailure } from './simulation';

/** An engine goes down, or comes up again. */
export interface Turn {
  readonly seconds: number;
  readonly pool: string;
  readonly engine: number;
  readonly isUp: boolean;
}

/**
 * When engines go down and come up again, in order of time.
 */
export class Outages {
  /** When the next one is; Infinity if there is none. */
  public nextSeconds = Infinity;
  private readonly turns: Turn[];
  private at = 0;

  /**
   * @param failures of instances.
   * @param enginesPerInstance of a pool.
   * @param delaySeconds by which the engines' clock is behind the requests'.
   */
  constructor(failures: readonly InstanceFailure[], enginesPerInstance: (pool: string) => number, delaySeconds: number) {
    const turn = (pool: string, engine: number, seconds: number, isUp: boolean): Turn => ({ pool, engine, isUp, seconds: seconds - delaySeconds });
    this.turns = merged(failures).flatMap(({ pool, instance, atSeconds, untilSeconds }) => {
      const engines = enginesPerInstance(pool);
      return Array.from({ length: engines }, (_, i) => instance * engines + i).flatMap((engine) => [
        turn(pool, engine, atSeconds, false), ...(untilSeconds === undefined ? [] : [turn(pool, engine, untilSeconds, true)]),
      ]);
    }).sort((a, b) => a.seconds - b.seconds);
    this.foresee();
  }

  /** Takes the next one; there must be one. */
  public take(): Turn {
    const turn = this.turns[this.at++];
    this.foresee();
    return turn;
  }

  private foresee(): void {
    this.nextSeconds = this.at < this.turns.length ? this.turns[this.at].seconds : Infinity;
  }
}

/** One failure for all of an instance that overlap or meet. */
function merged(failures: readonly InstanceFailure[]): InstanceFailure[] {
  const apart: InstanceFailure[] = [];
  for (const failure of [...failures].sort((a, b) => a.atSeconds - b.atSeconds)) {
    const before = apart.findIndex(({ pool, instance, untilSeconds = Infinity }) => (
      pool === failure.pool && instance === failure.instance && untilSeconds >= failure.atSeconds));
    if (before < 0) {
      apart.push(failure);
    } else {
      const { untilSeconds = Infinity } = apart[before];
      const until = Math.max(untilSeconds, failure.untilSeconds ?? Infinity);
      apart[before] = { ...apart[before], untilSeconds: until < Infinity ? until : undefined };
    }
  }
  return apart;
}
