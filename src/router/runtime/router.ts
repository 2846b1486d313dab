import type { Logger } from 'pino';
import { collectDefaultMetrics } from 'prom-client';
import { ApiKeys } from './auth/api-keys';
import { Authenticator, EVERYBODY } from './auth/authenticator';
import { JsonWebTokens } from './auth/json-web-tokens';
import { RotatingApiKeys } from './auth/rotating-api-keys';
import { RouterConfig } from './config';
import { RouterMetrics } from './metrics';
import { RouterServer } from './server';
import { Target } from './targets/target';

/** A router that listens. */
export interface RunningRouter {
  /** TCP port. */
  readonly port: number;
  /** Where its metrics are registered. */
  readonly metrics: RouterMetrics;
  /** Goes down without losing a request. */
  drain(): Promise<void>;
}

/**
 * Starts a router.
 *
 * Rejects with ProblemsError if the API keys that the environment holds are none.
 *
 * @param config what to serve.
 * @param env the variables that the configuration names.
 * @param log where to write a line a request.
 */
export async function startRouter(config: RouterConfig, env: { readonly [name: string]: string | undefined }, log: Logger): Promise<RunningRouter> {
  const authenticator = authenticatorOf(config.auth, env, log);
  const targets = config.targets.map((target) => new Target(target, target.apiKeyEnv === undefined ? undefined : env[target.apiKeyEnv]));
  const metrics = new RouterMetrics(config.expected);
  const server = new RouterServer({ config, authenticator, targets, metrics, log });
  const port = await server.listen();
  log.info({ port, model: config.model.id, targets: config.targets.map(({ name, role }) => ({ name, role })), auth: authenticator.kind }, 'listening');
  return { port, metrics, drain: async () => server.drain().finally(() => authenticator.stop()) };
}

function authenticatorOf(auth: RouterConfig['auth'], env: { readonly [name: string]: string | undefined }, log: Logger): Authenticator {
  if (auth === 'none') {
    return EVERYBODY;
  }
  if ('jwt' in auth) {
    return new JsonWebTokens(auth.jwt);
  }
  const keys = env[auth.apiKeysEnv]!;
  return auth.apiKeysSecret === undefined ? new ApiKeys(keys) : new RotatingApiKeys(keys, auth.apiKeysSecret, log);
}

/**
 * Runs a router as this process: with the process' own metrics, and until SIGTERM or SIGINT, at which it drains and exits.
 *
 * Rejects with ProblemsError if the API keys that the environment holds are none.
 */
export async function runRouter(config: RouterConfig, log: Logger): Promise<void> {
  const router = await startRouter(config, process.env, log);
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
