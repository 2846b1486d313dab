/** Parts of a run, of as many requests each in order of arrival. */
const PARTS = 32;

/** How many of them are taken together, and 97.5 % quantiles of Student's t for the parts that are left. */
const TOGETHER: readonly (readonly [number, number])[] = [[1, 2.040], [2, 2.131], [4, 2.365]];

/**
 * How well a run tells a mean, by the means of its parts: the method of batch means.
 *
 * What a queue was like is like what it is, the longer the nearer the engines are to what they can take, so that the requests of a run are fewer than they are in
 * number. Means of parts that are longer than that are independent. Of parts that are not the spread says too little, the less the longer the parts: of some
 * lengths the one that says most counts. A queue that still grows from the empty one of the start spreads them too.
 *
 * Source: Law, Simulation Modeling and Analysis, 5th edition, section 9.5.3.
 */
export class BatchMeans {
  private readonly sums = new Float64Array(PARTS);
  private readonly counts = new Float64Array(PARTS);
  private readonly partsPerRequest: number;

  /**
   * @param requests of the run.
   */
  constructor(requests: number) {
    this.partsPerRequest = PARTS / requests;
  }

  /**
   * Takes the value of one request.
   *
   * @param request its number in order of arrival, from 0.
   * @param value its share in the mean.
   */
  public add(request: number, value: number): void {
    const part = Math.floor(request * this.partsPerRequest);
    this.sums[part] += value;
    this.counts[part]++;
  }

  /** Half the width of the mean's 95 % interval, as a share of the mean, which must be above 0; undefined of a run of fewer requests than parts. */
  public get errorShare(): number | undefined {
    return this.counts.every((count) => count > 0) ? Math.max(...TOGETHER.map(([together, t]) => this.halfWidth(together, t))) : undefined;
  }

  private halfWidth(together: number, t: number): number {
    const parts = PARTS / together;
    const means = Array.from({ length: parts }, (_, i) => total(this.sums, i * together, together) / total(this.counts, i * together, together));
    const mean = means.reduce((sum, one) => sum + one, 0) / parts;
    const variance = means.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (parts - 1);
    return t * Math.sqrt(variance / parts) / mean;
  }
}

function total(column: Float64Array, from: number, count: number): number {
  return column.subarray(from, from + count).reduce((sum, one) => sum + one, 0);
}
