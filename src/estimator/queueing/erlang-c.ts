/** A probability below which nobody waits. */
const NEVER = 1e-18;

/**
 * Probability that an arrival waits, with `servers` servers and `load` Erlangs offered (Erlang C), by the stable recursion of Erlang B.
 *
 * 1 where the load reaches the servers, and 0 where it is below 1e-18.
 */
export function erlangC(servers: number, load: number): number {
  if (load >= servers) {
    return 1;
  }
  let blocking = 1;
  for (let i = 1; i <= servers; i++) {
    blocking = load * blocking / (i + load * blocking);
    // falls ever faster from here on
    if (i > load && blocking < NEVER) {
      return 0;
    }
  }
  return blocking / (1 - load / servers * (1 - blocking));
}

/**
 * Mean wait given that an arrival waits, in seconds: Allen and Cunneen's approximation of GI/G/m, exact in the mean for M/G/1.
 */
export function conditionalWaitSeconds(
  servers: number, arrivalsPerSecond: number, meanServiceSeconds: number, arrivalScv: number, serviceScv: number,
): number {
  return meanServiceSeconds / (servers - arrivalsPerSecond * meanServiceSeconds) * (arrivalScv + serviceScv) / 2;
}
