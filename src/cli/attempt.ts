import { Problem, ProblemsError } from '../problems';

/**
 * Does something of several; where the input is wrong, its problems are kept and the rest goes on.
 *
 * @param problems where they are kept.
 * @param action what is done.
 */
export function attempt(problems: Problem[], action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof ProblemsError)) {
      throw error;
    }
    problems.push(...error.problems);
  }
}
