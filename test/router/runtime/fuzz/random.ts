const MODULUS = 2 ** 31 - 1;

/** Numbers that look random and are the same for the same seed. */
export class Random {
  private state: number;

  constructor(seed: number, index: number) {
    this.state = (seed * 1_000_003 + index * 7_919) % (MODULUS - 1) + 1;
    // neighbours begin alike.
    this.next();
    this.next();
  }

  /** From 0 up to but without 1: Park and Miller's generator. */
  public next(): number {
    this.state = this.state * 48_271 % MODULUS;
    return this.state / MODULUS;
  }

  /** A whole number below a bound. */
  public below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  public chance(share: number): boolean {
    return this.next() < share;
  }

  public pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }

  public bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  /** The bytes with some of them changed, left out, doubled or added. */
  public damaged(bytes: Buffer): Buffer {
    let damaged = Buffer.from(bytes);
    for (let n = 1 + this.below(4); n > 0; n--) {
      const at = this.below(damaged.length + 1);
      const to = Math.min(damaged.length, at + 1 + this.below(16));
      const middle = this.pick([
        () => this.bytes(to - at), () => Buffer.alloc(0), () => Buffer.concat([damaged.subarray(at, to), damaged.subarray(at, to)]),
        () => this.bytes(this.below(8)),
      ])();
      damaged = Buffer.concat([damaged.subarray(0, at), middle, damaged.subarray(to)]);
    }
    return this.chance(0.2) ? damaged.subarray(0, this.below(damaged.length + 1)) : damaged;
  }

  /** The bytes in up to so many pieces. */
  public torn(bytes: Buffer, pieces: number): Buffer[] {
    const cuts = Array.from({ length: this.below(pieces) }, () => this.below(bytes.length + 1)).sort((a, b) => a - b);
    return [...cuts, bytes.length].map((end, i) => bytes.subarray(cuts[i - 1] ?? 0, end));
  }
}
