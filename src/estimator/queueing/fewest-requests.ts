/** Of engines that read between steps: the least of a share that is lost as they fill, where requests come as others leave, some of them together. */
const TOGETHER = -0.025;

/**
 * How often requests come to one of `engines` engines while it reads a prompt, over how often they come to it on average, where each goes to the engine with
 * the fewest, of equals to the one that was given none for longest. One that has just been given a request is neither, and few of its own end before it writes
 * again; where answers are as long as each other one ends for each request that comes, so that turns are kept. Exact for one engine, else a fit to simulations
 * of 2 to 16 engines. What estimates are off by with it, `npx tsx --tsconfig benchmark/tsconfig.json benchmark/closed-form.ts` prints.
 *
 * @param load share of their capacity that is in use.
 * @param writesMeanwhile whether engines write tokens in the steps in which they read.
 * @param timeScv squared coefficient of variation of the times that requests take.
 */
export function arrivalsWhileReading(engines: number, load: number, writesMeanwhile: boolean, timeScv: number): number {
  const share = Math.min(1, load);
  const others = 1 - 1 / engines;
  return writesMeanwhile ? (1 - others * (1 - share * share)) ** (1 + 2 * Math.max(0, 1 - 3 * timeScv))
    : 1 - others * Math.max(TOGETHER, 1 - 1.5 * share ** 3);
}

/**
 * Variance over mean of how many requests come to one of `engines` engines in the time that one takes: 1 for one engine and Poisson arrivals.
 *
 * The number in all is as random as that of one engine's arrivals, and each engine has an equal part of it. Beyond that, requests come as others leave: the
 * places of an engine renew themselves, and renewals vary as their times do (Cox, Renewal Theory, section 4.2).
 *
 * @param timeScv squared coefficient of variation of the times that requests take.
 */
export function arrivalDispersion(engines: number, timeScv: number): number {
  return 1 / engines + (1 - 1 / engines) * Math.min(1, timeScv);
}
