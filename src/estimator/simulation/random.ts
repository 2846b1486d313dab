/* eslint-disable no-bitwise -- the generator and the logarithm are defined on bits */
const LN2 = 0.6931471805599453;
const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);
// words[1] is the high word where memory is little-endian, as it is wherever Node.js runs
const HIGH = 1;

/**
 * Seeded random numbers: xoshiro128**, the same on every machine.
 *
 * Only integer operations, + - * / and square roots are used, which IEEE 754 fixes to the last bit; `Math.log` is not fixed, so there is an own one.
 * Source of the generator: https://prng.di.unimi.it/xoshiro128starstar.c
 */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  /**
   * @param seed any whole number; its lower 32 bits count.
   * @param stream tells apart generators of the same seed.
   */
  constructor(seed: number, stream: number) {
    let state = (seed ^ Math.imul(stream + 1, 0x9E3779B9)) | 0;
    // splitmix32 spreads the seed
    const next = () => {
      state = (state + 0x9E3779B9) | 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x85EBCA6B);
      z = Math.imul(z ^ (z >>> 13), 0xC2B2AE35);
      return z ^ (z >>> 16);
    };
    this.a = next();
    this.b = next();
    this.c = next();
    this.d = next() | 1;
  }

  /** Uniform on [0, 1), in steps of 2^-32. */
  public uniform(): number {
    return this.word() * 2 ** -32;
  }

  /** Exponential of mean 1. */
  public exponential(): number {
    return -log((this.word() + 0.5) * 2 ** -32);
  }

  private word(): number {
    const product = Math.imul(this.b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= shifted;
    this.d = (this.d << 11) | (this.d >>> 21);
    return result >>> 0;
  }
}

/**
 * Natural logarithm of a normal number above 0, within 1e-15 relative of the true one or 1e-16 absolute, from bit-specified operations alone.
 */
export function log(x: number): number {
  float[0] = x;
  let exponent = (words[HIGH] >>> 20) - 1023;
  words[HIGH] = (words[HIGH] & 0xFFFFF) | 0x3FF00000;
  let m = float[0];
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent++;
  }
  // 2 atanh(z), |z| <= 0.1716: terms beyond z^19 are below 1e-16
  const z = (m - 1) / (m + 1);
  const q = z * z;
  const series = 1 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11 + q * (1 / 13 + q * (1 / 15 + q * (1 / 17 + q / 19))))))));
  return exponent * LN2 + 2 * z * series;
}
