import { Problem, ProblemsError } from '../problems';

/**
 * Does something of several; where the input is wrong, its problems are kept and the rest goes on.
 *
 * @param problems where they are kept.
 * @param action what is done.
 * @returns what it returns; undefined where the input is wrong.
 */
export function attempt<T>(problems: Problem[], action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof ProblemsError)) {
      throw error;
    }
    problems.push(...error.problems);
    return undefined;
  }
}
