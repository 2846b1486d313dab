import { pino } from 'pino';
import { runRouter } from './router';
import { Problems, ProblemsError } from '../../problems';

// synchronous, so that no line is lost or overtaken at the exit.
const log = pino(pino.destination({ sync: true }));

async function main(): Promise<void> {
  await runRouter(process.env, log);
}

main().catch((error: unknown) => {
  if (error instanceof ProblemsError) {
    error.problems.forEach((problem) => log.fatal({ problem }, Problems.format([problem])));
  } else {
    log.fatal(error as Error, 'the router cannot start');
  }
  process.exit(1);
});
