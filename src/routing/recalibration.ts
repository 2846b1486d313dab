import { PathExpectation, PathRates } from './decision';

/** Weight of the newest answer. */
const WEIGHT = 0.1;
/** How far a measurement may be from what was predicted: one that is farther says more of a mishap than of the rates. */
const MOST = 8;
/** How much better a path is thought of with each answer of another: few enough of them are sent to see whether that is so. */
const FORGOTTEN = 0.002;
/** The best that is thought of a path that nobody has measured. */
const BENEFIT_OF_DOUBT = 0.5;

/**
 * What is expected of a path: its rates, times what has been measured over what they predicted, so that a wrong estimate heals.
 */
export class Recalibration implements PathExpectation {
  public readonly rates: PathRates;
  public ttftFactor = 1;
  public tpotFactor = 1;

  /**
   * @param rates what was estimated.
   */
  constructor(rates: PathRates) {
    this.rates = rates;
  }

  /** A first token came after so many seconds; the rates had predicted others. */
  public learnTtft(measuredSeconds: number, predictedSeconds: number): void {
    this.ttftFactor = towards(this.ttftFactor, measuredSeconds / predictedSeconds);
  }

  /** The tokens of an answer took so many seconds each; the rates had predicted others. */
  public learnTpot(measuredSeconds: number, predictedSeconds: number): void {
    this.tpotFactor = towards(this.tpotFactor, measuredSeconds / predictedSeconds);
  }

  /** Another path was measured: whatever made this one slow may be over, or was never so, which only being chosen again can show. */
  public doubt(): void {
    this.ttftFactor = doubted(this.ttftFactor);
    this.tpotFactor = doubted(this.tpotFactor);
  }
}

function doubted(factor: number): number {
  return factor <= BENEFIT_OF_DOUBT ? factor : Math.max(BENEFIT_OF_DOUBT, factor * (1 - FORGOTTEN));
}

function towards(factor: number, told: number): number {
  return told > 0 ? factor + WEIGHT * (Math.min(MOST, Math.max(1 / MOST, told)) - factor) : factor;
}
