import { LinkQueue } from './link-queue';
import { Coefficients } from './phases/coefficients';
import { kvTransferSeconds, linkRates, narrowerEnd, postingSeconds } from './phases/kv-transfer';
import { KvLink, Plant } from './plant';
import { PromptReading } from './prompt-reading';
import { RequestMoments } from './request-moments';

/**
 * How long requests wait for their KV caches to move from prefill to decode; no time at all where both are one.
 */
export class CacheTransfers {
  /** Load over capacity of the links. */
  public load = 0;
  /** Mean wait of all requests, in seconds. */
  public meanSeconds = 0;
  /** Seconds that requests of each class wait in any case. */
  public readonly fixedSeconds: Float64Array;
  /** Share of the requests that wait for others besides, and mean seconds of these: an exponential wait. */
  public share = 0;
  public seconds = 0;

  private readonly queue = new LinkQueue();

  constructor(private readonly plant: Plant, private readonly requests: RequestMoments, private readonly reading: PromptReading) {
    this.fixedSeconds = new Float64Array(plant.classes.weights.length);
  }

  /** Solves for a rate and counts. */
  public solve(
    requestsPerSecond: number, prefillInstances: number, decodeInstances: number, prefillSet: Coefficients, decodeSet: Coefficients,
  ): void {
    const { link, prefill, decode, arrivalScv } = this.plant;
    if (link === undefined || prefill === undefined) {
      return;
    }
    const { reading, requests: { meanPromptKvBytes, promptKvScv } } = this;
    const rates = linkRates(link, prefillSet, decodeSet, prefill, decode);
    const { isPrefill, links, bytesPerSecond } = narrowerEnd(rates, prefillInstances, decodeInstances);
    const { enginesPerInstance } = isPrefill ? prefill : decode;
    this.load = requestsPerSecond * meanPromptKvBytes / (links * bytesPerSecond);
    this.queue.solve({
      perSecond: requestsPerSecond / links,
      flows: Math.max(1, Math.floor(bytesPerSecond / rates.flow)),
      seconds: meanPromptKvBytes / rates.flow,
      scv: promptKvScv,
      // engines take turns, those of one instance one after the other
      arrivalScv: arrivalScv * (1 - (1 - 1 / links) / enginesPerInstance),
      readers: prefillInstances * prefill.enginesPerInstance / links,
      apartSeconds: reading.meanAloneSeconds,
      // what moves while its prompt is read begins with it, so that longer ones are followed later
      apartScv: link.overlapLayers > 1 ? 0 : reading.aloneScv,
    });
    this.wait(link, rates.flow, prefillSet);
  }

  /** Each waits in proportion to its length: what is longer than the mean as long as that at random, and by so much longer in any case. */
  private wait(link: KvLink, flow: number, prefillSet: Coefficients): void {
    const { fixedSeconds, queue, reading: { aloneSeconds }, plant: { classes: { weights } } } = this;
    const { promptKvBytes, meanPromptKvBytes, shorterKvShare } = this.requests;
    const mean = queue.share * queue.seconds;
    let fixed = 0;
    let shown = 0;
    for (let i = 0; i < weights.length; i++) {
      const moving = promptKvBytes[i] / flow + mean * Math.max(0, promptKvBytes[i] / meanPromptKvBytes - 1);
      fixedSeconds[i] = kvTransferSeconds(moving, this.setUpSeconds(i, link, prefillSet), link.overlapLayers, aloneSeconds[i]);
      fixed += weights[i] * fixedSeconds[i];
      const hidden = link.overlapLayers > 1 ? aloneSeconds[i] - moving : 0;
      shown += weights[i] * (hidden > 0 ? Math.exp(-hidden / queue.seconds) : 1);
    }
    this.share = queue.share * shown * shorterKvShare;
    this.seconds = queue.seconds;
    this.meanSeconds = fixed + this.share * this.seconds;
  }

  private setUpSeconds(i: number, { blockTokens }: KvLink, { linkBaseSeconds, linkDescriptorSeconds }: Coefficients): number {
    const { model: { kvTensors }, classes: { inputTokens } } = this.plant;
    return blockTokens === undefined ? linkBaseSeconds : postingSeconds(kvTensors, inputTokens[i], blockTokens, linkDescriptorSeconds);
  }
}
