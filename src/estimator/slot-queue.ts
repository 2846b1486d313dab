import { Plant } from './plant';
import { FULLEST } from './prompt-queue';
import { PromptReading, Writing } from './prompt-reading';
import { burstRate, conditionalWaitSeconds, waitingProbability } from './queueing/bursty-queue';
import { RequestMoments } from './request-moments';

/**
 * How long requests wait for a slot of an engine: the router finds a free one wherever there is one, so that those of all engines are one queue's servers; solving
 * allocates nothing but what it calls back.
 */
export class SlotQueue {
  /** Load over capacity; 1 or more is unstable. */
  public load = 0;
  /** Share of the requests that wait. */
  public share = 0;
  /** Mean wait of these, in seconds. */
  public seconds = 0;
  /** By how much the number of held slots varies more than arrivals make it, as a prompt's work comes all at once: over its mean. */
  public heldScv = 0;
  /** Whether bursts are taken to have everyone wait. */
  public everyoneWaits = false;

  private workScv = 0;

  constructor(
    private readonly plant: Plant,
    private readonly requests: RequestMoments,
    private readonly reading: PromptReading,
    private readonly writing: Writing,
  ) {}

  /** Load of the slots in a burst. */
  public get burstLoad(): number {
    return this.load * burstRate(this.plant.arrivalScv);
  }

  /**
   * Takes how much the work of requests varies, at full engines. A prompt's comes all at once, that of its tokens over all the time that they hold a slot: so the
   * number of held slots, which is of tokens alone, varies more than the arrivals do.
   */
  public weighWork(): void {
    const { plant: { classes: { weights }, prefill }, writing: { fullBatch, stepSeconds }, requests: { decoded }, reading: { fullSeconds } } = this;
    const share = stepSeconds(fullBatch) / fullBatch;
    let all = 0;
    let allSquares = 0;
    let written = 0;
    let writtenSquares = 0;
    for (let i = 0; i < weights.length; i++) {
      const own = decoded[i] * share;
      const whole = own + (prefill === undefined ? fullSeconds[i] : 0);
      all += weights[i] * whole;
      allSquares += weights[i] * whole * whole;
      written += weights[i] * own;
      writtenSquares += weights[i] * own * own;
    }
    this.workScv = all > 0 ? Math.max(0, allSquares / (all * all) - 1) : 0;
    this.heldScv = written > 0 ? 2 * Math.max(0, allSquares / all / (writtenSquares / written) - 1) : 0;
  }

  /**
   * @param engines that have slots.
   * @param waitingInBursts share of the requests that wait where bursts outrun the slots, which the queue cannot tell; undefined asks it all the same.
   */
  public solve(requestsPerSecond: number, engines: number, waitingInBursts: number | undefined): void {
    const { plant: { decode, arrivalScv }, writing: { fullBatch } } = this;
    const slots = Math.round(fullBatch * engines);
    const heldSeconds = this.heldSeconds(engines);
    this.load = requestsPerSecond / engines * heldSeconds(fullBatch * engines) / fullBatch;
    const admitted = Math.min(requestsPerSecond, FULLEST * slots / heldSeconds(slots));
    const bound = this.burstLoad > 1 ? waitingInBursts : undefined;
    this.everyoneWaits = bound === 1;
    // nobody does where prompts fill the steps before tokens fill the slots: it is the prompts that wait then
    this.share = fullBatch < decode.slots ? 0
      : bound ?? waitingProbability(slots, admitted, (busy) => busy / heldSeconds(busy), arrivalScv + this.heldScv);
    this.seconds = conditionalWaitSeconds(slots, admitted, heldSeconds(slots), arrivalScv, this.workScv);
  }

  /**
   * Seconds that a request holds its slot beside so many others of all engines, whose prompts an aggregated engine reads too: the parabola through those of one
   * request, half of a full batch and all of it.
   */
  private heldSeconds(engines: number): (busy: number) => number {
    const { reading, plant: { prefill, decode }, writing: { tokens, fullBatch, stepSeconds } } = this;
    // steps of a request that write, or read in their place
    const held = (batch: number) => (tokens + (decode.stepTokens === undefined ? 0 : reading.meanSteps(batch))) * stepSeconds(batch)
      + (prefill === undefined ? batch * reading.meanSeconds(batch) : 0);
    const half = (1 + fullBatch) / 2;
    const full = held(fullBatch);
    const one = fullBatch > 1 ? held(1) : full;
    const slope = fullBatch > 1 ? (full - one) / (fullBatch - 1) : 0;
    const bend = fullBatch > 1 ? (held(half) - (one + full) / 2) / (half - 1) ** 2 : 0;
    return (busy) => {
      const batch = Math.min(fullBatch, Math.max(1, busy / engines));
      return one + slope * (batch - 1) + bend * (batch - 1) * (fullBatch - batch);
    };
  }
}
