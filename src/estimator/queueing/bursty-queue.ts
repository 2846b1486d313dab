/** A share of the arrivals below which nobody waits. */
const NEVER = 1e-18;

/** Levels below this share of those above no longer count. */
const NEGLIGIBLE = 1e-12;

/**
 * Gaps of an arrival process of mean 1: Poisson, or where they vary more, exponentials of two lengths that each take half of the time, as simulated arrivals are.
 */
class Gaps {
  public readonly shortShare: number;
  public readonly longShare: number;
  public readonly shortRate: number;
  public readonly longRate: number;

  /** @param scv squared coefficient of variation; below 1 taken for 1. */
  constructor(scv: number) {
    this.shortShare = (1 + Math.sqrt(Math.max(0, (scv - 1) / (scv + 1)))) / 2;
    this.longShare = 1 - this.shortShare;
    this.shortRate = 2 * this.shortShare;
    this.longRate = 2 * this.longShare;
  }

  /** The chance that nothing which happens at this rate happens in a gap. */
  public untouched(rate: number): number {
    return this.shortShare * this.shortRate / (this.shortRate + rate) + this.longShare * this.longRate / (this.longRate + rate);
  }
}

/**
 * Chance that an arrival finds all servers busy, who finish what they have at rates that may depend on how many work (GI/M/c, state-dependent): Erlang C for
 * Poisson arrivals and servers alike.
 *
 * By the ratios of the chances to find `n` and `n + 1`, from full downwards: exact, and in a time that grows with the root of the servers.
 *
 * @param servers whole number from 1 on.
 * @param arrivalsPerSecond of all servers together; where they reach what full servers finish, the chance is 1.
 * @param finishedPerSecond by `n` busy servers.
 * @param arrivalScv squared coefficient of variation of the gaps; below 1 taken for 1.
 */
export function waitingProbability(
  servers: number, arrivalsPerSecond: number, finishedPerSecond: (busy: number) => number, arrivalScv: number,
): number {
  const full = finishedPerSecond(servers) / arrivalsPerSecond;
  if (full <= 1) {
    return 1;
  }
  const gaps = new Gaps(arrivalScv);
  const { shortShare, longShare, shortRate, longRate } = gaps;
  const free = freeShare(1 / full, arrivalScv);
  // by phase of the gap: time at one level more, for each arrival at this one
  let short = shortShare / (shortRate + full * free);
  let long = longShare / (longRate + full * free);
  let above = full;
  let chance = 1;
  let below = 0;
  let ratio = 1 - free;
  for (let n = servers - 1; n >= 0; n--) {
    chance /= ratio;
    below += chance;
    if (below * free * NEVER > 1) {
      return 0;
    }
    if (n === 0 || chance < NEGLIGIBLE * below) {
      break;
    }
    const rate = finishedPerSecond(n) / arrivalsPerSecond;
    const shortTime = 1 / (shortRate + rate);
    const longTime = 1 / (longRate + rate);
    ratio = gaps.untouched(rate) / (1 - above * (shortRate * short * shortTime + longRate * long * longTime));
    short = (shortShare + above * ratio * short) * shortTime;
    long = (longShare + above * ratio * long) * longTime;
    above = rate;
  }
  return 1 / (1 + below * free);
}

/**
 * Mean wait of who waits, in seconds: Allen and Cunneen's approximation of GI/G/m, with the exact decay of GI/M/m where gaps vary more than Poisson's, which
 * other moments of theirs than the second decide; exact in the mean for M/G/1 and GI/M/m.
 */
export function conditionalWaitSeconds(
  servers: number, arrivalsPerSecond: number, meanServiceSeconds: number, arrivalScv: number, serviceScv: number,
): number {
  const load = arrivalsPerSecond * meanServiceSeconds / servers;
  const ofArrivals = arrivalScv > 1 ? 1 / freeShare(load, arrivalScv) - 0.5 / (1 - load) : arrivalScv / 2 / (1 - load);
  return meanServiceSeconds / servers * (ofArrivals + serviceScv / 2 / (1 - load));
}

/**
 * Squared coefficient of variation of the wait of who waits in M/G/1, first come, first served: of Takács's moments, `E[W] = l E[S^2] / 2 (1 - r)` and
 * `E[W^2] = 2 E[W]^2 + l E[S^3] / 3 (1 - r)`, over the share `r` that waits (Kleinrock, Queueing Systems I, section 5.7).
 *
 * @param unevenness `E[S] E[S^3] / E[S^2]^2` of service times: 1 where they are alike, 1.5 of an exponential.
 */
export function conditionalWaitScv(load: number, unevenness: number): number {
  return 2 * load - 1 + 4 / 3 * (1 - load) * unevenness;
}

/** How many times the mean rate arrivals come at in a burst: 1 for Poisson, up to 2. */
export function burstRate(arrivalScv: number): number {
  return arrivalScv > 1 ? new Gaps(arrivalScv).shortRate : 1;
}

/**
 * Variance over mean of how many are served at once where all are served (peakedness, GI/M/infinity): 1 for Poisson arrivals.
 *
 * @param load mean of them.
 */
export function peakedness(load: number, arrivalScv: number): number {
  return arrivalScv > 1 ? 1 / (1 - new Gaps(arrivalScv).untouched(1 / load)) - load : 1;
}

/** One less the ratio by which each number waiting is less likely than the one before, of GI/M/m at this load of a server. */
function freeShare(load: number, arrivalScv: number): number {
  const poisson = 1 - 2 * load;
  return arrivalScv > 1 ? (poisson + Math.sqrt(poisson * poisson + 8 * load * (1 - load) / (arrivalScv + 1))) / 2 : 1 - load;
}
