/** A probability below which nobody waits. */
const NEVER = 1e-18;

/** From so many servers on the limit of many servers is within a hundredth. */
const MANY = 500;

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
 * The same in a time that does not grow with the servers: from 500 of them on by the limit of Halfin and Whitt, `1 / (1 + b P(b) / p(b))` with
 * `b = (1 - load / servers) sqrt(servers)` and the standard normal's distribution P and density p.
 */
export function erlangCOfMany(servers: number, load: number): number {
  if (servers < MANY || load >= servers) {
    return erlangC(servers, load);
  }
  const margin = (1 - load / servers) * Math.sqrt(servers);
  return 1 / (1 + margin * normalCdf(margin) * Math.sqrt(2 * Math.PI) * Math.exp(margin * margin / 2));
}

/**
 * Mean wait given that an arrival waits, in seconds: Allen and Cunneen's approximation of GI/G/m, exact in the mean for M/G/1.
 */
export function conditionalWaitSeconds(
  servers: number, arrivalsPerSecond: number, meanServiceSeconds: number, arrivalScv: number, serviceScv: number,
): number {
  return meanServiceSeconds / (servers - arrivalsPerSecond * meanServiceSeconds) * (arrivalScv + serviceScv) / 2;
}

/** Distribution of the standard normal above 0, to 1e-7: Abramowitz and Stegun 26.2.17. */
function normalCdf(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const tail = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return 1 - tail * Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
}
