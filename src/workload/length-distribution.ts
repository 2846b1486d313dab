import { Problem, Problems } from '../problems';
import { MAX_TOKENS } from './limits';

/** Standard normal quantile of 95 %. */
const Z95 = 1.6448536269514722;

/** Largest p95 over mean that a lognormal distribution can have: exp(z95^2 / 2). */
const MAX_P95_OVER_MEAN = Math.exp(Z95 * Z95 / 2);

/**
 * Lengths that spread evenly between two bounds.
 */
export interface UniformLengths {
  /** Shortest length, in tokens. */
  readonly minTokens: number;
  /** Longest length, in tokens. */
  readonly maxTokens: number;
}

/**
 * Lengths whose logarithm is normally distributed: many short ones and a long tail.
 */
export interface LognormalLengths {
  /** Mean length, in tokens. */
  readonly meanTokens: number;
  /** 95th percentile of the lengths, in tokens: from the mean to 3.86 times the mean. */
  readonly p95Tokens: number;
}

/** Mean length of the share of requests between two cumulative probabilities. */
type MeanBetween = (from: number, to: number) => number;

/**
 * How the lengths of prompts or of outputs are distributed.
 *
 * Every factory throws a `ProblemsError` if a length is not a number from 1 to 10,000,000 tokens.
 */
export class LengthDistribution {
  /**
   * All lengths are equal.
   *
   * @param tokens the length, in tokens.
   */
  public static constant(tokens: number): LengthDistribution {
    checkTokens({ tokens });
    return new LengthDistribution().with(() => tokens);
  }

  /**
   * Lengths spread evenly between two bounds.
   *
   * Throws a `ProblemsError` if `maxTokens` is below `minTokens`.
   *
   * @param lengths the bounds.
   */
  public static uniform(lengths: UniformLengths): LengthDistribution {
    const { minTokens, maxTokens } = lengths;
    checkTokens({ minTokens, maxTokens });
    Problems.throwIfAny(maxTokens >= minTokens ? [] : [{
      rule: 'LengthBoundsSwapped',
      path: 'maxTokens',
      value: JSON.stringify(maxTokens),
      message: `maxTokens is below minTokens, ${minTokens}`,
      mend: 'swap the two',
    }]);
    return new LengthDistribution().with((from, to) => minTokens + (maxTokens - minTokens) * (from + to) / 2);
  }

  /**
   * Lognormal lengths, the usual shape of prompts and answers.
   *
   * Throws a `ProblemsError` if `p95Tokens` is not from `meanTokens` to 3.86 times `meanTokens`: no lognormal distribution has that.
   *
   * @param lengths mean and 95th percentile.
   */
  public static lognormal(lengths: LognormalLengths): LengthDistribution {
    const { meanTokens, p95Tokens } = lengths;
    checkTokens({ meanTokens, p95Tokens });
    const ratio = p95Tokens / meanTokens;
    Problems.throwIfAny(ratio >= 1 && ratio <= MAX_P95_OVER_MEAN ? [] : [{
      rule: 'LengthTailImpossible',
      path: 'p95Tokens',
      value: JSON.stringify(p95Tokens),
      message: `no lognormal distribution with mean ${meanTokens} has this 95th percentile`,
      mend: `give ${meanTokens} to ${Math.floor(meanTokens * MAX_P95_OVER_MEAN)}, or use LengthDistribution.empirical`,
    }]);
    // mean = exp(mu + sigma^2/2) and p95 = exp(mu + z95 sigma); of the two roots for sigma the smaller one is the ordinary shape.
    const sigma = Z95 - Math.sqrt(Math.max(0, Z95 * Z95 - 2 * Math.log(ratio)));
    // the part of the mean below the quantile p is cdf(z_p - sigma).
    const partBelow = (p: number) => p <= 0 ? 0 : p >= 1 ? 1 : normalCdf(normalQuantile(p) - sigma);
    return new LengthDistribution().with((from, to) => meanTokens * (partBelow(to) - partBelow(from)) / (to - from));
  }

  /**
   * Lengths as they were observed, each one equally likely.
   *
   * Throws a `ProblemsError` if there are no samples.
   *
   * @param samples observed lengths in any order, in tokens.
   */
  public static empirical(samples: number[]): LengthDistribution {
    Problems.throwIfAny(samples.length > 0 ? [] : [{
      rule: 'LengthSamplesEmpty',
      path: 'samples',
      value: '[]',
      message: 'there are no samples',
      mend: 'give at least one observed length',
    }]);
    checkTokens(Object.fromEntries(samples.map((sample, i) => [`samples[${i}]`, sample])));
    const sorted = Float64Array.from(samples).sort();
    return new LengthDistribution().with((from, to) => {
      let sum = 0;
      for (let i = Math.floor(from * sorted.length); i < Math.min(sorted.length, Math.ceil(to * sorted.length)); i++) {
        sum += sorted[i] * (Math.min(i + 1, to * sorted.length) - Math.max(i, from * sorted.length));
      }
      return sum / ((to - from) * sorted.length);
    });
  }

  private meanBetween?: MeanBetween;

  private constructor() {}

  /**
   * Mean length, in tokens, of the share of requests between two cumulative probabilities.
   *
   * @internal
   */
  public _meanBetween(from: number, to: number): number {
    return this.meanBetween!(from, to);
  }

  private with(meanBetween: MeanBetween): LengthDistribution {
    this.meanBetween = meanBetween;
    return this;
  }
}

function checkTokens(lengths: { [name: string]: number }): void {
  Problems.throwIfAny(Object.entries(lengths).filter(([, tokens]) => !(tokens >= 1 && tokens <= MAX_TOKENS)).map(([name, tokens]): Problem => ({
    rule: 'LengthOutOfRange',
    path: name,
    value: String(tokens),
    message: `${name} is not between 1 and ${MAX_TOKENS} tokens`,
    mend: 'give a length in tokens',
  })));
}

/** Standard normal distribution function: Simpson's rule over the density, which is smooth and short-tailed. */
function normalCdf(z: number): number {
  if (Math.abs(z) > 8) {
    return z < 0 ? 0 : 1;
  }
  const steps = 200;
  const h = z / steps;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    const weight = i === 0 || i === steps ? 1 : i % 2 === 1 ? 4 : 2;
    sum += weight * Math.exp(-((i * h) ** 2) / 2);
  }
  return 0.5 + sum * h / 3 / Math.sqrt(2 * Math.PI);
}

/** Inverse of `normalCdf`, by bisection. */
function normalQuantile(p: number): number {
  let low = -8;
  let high = 8;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < p) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return (low + high) / 2;
}
