import { PathExpectation, PathRates } from './decision';

/** Weight of the newest answer. */
const WEIGHT = 0.1;
/** How many times farther than what is believed an answer counts for at most: one that is farther says more of a mishap than of the rates. */
const MOST = 8;
/** What may be believed, either way. */
const BOUND = 1e4;
/** A path that is not measured is believed for so long, and for so many answers of others; with each such span beyond it is thought to be half as slow. */
const BELIEVED_SECONDS = 30;
const BELIEVED_ANSWERS = 100;
/** The best that is thought of a path that nobody has measured. */
const BENEFIT_OF_DOUBT = 0.5;

/**
 * What is expected of a path: its rates, times what has been measured over what they predicted, so that a wrong estimate heals.
 *
 * A path that was slow is chosen no more, and so not measured: in time it is thought better of, until a request is sent there again. Until that one has been
 * measured, which a slow path takes long for, the others keep to what was known before.
 *
 * Times are in seconds on a clock that never goes back.
 */
export class Recalibration implements PathExpectation {
  public readonly rates: PathRates;
  /** As of when `asOf` was called last. */
  public ttftFactor = 1;
  public tpotFactor = 1;
  private readonly ttft: Belief;
  private readonly tpot: Belief;

  /**
   * @param rates what was estimated.
   * @param now from when on it is believed.
   */
  constructor(rates: PathRates, now: number) {
    this.rates = rates;
    this.ttft = new Belief(now);
    this.tpot = new Belief(now);
  }

  /** Tells what is expected now. */
  public asOf(now: number): void {
    this.ttftFactor = this.ttft.asOf(now);
    this.tpotFactor = this.tpot.asOf(now);
  }

  /** The path was chosen for a request, by what was expected then. */
  public chosen(now: number): void {
    this.ttft.chosen(now);
    this.tpot.chosen(now);
  }

  /** A first token came after so many seconds; the rates had predicted others. */
  public learnTtft(measuredSeconds: number, predictedSeconds: number, now: number): void {
    this.ttft.learn(measuredSeconds / predictedSeconds, now);
  }

  /** The tokens of an answer took so many seconds each; the rates had predicted others. */
  public learnTpot(measuredSeconds: number, predictedSeconds: number, now: number): void {
    this.tpot.learn(measuredSeconds / predictedSeconds, now);
  }

  /** Another path was measured: whatever made this one slow may be over, or was never so, which only being chosen again can show. */
  public doubt(): void {
    this.ttft.doubt();
    this.tpot.doubt();
  }
}

/** How many times longer than predicted one latency is. */
class Belief {
  private factor = 1;
  private measuredAt: number;
  private answersSince = 0;
  /** Since when a request is out to see whether this is better than believed, and how good that was thought to be. */
  private triedAt = -Infinity;
  private triedFactor = 1;

  constructor(now: number) {
    this.measuredAt = now;
  }

  public asOf(now: number): number {
    return now < this.triedAt + BELIEVED_SECONDS ? this.factor : this.doubted(now);
  }

  public chosen(now: number): void {
    const factor = this.asOf(now);
    if (factor < this.factor) {
      this.triedAt = now;
      this.triedFactor = factor;
    }
  }

  public learn(told: number, now: number): void {
    if (told > 0) {
      const from = this.triedAt > this.measuredAt ? this.triedFactor : this.factor;
      const factor = from + WEIGHT * (Math.min(MOST * from, Math.max(from / MOST, told)) - from);
      this.factor = Math.min(BOUND, Math.max(1 / BOUND, factor));
      this.measuredAt = now;
      this.answersSince = 0;
      this.triedAt = -Infinity;
    }
  }

  public doubt(): void {
    this.answersSince++;
  }

  private doubted(now: number): number {
    const halvings = Math.min((now - this.measuredAt) / BELIEVED_SECONDS, this.answersSince / BELIEVED_ANSWERS) - 1;
    return halvings <= 0 ? this.factor : Math.max(Math.min(this.factor, BENEFIT_OF_DOUBT), this.factor * 2 ** -halvings);
  }
}
