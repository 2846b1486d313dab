// Fits to simulations of 2, 4 and 8 engines at loads of 0.5 to 0.9, to within 0.1 but for answers that are all as long as each other. What estimates are off by
// with them, `npx tsx --tsconfig benchmark/tsconfig.json benchmark/closed-form.ts` prints, by serving, lengths and engines.

/** By how much fewer come to one of many engines that have little to do, and what of that is lost as they fill. */
const FEWER_AT_IDLE = 2 / 3;
const LOST_WITH_LOAD = 0.4;

/** The load from which on answers that end together bring prompts together, and by how much they do where steps read and write, and where they do either. */
const TOGETHER_FROM_LOAD = 0.5;
const TOGETHER_IN_STEPS = 1;
const TOGETHER_BETWEEN_STEPS = 2;

/**
 * How often requests come to one of `engines` engines while it reads a prompt, over how often they come to it on average, where each goes to the engine with
 * the fewest. One that has just been given a request has no longer the fewest, and few of its own end before it writes again; but those that it read one after
 * the other end together if they are as long as each other, and then others come in their places. Exact for one engine.
 *
 * @param load share of their capacity that is in use.
 * @param writesMeanwhile whether engines write tokens in the steps in which they read.
 * @param alike chance that the answers of two prompts which it may read together are as long as each other.
 */
export function arrivalsWhileReading(engines: number, load: number, writesMeanwhile: boolean, alike: number): number {
  const share = Math.min(1, load);
  const together = (writesMeanwhile ? TOGETHER_IN_STEPS : TOGETHER_BETWEEN_STEPS) * alike * alike * Math.max(0, share - TOGETHER_FROM_LOAD);
  return 1 - (1 - 1 / engines) * Math.max(0, FEWER_AT_IDLE - LOST_WITH_LOAD * share - together);
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
