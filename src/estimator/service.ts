import { fill, predictionSpreads } from './calibration/calibration';
import { CoefficientDraws, SpreadCoefficient } from './calibration/draws';
import { ClosedForm, END_TO_END, TPOT, TTFT } from './closed-form';
import { DeploymentSpec } from './deployment-spec';
import { CoefficientUse, Refusal } from './estimate';
import { bearsOn } from './phases/bearing';
import { CoefficientName, Coefficients } from './phases/coefficients';
import { promptPool } from './plant';
import { SHARES } from './queueing/spread-mixture';
import { Resolved, ResolvedPool, resolve } from './resolve';
import { StageLoad, unstable } from './shortfall';
import { checkSpec } from './spec-check';
import { DRAWS } from './uncertainty';

/** One promise, as a place in the latencies. */
export interface Promised {
  readonly metric: string;
  readonly label: string;
  readonly percentile: number;
  readonly seconds: number;
  readonly index: number;
}

/** Counts of a fleet; prefill is 0 in aggregated serving. */
export interface Counts {
  readonly prefill: number;
  readonly decode: number;
}

/** Of every step, whether it reads or writes. */
const STEP: CoefficientName[] = [
  'denseUtilisation', 'lowPrecisionGain', 'weightBandwidthUtilisation', 'lowPrecisionBandwidthGain', 'engineStepSeconds', 'collectiveHopSeconds',
  'collectiveBandwidthUtilisation',
];
const PREFILL: CoefficientName[] = [
  ...STEP, 'prefillAttentionUtilisation', 'prefillLayerSeconds', 'prefillTokenLayerSeconds', 'prefillPromptSeconds', 'prefillExpertSeconds',
  'promptExpertUtilisation', 'gatewaySeconds',
];
const DECODE: CoefficientName[] = [
  ...STEP, 'kvBandwidthUtilisation', 'decodeLayerSeconds', 'decodeSequenceLayerSeconds', 'decodeContextLayerSeconds', 'decodeExpertLayerSeconds',
];
const WAFER: CoefficientName[] = ['waferLayerSeconds', 'waferHopSeconds'];

// bisection steps of the goodput: a billionth of the capacity at the centre, a thousandth in each draw
const CENTRE_STEPS = 30;
const DRAW_STEPS = 10;

/** A pool whose coefficients are drawn. */
interface DrawnPool {
  readonly into: Coefficients;
  readonly draws: CoefficientDraws;
}

/**
 * A checked and resolved deployment, ready to be solved at any counts.
 */
export class Service {
  public readonly spec: DeploymentSpec;
  public readonly resolved: Resolved;
  public readonly form: ClosedForm;
  public readonly aggregated: boolean;
  public readonly promises: Promised[];
  /** Rate of the workload in its busiest minute, at which latencies are met, in requests per second. */
  public readonly rate: number;
  /** That rate over the mean. */
  public readonly peakToMeanRatio: number;

  private readonly prefillSet = new Coefficients();
  private readonly decodeSet: Coefficients;
  private drawn?: readonly DrawnPool[];
  private prefillInstances = 0;
  private decodeInstances = 0;

  /**
   * Throws a `ProblemsError` if the spec is wrong, and `Refused` if there is no basis for an estimate.
   */
  constructor(spec: DeploymentSpec) {
    checkSpec(spec);
    this.spec = spec;
    this.resolved = resolve(spec);
    this.peakToMeanRatio = spec.workload.peakToMeanRatio ?? 1;
    this.rate = spec.workload.requestsPerSecond * this.peakToMeanRatio;
    this.aggregated = this.resolved.prefill === undefined;
    this.decodeSet = this.aggregated ? this.prefillSet : new Coefficients();
    this.form = new ClosedForm(this.resolved.plant);
    this.promises = promisesOf(spec);
    this.centre();
  }

  /**
   * Solves at the centre of the coefficients.
   */
  public solve(prefillInstances: number, decodeInstances: number): void {
    this.prefillInstances = prefillInstances;
    this.decodeInstances = decodeInstances;
    this.form.solve(this.rate, prefillInstances, decodeInstances);
  }

