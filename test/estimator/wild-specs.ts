import { SCHEMA, rangesOf } from './specs';
import { DeploymentSpec, Estimator } from '../../src/estimator';
import { ProblemsError } from '../../src/problems';

/** Numbers that break arithmetic, beside ordinary ones. */
const ODD = [0, -1, NaN, Infinity, -Infinity, 1e-300, 5e-324, 1e308, Number.MAX_SAFE_INTEGER, 0.5, 1e9];
const HARDWARE = [
  'trn1.2xlarge', 'trn1.32xlarge', 'trn1n.32xlarge', 'trn2.3xlarge', 'trn2.48xlarge', 'u-trn2x64', 'Trn3 Gen1 UltraServer', 'Trn3 Gen2 UltraServer', 'inf2.48xlarge',
  'p5.48xlarge', 'p5en.48xlarge', 'p6-b200.48xlarge', 'p6-b300.48xlarge', 'cs-3',
];
const MODELS = ['llama-3.1-8b', 'llama-3.3-70b', 'llama-3.1-405b', 'gpt-oss-120b', 'gpt-oss-20b', 'qwen3-32b', 'deepseek-v3', 'kimi-k2'];
const PRECISIONS = ['bf16', 'fp16', 'fp8', 'int8', 'mxfp8', 'mxfp4', 'nvfp4', 'int4'];

/** Specs of every kind, a part of them wrong; the same for the same seed on every machine. */
export class WildSpecs {
  constructor(private state: number) {}

  public next(): DeploymentSpec {
    const aggregated = this.chance(0.3);
    const spec = {
      schema: SCHEMA,
      model: { id: this.name(MODELS, 'none') },
      precision: this.maybe(0.4, () => ({ weights: this.maybe(0.8, () => this.name(PRECISIONS, 'fp12')), kvCache: this.maybe(0.4, () => this.name(PRECISIONS, '')) })),
      workload: {
        source: 'wild',
        requestsPerSecond: this.number(1e-3, 1e3),
        interarrivalScv: this.maybe(0.5, () => this.number(1e-3, 50)),
        lengthClasses: this.lengthClasses(),
      },
      objective: this.maybe(0.85, () => ({
        ttftSeconds: this.number(1e-2, 10),
        tpotSeconds: this.maybe(0.6, () => this.number(1e-3, 1)),
        percentile: this.maybe(0.5, () => this.name([50, 90, 95, 99], 42)),
      })),
      headroom: this.maybe(0.2, () => (
        { growth: this.maybe(0.5, () => this.number(1e-2, 3)), spareInstances: this.maybe(0.5, () => this.whole(4)) })),
      prefill: aggregated ? undefined : { ...this.pool(), maxConcurrentSequences: this.maybe(0.02, () => 2) },
      link: this.maybe(aggregated ? 0.02 : 0.3, () => ({
        bytesPerSecond: this.maybe(0.5, () => this.number(1e6, 1e12)),
        overlap: this.maybe(0.6, () => this.name(['layerwise', 'after-prefill'], 'never')),
        blockTokens: this.maybe(0.2, () => this.number(1, 512)),
        path: this.maybe(0.2, () => this.name(['device-direct', 'host-staged'], 'usb')),
      })),
      decode: this.decode(),
      calibration: this.maybe(0.1, () => ({ decode: { [this.name(['decodeLayerSeconds', 'weightBandwidthUtilisation'], 'none')]: this.number(1e-6, 1) } })),
    };
    return spec as unknown as DeploymentSpec;
  }

  private lengthClasses(): object[] {
    const longest = this.of([2e3, 2e4, 2e5]);
    const classes = Array.from({ length: this.chance(0.01) ? 0 : 1 + this.whole(4) }, () => {
      const inputTokens = this.number(1, longest);
      const cachedInputTokens = this.maybe(0.2, () => this.chance(0.95) ? Math.floor(inputTokens * this.random()) : this.of(ODD));
      return { weight: this.number(1e-3, 1), inputTokens, outputTokens: this.number(1, longest / 10), cachedInputTokens };
    });
    const sum = classes.reduce((total, { weight }) => total + weight, 0);
    return this.chance(0.98) ? classes.map((one) => ({ ...one, weight: one.weight / sum })) : classes;
  }

