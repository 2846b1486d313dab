import { Coefficients } from './phases/coefficients';
import { kvSeconds } from './phases/mixed';
import { Plant } from './plant';
import { FULLEST, PromptQueue } from './prompt-queue';
import { PromptReading, Writing } from './prompt-reading';
import { batchVariance } from './queueing/batch';
import { arrivalDispersion } from './queueing/fewest-requests';
import { CUTS, CUT_OF_SHARE, SHARES, SpreadMixture } from './queueing/spread-mixture';
import { RequestMoments } from './request-moments';
import { SlotQueue } from './slot-queue';
import { WritingEngines } from './writing-engines';

/** Groups of answers at most, by their lengths, whose times per token are told apart. */
const GROUPS = 8;

/** Answers are long, as far as nothing is left of a full step by their end, from so many tokens on. */
const LONG_ANSWER = 64;

/** A chance below which tries are as good as Poisson's. */
const FEW = 1e-3;

/** The cut above the median that is as far from it as each cut below. */
const MIRRORED = CUTS.filter((z) => z < 0).map((z) => CUTS.findIndex((other) => Math.abs(other + z) < 1e-6));
const MEDIAN = MIRRORED.length;
/** The cut at the 95th percentile: what is measured there of a spread that is nearly normal tells of its deviation. */
const P95 = CUT_OF_SHARE[2];

/**
 * What the tokens after the first take, and how times per token and whole answers are spread; solving allocates nothing.
 */
export class LaterTokens {
  /** Mean over the requests of what others that came behind them add to their tokens after the first, in seconds. */
  public besideSeconds = 0;
  /** Mean time per token. */
  public perTokenSeconds = 0;

  private readonly groupOf: Int32Array;
  /** Of the answers of several tokens those of each group, as a share. */
  private readonly shares: Float64Array;
  /** Sums over these: of what is read beside a token, in seconds, of its square, and of the prompts that come while they are written. */
  private readonly means: Float64Array;
  private readonly squares: Float64Array;
  private readonly coming: Float64Array;
  private readonly perToken: SpreadMixture;
  /** By how much a token takes longer where the batch is as much fuller than on average as a cut says, and with a context that is as much longer. */
  private readonly fuller = new Float64Array(CUTS.length);
  private readonly around = new Float64Array(CUTS.length);
  /** Seconds that a token takes longer whose context is longer by a deviation of those of all. */
  private ownSeconds = 0;
  /** Mean of what is read beside a token, in seconds. */
  private beside = 0;
  /** Variance of what is read beside all tokens of a request, of answers of one length. */
  private besideVariance = 0;

  /**
   * @param engines what they do.
   */
  constructor(
    private readonly plant: Plant,
    private readonly requests: RequestMoments,
    private readonly reading: PromptReading,
    private readonly queue: PromptQueue,
    private readonly slots: SlotQueue,
    private readonly engines: WritingEngines,
    private readonly writing: Writing,
  ) {
    const { classes: { weights, outputTokens }, prefill } = plant;
    this.groupOf = prefill === undefined ? groupsByLength(weights, outputTokens) : new Int32Array(weights.length);
    const groups = this.groupOf.reduce((most, group) => Math.max(most, group), 0) + 1;
    this.shares = new Float64Array(groups);
    this.means = new Float64Array(groups);
    this.squares = new Float64Array(groups);
    this.coming = new Float64Array(groups);
    this.perToken = new SpreadMixture(2 * groups);
  }

  /** Takes coefficients. */
  public use(decodeSet: Coefficients): void {
    const { plant: { decode }, requests: { kvSpreadBytes, pace } } = this;
    this.ownSeconds = decode.wafers === undefined ? kvSeconds(decode.engine, decodeSet, kvSpreadBytes) / pace : 0;
  }

