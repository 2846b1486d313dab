import { pino } from 'pino';
import { collectDefaultMetrics } from 'prom-client';
import { loadRouterConfig } from './config';
import { startRouter } from './router';
import { Problems, ProblemsError } from '../../problems';

// synchronous, so that no line is lost or overtaken at the exit.
const log = pino(pino.destination({ sync: true }));

async function main(): Promise<void> {
  const router = await startRouter(loadRouterConfig(process.env), process.env, log);
  collectDefaultMetrics({ register: router.metrics.registry });
  let stopping = false;
  const stop = (signal: string) => {
    if (!stopping) {
      stopping = true;
      log.info({ signal }, 'stopping');
      void router.drain().then(() => process.exit(0));
    }
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

main().catch((error: unknown) => {
  if (error instanceof ProblemsError) {
    error.problems.forEach((problem) => log.fatal({ problem }, Problems.format([problem])));
  } else {
    log.fatal(error as Error, 'the router cannot start');
  }
  process.exit(1);
});
