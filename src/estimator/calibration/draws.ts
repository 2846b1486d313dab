import { CORRELATION_TOLERANCE, Correlations, correlationOf } from './calibration';
import { choleskyFactor } from '../cholesky';
import { CoefficientName, Coefficients } from '../phases/coefficients';
import { DRAWS, latinHypercube } from '../uncertainty';

/** The least that a coefficient is drawn as, of its centre. */
const LEAST_SHARE = 0.05;

/** A coefficient that is drawn. */
export interface SpreadCoefficient {
  readonly name: CoefficientName;
  readonly value: number;
  /** Standard deviation of the logarithm. */
  readonly relativeSigma: number;
}

/**
 * Draws of coefficients that go together as their fit says: a Latin hypercube of normal deviates, each coefficient's a sum of its own and those before it
 * (Cholesky). What several do together and what is known of their sum stays so in every draw.
 *
 * Shares and gains multiply, and are drawn by their logarithms. Times that were fitted together add up, and one is so much more as another is less: they are
 * drawn in proportion.
 */
export class CoefficientDraws {
  private readonly columns: Float64Array[];

  /**
   * @param coefficients what is drawn.
   * @param correlations of these and perhaps of others.
   * @param firstDimension of the hypercube: those before it are of other draws.
   */
  constructor(private readonly coefficients: readonly SpreadCoefficient[], correlations: Correlations, firstDimension = 0) {
    const matrix = coefficients.map((one, i) => coefficients.slice(0, i + 1).map((other) => correlationOf(correlations, one.name, other.name)));
    const factor = choleskyFactor(matrix, CORRELATION_TOLERANCE)!;
    const deviates = latinHypercube(coefficients.length, firstDimension);
    this.columns = coefficients.map(({ name, value, relativeSigma }, i) => {
      const isSummed = name.endsWith('Seconds') && matrix.some((row, j) => (j < i ? matrix[i][j] : j > i ? row[i] : 0) !== 0);
      return Float64Array.from({ length: DRAWS }, (_, draw) => {
        const by = relativeSigma * factor[i].reduce((sum, share, j) => sum + share * deviates[j][draw], 0);
        const drawn = value * (isSummed ? Math.max(LEAST_SHARE, 1 + by) : Math.exp(by));
        return name.endsWith('Utilisation') ? Math.min(1, drawn) : drawn;
      });
    });
  }

  /** Coefficients that are drawn. */
  public get dimensions(): number {
    return this.coefficients.length;
  }

  /** Writes what a draw gives into `into`. */
  public fill(into: Coefficients, draw: number): void {
    this.coefficients.forEach(({ name }, i) => {
      into[name] = this.columns[i][draw];
    });
  }
}