  /**
   * Adds what the later tokens take to what the first ones do.
   *
   * Prompts that come behind a request's own are read while its tokens are written, and so are those that come meanwhile (a busy period, whose mean and variance
   * grow by these powers of what is left of the engine), unless there are other engines for them; where all slots are taken they come one for one: on the way from
   * one to the other half is taken, so that times per token never fall as load rises.
   */
  public solve(firstTokenSeconds: Float64Array, lastTokenSeconds: Float64Array): void {
    const { engines, reading, queue, groupOf, shares, means, squares, coming, plant } = this;
    const { classes: { weights, outputTokens }, decode, prefill } = plant;
    const { tokenSeconds, plainStep, whileReading, meanPrefill, promptsPerSecond, batch } = engines;
    const aggregated = prefill === undefined;
    const isChunked = decode.stepTokens !== undefined;
    const promptShare = aggregated ? Math.min(engines.promptLoad, FULLEST) : 0;
    const free = 1 - this.slots.share / 2;
    const echo = 1 + promptShare / (1 - promptShare) / engines.count;
    const behind = free * whileReading * promptShare * echo;
    const most = this.mostBesideToken;
    const square = reading.meanSquare(engines.seen) - (1 - this.dispersion) * meanPrefill * meanPrefill;
    const scatteredSquare = promptsPerSecond * square * (1 + free * (echo * echo - 1));
    // of those who come in the step that is running, others' tokens take account
    const since = queue.behindSeconds + (isChunked ? -tokenSeconds : engines.running / 2 - plainStep);
    // so many more come in time than by chance, as bursts go on
    const burst = aggregated ? Math.max(0, plant.arrivalScv - 1) / 2 / engines.count : 0;
    const burstEnd = 2 * promptsPerSecond * engines.count / (plant.arrivalScv + 1);
    const passing = Math.log(promptShare);
    shares.fill(0);
    means.fill(0);
    squares.fill(0);
    coming.fill(0);
    this.besideSeconds = 0;
    this.besideVariance = 0;
    this.beside = 0;
    for (let i = 0; i < weights.length; i++) {
      const tokens = outputTokens[i] - 1;
      lastTokenSeconds[i] = firstTokenSeconds[i] + Math.max(0, tokens) * tokenSeconds;
      if (aggregated && tokens > 0) {
        const came = Math.max(0, reading.readSeconds(i, batch) + since);
        // where steps that read write too, what comes in one is read in the next, and what comes in that in the one after it
        const passed = isChunked && tokens < LONG_ANSWER ? 1 - Math.exp(tokens * passing) : 1;
        // steps have room for no more, and what is behind varies as an exponential does
        const bursting = burst > 0 ? burst * meanPrefill * echo * (1 - Math.exp(-burstEnd * (came + tokenSeconds * tokens))) : 0;
        const expected = (behind * passed * came + bursting) / tokens;
        const perToken = most < Infinity ? most * (1 - Math.exp(-expected / most)) : expected;
        const share = weights[i] / this.requests.severalTokens;
        lastTokenSeconds[i] += perToken * tokens;
        this.besideSeconds += weights[i] * perToken * tokens;
        const variance = scatteredSquare * (tokenSeconds * tokens + free * whileReading * came) + (behind * passed) ** 2 * queue.variance;
        this.besideVariance += weights[i] * variance;
        const whole = tokenSeconds - plainStep + perToken;
        const group = groupOf[i];
        this.beside += share * perToken;
        shares[group] += share;
        means[group] += share * whole;
        squares[group] += share * (whole * whole + variance / (tokens * tokens));
        coming[group] += share * promptsPerSecond * (whileReading * came + engines.whileWriting * plainStep * tokens);
      }
    }
    this.perTokenSeconds = tokenSeconds + this.beside;
  }

  /**
   * Writes percentiles of times per token, and adds what answers' tokens are spread by to those of whole answers, which are spread as lengths and waits are,
   * independent of it. The batch fluctuates around its mean, a request's own context is longer or shorter than the others', and so is what is read beside it.
   *
   * @param perToken where in `latencies` the percentiles of times per token go, and where those of whole answers are.
   */
  public spread(latencies: Float64Array, perToken: number, answers: number): void {
    this.fluctuate();
    this.spreadTokens();
    this.perToken.quantiles(latencies, perToken);
    this.spreadAnswers(latencies, answers);
  }

  /** Takes how much longer tokens take in fuller batches, and beside longer contexts. */
  private fluctuate(): void {
    const { engines, slots, fuller, around, ownSeconds, writing: { fullBatch, stepSeconds } } = this;
    const { batch, seen, tokenSeconds, inflation } = engines;
    const deviation = Math.sqrt(batchVariance(batch, tokenSeconds, stepSeconds(seen + 1) * inflation) * engines.dispersion(batch));
    for (let cut = MEDIAN; cut < CUTS.length; cut++) {
      fuller[cut] = engines.tokenSecondsIn(slots.everyoneWaits ? fullBatch : Math.min(seen + CUTS[cut] * deviation, fullBatch)) - tokenSeconds;
      around[cut] = Math.hypot(fuller[cut], CUTS[cut] * ownSeconds * inflation);
    }
    for (let cut = 0; cut < MEDIAN; cut++) {
      around[cut] = slots.everyoneWaits ? around[MEDIAN] : -around[MIRRORED[cut]];
    }
  }

