import { pino } from 'pino';
import { LogLines } from './log-lines';
import { runRouter } from './router';
import { Problems, ProblemsError } from '../../problems';

const lines = new LogLines(pino.destination({ sync: true }));
const log = pino({}, lines);
// no line is lost or overtaken at the exit.
process.on('exit', () => lines.flush());

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
