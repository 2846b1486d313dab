import type { Logger } from 'pino';
import { collectDefaultMetrics } from 'prom-client';
import { loadRouterConfig, RouterConfig } from './config';
import { Service } from './service';
import { CertificateWatch } from './serving/certificate-watch';
import { RouterServer } from './serving/server';
import { EmbeddedMetrics } from './telemetry/embedded-metrics';
import { RouterMetrics } from './telemetry/metrics';
import { OpenTelemetry } from './telemetry/open-telemetry';
import { Problems, ProblemsError } from '../../problems';

/** Memory that small buffers share a piece of. Node's 8 KiB are used up by a few parts of answers, and each piece is work for V8. */
const BUFFER_POOL_BYTES = 64 * 1024;

type Environment = { readonly [name: string]: string | undefined };

/** A router that listens. */
export interface RunningRouter {
  /** TCP port. */
  readonly port: number;
  /** Where its metrics are registered. */
  readonly metrics: RouterMetrics;
  /**
   * Serves new requests by another configuration; those that there are end as they began. Resolves once it does; rejects with ProblemsError, and goes on as
   * before, if the API keys that the environment holds are none. One call is to end before the next.
   */
  reload(config: RouterConfig): Promise<void>;
  /** Goes down without losing a request. */
  drain(): Promise<void>;
}

/**
 * Starts a router.
 *
 * Rejects with ProblemsError if the API keys that the environment holds are none, or if its port is in use; nothing of it is left then.
 *
 * @param config what to serve.
 * @param env the variables that the configuration names.
 * @param log where to write a line a request.
 */
export async function startRouter(config: RouterConfig, env: Environment, log: Logger): Promise<RunningRouter> {
  const metrics = new RouterMetrics(config.expected);
  const service = new Service({ config, env, metrics, log });
  const telemetry = OpenTelemetry.from(env, log);
  const watch = config.tls && new CertificateWatch(config.tls, (certificate) => server.prove(certificate), log);
  const embedded = config.emf && new EmbeddedMetrics(config.emf, metrics, () => server.current.targets, log);
  const server: RouterServer = new RouterServer({ service, certificate: watch?.certificate, metrics, embedded, telemetry, log });
  const stop = async () => {
    await embedded?.stop();
    await telemetry?.stop();
  };
  let port: number;
  try {
    port = await server.listen();
  } catch (e) {
    watch?.stop();
    await stop();
    throw e;
  }
  log.info({ port, ...summary(service) }, 'listening');
  return {
    port,
    metrics,
    reload: async (next) => {
      const replacement = new Service({ config: next, env, metrics, log }, server.current);
      await replacement.start();
      server.replace(replacement);
      if (watch !== undefined && next.tls !== undefined) {
        watch.read(next.tls);
      }
      const settings = fixedSettings(config, next);
      if (settings.length > 0) {
        log.warn({ settings }, 'these settings change at a restart alone');
      }
      log.info(summary(replacement), 'reloaded');
    },
    drain: async () => {
      watch?.stop();
      await server.drain();
      await stop();
    },
  };
}

function summary({ config, authenticator }: Service): object {
  return { model: config.model.id, targets: config.targets.map(({ name, role }) => ({ name, role })), auth: authenticator.kind };
}

/** What differs and cannot be changed while the router runs. */
function fixedSettings(started: RouterConfig, next: RouterConfig): string[] {
  const settings: { readonly [path: string]: (config: RouterConfig) => unknown } = {
    'host': ({ host }) => host,
    'port': ({ port }) => port,
    'tls': ({ tls }) => tls === undefined,
    'emf': ({ emf }) => JSON.stringify([emf?.namespace, emf?.router, emf?.intervalSeconds]),
    'limits.maxHeaderBytes': ({ limits }) => limits.maxHeaderBytes,
    'expected, as boundaries of histograms': ({ expected }) => JSON.stringify([expected?.ttftSeconds, expected?.tpotSeconds]),
  };
  return Object.keys(settings).filter((path) => settings[path](started) !== settings[path](next));
}

/**
 * Runs a router as this process: with the process' own metrics, and until SIGTERM or SIGINT, at which it drains and exits. At SIGHUP it reads its configuration
 * and its certificate anew; a configuration that is wrong is told in the log, and that before it stays.
 *
 * Rejects with ProblemsError with everything that is wrong with the configuration.
 *
 * @param env the environment: what holds or names the configuration, and the variables that it names.
 * @param log where to write a line a request.
 */
export async function runRouter(env: Environment, log: Logger): Promise<void> {
  Buffer.poolSize = BUFFER_POOL_BYTES;
  const starting = startRouter(loadRouterConfig(env), env, log);
  let stopping = false;
  const stop = (signal: string) => {
    if (!stopping) {
      stopping = true;
      log.info({ signal }, 'stopping');
      // who started it is told if it cannot start.
      void starting.then(async (router) => {
        await router.drain();
        process.exit(0);
      }, () => undefined);
    }
  };
  let reloaded: Promise<unknown> = starting;
  // a signal may come as soon as the log says that it listens.
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => {
    reloaded = reloaded.then(async () => (stopping ? undefined : reload(await starting, env, log)));
  });
  collectDefaultMetrics({ register: (await starting).metrics.registry });
}

async function reload(router: RunningRouter, env: Environment, log: Logger): Promise<void> {
  try {
    await router.reload(loadRouterConfig(env));
  } catch (e) {
    if (e instanceof ProblemsError) {
      e.problems.forEach((problem) => log.error({ problem }, Problems.format([problem])));
    } else {
      log.error(e as Error);
    }
    log.error('the configuration is not taken: that before stays');
  }
}
