/**
 * How often requests come to one of `engines` engines while it reads a prompt, over how often they come to it on average, where each goes to the engine with
 * the fewest, of equals to the one that was given none for longest. One that has just been given a request has more than others, until these have as many: of
 * many engines those get one then that have not lost any meanwhile. What estimates are off by with it,
 * `npx tsx --tsconfig benchmark/tsconfig.json benchmark/closed-form.ts` prints.
 *
 * @param load of an engine by prompts.
 * @param writing how fast it writes meanwhile, over how fast it does on average: 0 where it reads between steps.
 */
export function arrivalsWhileReading(engines: number, load: number, writing: number): number {
  return 1 / engines + (1 - 1 / engines) * (load + (1 - load) * writing);
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
