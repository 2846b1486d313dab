/**
 * How often requests come to one of `engines` engines while it reads a prompt, over how often they come to it on average, where each goes to the engine with
 * the fewest. One that has just been given a request has no longer the fewest, and none of its own ends before it writes again.
 *
 * Exact for one engine; else a fit to simulations (of 2 to 16 engines at loads of 0.3 to 0.9, both ways to read prompts: within 0.2, but for answers of so
 * few lengths that they end together). What estimates are off by with it, `benchmark/closed-form.ts` tells.
 *
 * @param load share of their capacity that is in use.
 * @param writesMeanwhile whether engines write tokens in the steps in which they read.
 */
export function arrivalsWhileReading(engines: number, load: number, writesMeanwhile: boolean): number {
  const share = Math.min(1, load);
  return 1 - (1 - 1 / engines) * (writesMeanwhile ? 2 / 3 - share / 2 : (1 - share) * 0.6);
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