  private pool() {
    return {
      hardware: this.name(HARDWARE, 'm7i.large'),
      instances: this.maybe(0.7, () => this.chance(0.99) ? 1 + this.whole(16) : this.of(ODD)),
      tensorParallelDegree: this.maybe(0.3, () => this.chance(0.98) ? 2 ** this.whole(6) : this.of(ODD)),
      pipelineParallelDegree: this.maybe(0.05, () => this.chance(0.95) ? 1 + this.whole(4) : this.of(ODD)),
      dataParallelDegree: this.maybe(0.05, () => this.chance(0.95) ? 2 ** this.whole(4) : this.of(ODD)),
      enginesPerInstance: this.maybe(0.2, () => this.chance(0.98) ? 1 + this.whole(3) : this.of(ODD)),
      maxConcurrentSequences: this.maybe(0.3, () => this.chance(0.98) ? 1 + this.whole(512) : this.of(ODD)),
      promptBuckets: this.maybe(0.1, () => [128, 1024, this.number(2048, 1e5)]),
      maxSequenceTokens: this.maybe(0.1, () => this.number(4000, 1.2e5)),
      purchaseOption: this.maybe(0.2, () => this.name(['on-demand', 'spot', 'capacity-block', 'reservation'], 'barter')),
      usdPerInstanceHour: this.maybe(0.2, () => this.number(1, 500)),
    };
  }

  private decode(): object {
    const pool = {
      ...this.pool(),
      speculation: this.maybe(0.1, () => ({
        draftTokens: this.number(1, 16), acceptanceRate: this.number(0.1, 1), draftStepShare: this.maybe(0.5, () => this.number(0.01, 1)),
      })),
      maxBatchedTokens: this.maybe(0.05, () => this.chance(0.9) ? 2 ** this.whole(14) : this.of(ODD)),
    };
    return pool.hardware !== 'cs-3' && this.chance(0.99) ? pool : {
      ...pool,
      wafersPerReplica: this.maybe(0.3, () => this.number(1, 40)),
      outputTokensPerSecondPerUser: this.maybe(0.3, () => this.number(10, 4000)),
    };
  }

  /** One of some names, or now and then a wrong one. */
  private name<T>(names: readonly T[], wrong: T): T {
    return this.chance(0.01) ? wrong : this.of(names);
  }

  /** A number of any size between two, or now and then an odd one. */
  private number(low: number, high: number): number {
    const value = low * (high / low) ** this.random();
    return this.chance(0.003) ? this.of(ODD) : low >= 1 ? Math.round(value) : value;
  }

  private maybe<T>(share: number, value: () => T): T | undefined {
    return this.chance(share) ? value() : undefined;
  }

  private of<T>(values: readonly T[]): T {
    return values[this.whole(values.length)];
  }

  private chance(share: number): boolean {
    return this.random() < share;
  }

  private whole(below: number): number {
    return Math.floor(this.random() * below);
  }

  /** Lehmer's generator of Park and Miller: products stay below 2^53. */
  private random(): number {
    this.state = this.state * 48271 % 2147483647;
    return this.state / 2147483647;
  }
}

/** What became of a spec: `estimated`, `refused` or `wrong`; anything else is a fault, told in words. */
export function outcomeOf(spec: DeploymentSpec): string {
  let outcome;
  try {
    outcome = Estimator.estimate(spec);
  } catch (error) {
    return error instanceof ProblemsError && error.problems.length > 0 && !/NaN(?!")|undefined/.test(error.message.replace(/got: \S+/g, '')) ? 'wrong' : `crash: ${(error as Error).stack}`;
  }
  const { estimate, refusal } = outcome;
  if (estimate === undefined) {
    return refusal === undefined || /NaN|Infinity|undefined/.test(`${refusal.reason} ${refusal.mend}`) ? `refusal: ${JSON.stringify(refusal)}` : 'refused';
  }
  const bad = rangesOf(estimate).find(({ low, value, high }) => !(low >= 0 && low <= value && value <= high && high < Infinity));
  return bad ? `range: ${JSON.stringify(bad)}` : JSON.stringify(estimate).includes('null') ? 'a number that is none' : 'estimated';
}
