import { FULLEST } from './prompt-queue';
import { conditionalWaitSeconds, waitingProbability } from './queueing/bursty-queue';

/** What waits less on the average seldom waits at all, as a share of what a transfer takes alone. */
const SELDOM = 0.4;

/** What KV caches do to a link, and where they come from. */
export interface LinkTraffic {
  /** Caches a second over one link, and how many it carries before they slow each other down. */
  readonly perSecond: number;
  readonly flows: number;
  /** Mean seconds of one that has the link to itself, and their squared coefficient of variation. */
  readonly seconds: number;
  readonly scv: number;
  /** Squared coefficient of variation of the gaps between requests whose caches pass one link. */
  readonly arrivalScv: number;
  /** Engines that read the prompts of these, and mean seconds from the begin of one transfer to that of the next one of a busy engine. */
  readonly readers: number;
  readonly apartSeconds: number;
  /** Squared coefficient of variation of that time, as long as it has nothing to do with how long the first of them takes; else 0. */
  readonly apartScv: number;
}

/**
 * How long KV caches wait for others on their link, beyond what they take alone.
 *
 * Transfers share a link evenly: each waits in proportion to its bytes, and all of them `2 / (1 + scv)` times as long as if they moved one after the other, as in
 * M/G/1. They come from engines that read one prompt at a time, which keeps them apart: of two queues one after the other with times that are alike, requests
 * wait as long in both as they would before the slower one alone (Friedman, Operations Research 13, 1965), so that they wait for the link only where it is slower
 * than their engines. Where prompts differ, or come from several engines, some still come close together. What is not known exactly is fit to simulations of 1 to
 * 8 engines.
 */
export class LinkQueue {
  /** Share of the caches that wait. */
  public share = 0;
  /** Mean wait of these, in seconds: an exponential one. */
  public seconds = 0;

  /** Solves for a link. */
  public solve({ perSecond, flows, seconds, scv, arrivalScv, readers, apartSeconds, apartScv }: LinkTraffic): void {
    const load = Math.min(perSecond * seconds / flows, FULLEST);
    const inTurn = waitSeconds(flows, load, seconds, arrivalScv, scv);
    const apart = apartSeconds * flows / readers;
    // engines that are slower keep caches apart that are as long as each other
    const kept = apart < seconds ? waitSeconds(flows, Math.min(perSecond * apart / flows, FULLEST), apart, arrivalScv, scv) : inTurn;
    const alike = 1 / (1 + apartScv * apartScv);
    const slower = (1 - alike) * inTurn + alike * Math.max(0, inTurn - kept);
    const together = load * seconds * Math.max(Math.sqrt(apartScv), readers > flows ? 1 : 0);
    const sharing = 2 / (1 + scv);
    const mean = Math.min(sharing * inTurn, sharing * slower + together);
    this.seconds = mean + SELDOM * seconds;
    this.share = mean / this.seconds;
  }
}

/** Mean wait of those that move one after the other, `servers` at a time. */
function waitSeconds(servers: number, load: number, seconds: number, arrivalScv: number, scv: number): number {
  const perSecond = load * servers / seconds;
  const waiting = waitingProbability(servers, perSecond, (busy) => busy / seconds, arrivalScv);
  // who comes more evenly than at random seldom meets others at all
  const evenness = arrivalScv < 1 ? Math.exp(-0.735 * (1 - load) * ((1 - arrivalScv) / (arrivalScv + scv / 2)) ** 0.75) : 1;
  return waiting * conditionalWaitSeconds(servers, perSecond, seconds, arrivalScv, scv) * evenness;
}