  /** Beside some answers of a group nothing is read, and what is read beside the others is spread as a gamma distribution. */
  private spreadTokens(): void {
    const { engines: { plainStep, inflation }, around, perToken, shares, means, squares, coming, dispersion, plant: { prefill } } = this;
    const most = this.reading.fullestStepSeconds - plainStep;
    const full = around[MEDIAN];
    const deviation = (around[P95] - full) / CUTS[P95];
    for (let group = 0; group < shares.length; group++) {
      const share = prefill === undefined ? shares[group] : 1;
      const nobody = share > 0 && prefill === undefined ? nobodyComes(coming[group] / share, dispersion) : 1;
      const besides = share * (1 - nobody);
      const mean = besides > 0 ? means[group] / besides : 0;
      // by Wilson and Hilferty (doi:10.1073/pnas.17.12.684) a gamma distribution's cube root is nearly normal
      const scv = mean > 0 ? (Math.max(0, squares[group] / besides - mean * mean) + deviation * deviation) / (mean * mean) : 0;
      const cv = Math.sqrt(scv);
      perToken.weigh(2 * group, share - besides);
      perToken.weigh(2 * group + 1, besides);
      for (let cut = 0; cut < CUTS.length; cut++) {
        const root = Math.max(0, 1 - scv / 9 + CUTS[cut] * cv / 3);
        perToken.cut(2 * group, cut, plainStep + around[cut] / inflation);
        perToken.cut(2 * group + 1, cut, plainStep + full + Math.min(most, mean * root * root * root));
      }
    }
  }

  private spreadAnswers(latencies: Float64Array, at: number): void {
    const { engines: { tokenSeconds, plainStep }, fuller, beside, besideSeconds, besideVariance, requests: { laterTokens, laterSpread } } = this;
    // answers of one token have nothing after the first
    if (laterSpread === 0) {
      return;
    }
    const room = this.mostBesideToken - beside;
    const skew = skewSeconds((tokenSeconds - plainStep) * laterTokens + besideSeconds, besideVariance, room * laterTokens);
    const median = latencies[at];
    for (let q = 1; q < SHARES.length; q++) {
      const z = CUTS[CUT_OF_SHARE[q]];
      const around = Math.hypot(fuller[CUT_OF_SHARE[q]] * laterSpread, z * Math.sqrt(besideVariance) + (z * z - 1) * skew);
      latencies[at + q] = median + Math.hypot(latencies[at + q] - median, Math.min(around, room * laterSpread));
    }
  }

  /** Variance over mean of how many prompts come to an engine: where all slots are taken they come as others leave, whatever the engines. */
  private get dispersion(): number {
    const { decodedScv } = this.requests;
    return arrivalDispersion(this.engines.count, decodedScv) * (1 - this.slots.share) + Math.min(1, decodedScv) * this.slots.share;
  }

  /** Seconds that prompts may add to a token at most. */
  private get mostBesideToken(): number {
    return Math.max(0, this.reading.fullestStepSeconds - this.engines.tokenSeconds);
  }
}

/** The group of each class: by the lengths of answers, as many as there are, or each of as many of those of several tokens. */
function groupsByLength(weights: Float64Array, outputTokens: Float64Array): Int32Array {
  const groups = new Int32Array(weights.length);
  const several = Array.from(weights.keys()).filter((i) => outputTokens[i] > 1).sort((a, b) => outputTokens[a] - outputTokens[b]);
  const all = several.reduce((sum, i) => sum + weights[i], 0);
  const isFew = new Set(several.map((i) => outputTokens[i])).size <= GROUPS;
  let group = -1;
  let before = 0;
  several.forEach((i, place) => {
    if (outputTokens[i] !== outputTokens[several[place - 1]] && (isFew || before >= (group + 1) / GROUPS * all)) {
      group++;
    }
    groups[i] = group;
    before += weights[i];
  });
  return groups;
}

/** Chance that nobody comes of so many on average, whose number has this variance over its mean: as of tries each of which succeeds by the same chance. */
function nobodyComes(mean: number, dispersion: number): number {
  const success = Math.min(1 - dispersion, mean);
  return success < FEW ? Math.exp(-mean) : success >= 1 ? 0 : (1 - success) ** (mean / success);
}

/**
 * Of what is spread as a gamma distribution, as is what an engine reads while it writes a request's tokens: a third of its deviation times its coefficient of
 * variation, by which Cornish and Fisher (doi:10.2307/1400905) have its quantiles from the normal ones; no more than there is room for.
 */
function skewSeconds(mean: number, variance: number, room: number): number {
  return mean > 0 ? Math.min(mean, variance / mean, room) / 3 : 0;
}
