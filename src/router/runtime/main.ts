import { runRouter } from './router';
import { standardLog } from './telemetry/log-lines';
import { Problems, ProblemsError } from '../../problems';

const log = standardLog();

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