  /**
   * Calls back once for each draw, with everything solved for that draw; leaves the centre in place.
   */
  public eachDraw(callback: (draw: number) => void): void {
    const drawn = this.drawn ??= this.drawnPools();
    for (let draw = 0; draw < DRAWS; draw++) {
      drawn.forEach(({ into, draws }) => draws.fill(into, draw));
      this.form.use(this.prefillSet, this.decodeSet);
      this.form.solve(this.rate, this.prefillInstances, this.decodeInstances);
      callback(draw);
    }
    this.centre();
    this.form.solve(this.rate, this.prefillInstances, this.decodeInstances);
  }

  /**
   * Whether a fleet keeps every promise with the headroom that the spec asks for; undefined where it seems so, but only a simulation tells.
   */
  public suffices(prefillInstances: number, decodeInstances: number): boolean | undefined {
    let areTold = true;
    for (const [prefill, decode] of this.reduced(prefillInstances, decodeInstances)) {
      if (!this.solveGrown(prefill, decode) || !this.holds) {
        return false;
      }
      areTold &&= this.promises.every((promise) => this.isTold(promise));
    }
    return areTold || undefined;
  }

  /**
   * Whether the closed form tells if the fleet that was solved for keeps a promise: where bursts outrun the slots, it sees too few requests wait for one.
   */
  public isTold({ metric }: Promised): boolean {
    return this.form.burstLoad <= 1 || metric === 'tpotSeconds';
  }

  /**
   * The worst latency of a fleet over what is promised, with the headroom that the spec asks for: at most 1 if it suffices, Infinity if it is unstable.
   */
  public strain(prefillInstances: number, decodeInstances: number): number {
    return Math.max(...this.reduced(prefillInstances, decodeInstances).map(([prefill, decode]) => (
      this.solveGrown(prefill, decode) && this.form.stable
        ? Math.max(0, ...this.promises.map((promise) => this.form.latencies[promise.index] / promise.seconds)) : Infinity)));
  }

  /**
   * Why a fleet does not keep every promise with the headroom that the spec asks for, or is not known to; undefined if it does.
   */
  public insufficiency(prefillInstances: number, decodeInstances: number): Refusal | undefined {
    for (const [prefill, decode] of this.reduced(prefillInstances, decodeInstances)) {
      if (!this.solveGrown(prefill, decode)) {
        return { kind: 'infeasible', reason: 'no instance is left of a pool that loses its spare ones', mend: 'add instances or ask for fewer spare ones' };
      }
      const short = this.shortcoming();
      if (short !== undefined) {
        const { growth = 0 } = this.spec.headroom ?? {};
        const lost = [[prefillInstances - prefill, 'prefill'], [decodeInstances - decode, this.aggregated ? 'aggregated' : 'decode']] as const;
        const when = [
          ...lost.filter(([count]) => count > 0).map(([count, pool]) => `${count} ${pool} ${count === 1 ? 'instance' : 'instances'} gone`),
          ...(growth > 0 ? [`${Number((growth * 100).toPrecision(3))} % more requests`] : []),
        ];
        return when.length === 0 ? short : { ...short, reason: `with ${when.join(' and ')} ${short.reason}` };
      }
    }
    return undefined;
  }

  /**
   * The fleets that are left when the spare instances of a planned pool are gone; the fleet itself where none are asked for.
   */
  public reduced(prefill: number, decode: number): [number, number][] {
    const spare = this.spec.headroom?.spareInstances ?? 0;
    const left: [number, number][] = [
      ...(this.spec.prefill !== undefined && this.spec.prefill.instances === undefined ? [[prefill - spare, decode] as [number, number]] : []),
      ...(this.spec.decode.instances === undefined ? [[prefill, decode - spare] as [number, number]] : []),
    ];
    return spare === 0 || left.length === 0 ? [[prefill, decode]] : left;
  }

  /**
   * The fewest instances of each pool that may be stable with the headroom that the spec asks for; 0 of a pool that is not there.
   */
  public fewestStable(): Counts {
    // loads are inverse to the counts, so those of one instance each tell; a rounded one counts for the whole number that it may be
    this.solveGrown(this.aggregated ? 0 : 1, 1);
    const { prefillLoad, decodeLoad } = this.form;
    const spare = this.spec.headroom?.spareInstances ?? 0;
    const fewest = (load: number, given: number | undefined) => Math.floor(load * (1 - 1e-12)) + 1 + (given === undefined ? spare : 0);
    const { prefill, decode } = this.spec;
    return { prefill: prefill === undefined ? 0 : fewest(prefillLoad, prefill.instances), decode: fewest(decodeLoad, decode.instances) };
  }

