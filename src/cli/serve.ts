import { Problem, ProblemsError } from '../problems';
import { runRouter, standardLog } from '../router/runtime';

/**
 * Runs the router of a configuration file until it is told to stop, then drains it. Its log is on standard output, a JSON object a line.
 *
 * Rejects with ProblemsError with everything that is wrong with the configuration.
 */
export async function serve(file: string): Promise<void> {
  try {
    await runRouter({ ...process.env, ROUTER_CONFIG: undefined, ROUTER_CONFIG_FILE: file }, standardLog());
  } catch (e) {
    throw e instanceof ProblemsError ? new ProblemsError(e.problems.map(asOption)) : e;
  }
}

/** A problem of the router's environment, where it is one of an option. */
function asOption(problem: Problem): Problem {
  return problem.rule === 'RouterConfigUnreadable' ? { ...problem, path: '--config' } : problem;
}
