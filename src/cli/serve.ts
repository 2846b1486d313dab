import { pino } from 'pino';
import { runRouter } from '../router/runtime';

/**
 * Runs the router of a configuration file until it is told to stop, then drains it. Its log is on standard output, a JSON object a line.
 *
 * Rejects with ProblemsError with everything that is wrong with the configuration.
 */
export async function serve(file: string): Promise<void> {
  await runRouter({ ...process.env, ROUTER_CONFIG: undefined, ROUTER_CONFIG_FILE: file }, pino(pino.destination({ sync: true })));
}