  /** The counts of the spec, if it gives all of them. */
  public get givenCounts(): Counts | undefined {
    const decode = this.spec.decode.instances;
    const prefill = this.aggregated ? 0 : this.spec.prefill!.instances;
    return decode === undefined || prefill === undefined ? undefined : { prefill, decode };
  }

  /** Load over capacity of the fullest stage. */
  public get fullest(): number {
    return Math.max(this.form.prefillLoad, this.form.linkLoad, this.form.decodeLoad);
  }

  /** Whether the fleet that was solved for is stable and keeps every promise. */
  public get holds(): boolean {
    return this.form.stable && this.promises.every((promise) => this.form.latencies[promise.index] <= promise.seconds);
  }

  /**
   * The highest mean rate at which the fleet is stable and keeps every promise, at the present coefficients; 0 if it does at none.
   * Solves at other rates on the way: solve again before reading more.
   */
  public goodput(fine: boolean): number {
    const { form } = this;
    const capacity = this.rate / this.fullest;
    if (this.promises.length === 0) {
      return capacity / this.peakToMeanRatio;
    }
    let low = 0;
    let high = capacity;
    for (let i = 0; i < (fine ? CENTRE_STEPS : DRAW_STEPS); i++) {
      const middle = (low + high) / 2;
      form.solve(middle, this.prefillInstances, this.decodeInstances);
      if (this.holds) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low / this.peakToMeanRatio;
  }

  /** The stages in the order that a request passes them, with their loads. */
  public stages(): StageLoad[] {
    const { form } = this;
    const { prefill, decode } = this.resolved;
    const last = { name: this.aggregated ? 'aggregated' : 'decode', load: form.decodeLoad, instances: this.decodeInstances, hardware: decode.hardware };
    if (prefill === undefined) {
      return [last];
    }
    return [
      { name: 'prefill', load: form.prefillLoad, instances: this.prefillInstances, hardware: prefill.hardware },
      { name: 'kv-transfer', load: form.linkLoad, instances: this.prefillInstances, hardware: 'EFA' },
      last,
    ];
  }

  /** Why the fleet that was solved for is not enough, or is not known to be; undefined if it is. */
  public shortcoming(): Refusal | undefined {
    if (!this.form.stable) {
      return unstable(this.stages(), this.resolved);
    }
    const miss = this.promises.find((promise) => this.form.latencies[promise.index] > promise.seconds);
    if (miss !== undefined) {
      return {
        kind: 'infeasible',
        reason: `${miss.label} p${miss.percentile} ${seconds(this.form.latencies[miss.index])} exceeds ${seconds(miss.seconds)}`,
        mend: 'add instances or relax the objective',
      };
    }
    const untold = this.promises.find((promise) => !this.isTold(promise));
    return untold && {
      kind: 'unknown',
      stage: this.aggregated ? 'aggregated' : 'decode',
      reason: `bursts bring ${(this.form.burstLoad * 100).toFixed(0)} % of what the engines write at most, and only a simulation tells the ${untold.label} then`,
      mend: 'simulate it, or add instances',
    };
  }

  /** The coefficients that a stage rests on. */
  public coefficients(stage: string): CoefficientUse[] {
    const { prefill, decode } = this.resolved;
    const pick = (pool: ResolvedPool, names: CoefficientName[]) => names
      .filter((name) => pool.set.coefficients[name] !== undefined)
      .map((name) => {
        const { value, relativeSigma, source } = pool.set.coefficients[name];
        return { name, value, relativeSigma, source };
      });
    switch (stage) {
      case 'prefill':
        return pick(prefill!, this.names('prefill'));
      case 'kv-transfer':
        return [...pick(prefill!, this.spec.link?.bytesPerSecond === undefined ? ['linkUtilisation', this.setUp] : [this.setUp]),
          ...pick(decode, ['waferIngestUtilisation'])];
      case 'decode':
        return pick(decode, this.names('decode'));
      default:
        return pick(decode, [...new Set([...this.names('prefill'), ...this.names('decode')])]);
    }
  }

  /** What predictions are off by besides the spread of coefficients, as a standard deviation of the logarithm; 0 of those that are all the user's, unless he says. */
  public predictionSigma(metric: 'ttft' | 'tpot'): number {
    const { prefill, decode, plant } = this.resolved;
    const [{ set }, stage] = metric === 'ttft' && prefill !== undefined ? [prefill, 'prefill'] : [decode, this.aggregated ? 'aggregated' : 'decode'];
    const { relativeSigma = 0, isOwn } = predictionSpreads(set, plant.model)[metric] ?? {};
    const isSettled = this.coefficients(stage).every(({ name }) => set.coefficients[name].isOwn || set.coefficients[name].relativeSigma === 0);
    return isSettled && !isOwn ? 0 : relativeSigma;
  }

  // false where nothing is left to solve for
  private solveGrown(prefill: number, decode: number): boolean {
    if (decode < 1 || (prefill < 1 && !this.aggregated)) {
      return false;
    }
    this.prefillInstances = prefill;
    this.decodeInstances = decode;
    this.form.solve(this.rate * (1 + (this.spec.headroom?.growth ?? 0)), prefill, decode);
    return true;
  }

  /** What the set-up of a transfer rests on. */
  private get setUp(): CoefficientName {
    return this.spec.link?.blockTokens === undefined ? 'linkBaseSeconds' : 'linkDescriptorSeconds';
  }

  /** The spread of what the estimate rests on, each pool's by itself. */
  private drawnPools(): DrawnPool[] {
    const { prefill, decode, plant } = this.resolved;
    const ofPrompts: CoefficientName[] = this.aggregated ? [] : ['linkUtilisation', this.setUp];
    const ofTokens: CoefficientName[] = this.aggregated ? this.names('prefill') : ['linkUtilisation'];
    (plant.decode.wafers === undefined ? ofPrompts : ofTokens).push('waferIngestUtilisation');
    const pools = [
      ...prefill === undefined ? [] : [{ pool: prefill, into: this.prefillSet, names: [...this.names('prefill'), ...ofPrompts] }],
      { pool: decode, into: this.decodeSet, names: [...this.names('decode'), ...ofTokens] },
    ];
    let dimension = 0;
    return pools.map(({ pool: { set }, into, names }) => {
      const spread = [...new Set(names)].flatMap((name): SpreadCoefficient[] => {
        const { value = 0, relativeSigma = 0 } = set.coefficients[name] ?? {};
        return relativeSigma > 0 && value > 0 ? [{ name, value, relativeSigma }] : [];
      });
      const draws = new CoefficientDraws(spread, set.correlations ?? {}, dimension);
      dimension += draws.dimensions;
      return { into, draws };
    });
  }

  private centre(): void {
    fill(this.prefillSet, (this.resolved.prefill ?? this.resolved.decode).set);
    fill(this.decodeSet, this.resolved.decode.set);
    this.form.use(this.prefillSet, this.decodeSet);
  }

  private names(phase: 'prefill' | 'decode'): CoefficientName[] {
    const { decode, model } = this.resolved.plant;
    if (phase === 'decode' && decode.wafers !== undefined) {
      return decode.tokenSeconds === undefined ? WAFER : [];
    }
    const engine = phase === 'prefill' ? promptPool(this.resolved.plant).engine : decode.engine!;
    return (phase === 'prefill' ? PREFILL : DECODE).filter((name) => bearsOn(name, model, engine));
  }
}

function promisesOf(spec: DeploymentSpec): Promised[] {
  const { objective } = spec;
  if (objective === undefined) {
    return [];
  }
  const percentile = objective.percentile ?? 95;
  const offset = 1 + SHARES.indexOf(percentile / 100);
  const metrics: [string, string, number, number | undefined][] = [
    ['ttftSeconds', 'TTFT', TTFT, objective.ttftSeconds],
    ['tpotSeconds', 'TPOT', TPOT, objective.tpotSeconds],
    ['endToEndSeconds', 'end-to-end latency', END_TO_END, objective.endToEndSeconds],
  ];
  return metrics.flatMap(([metric, label, base, value]) => (
    value === undefined ? [] : [{ metric, label, percentile, seconds: value, index: base + offset }]
  ));
}

/** Seconds for people: three significant digits. */
export function seconds(value: number): string {
  return value < 1 ? `${Number((value * 1000).toPrecision(3))} ms` : `${Number(value.toPrecision(3))} s`;
}
