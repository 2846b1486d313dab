import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { ApiKeys } from './auth/api-keys';
import { Authenticator, EVERYBODY } from './auth/authenticator';
import { JsonWebTokens } from './auth/json-web-tokens';
import { RotatingApiKeys } from './auth/rotating-api-keys';
import { RouterConfig } from './config';
import { Forwarder } from './forwarder';
import { RouterMetrics } from './metrics';
import { Engines } from './targets/engines';
import { Target } from './targets/target';

/** What a service is made from. */
export interface ServiceParts {
  readonly config: RouterConfig;
  /** The variables that the configuration names. */
  readonly env: { readonly [name: string]: string | undefined };
  readonly metrics: RouterMetrics;
  readonly log: Logger;
}

/**
 * What one configuration is served with. A request that an engine has stays to its end with the service that it came to.
 */
export class Service {
  public readonly config: RouterConfig;
  public readonly authenticator: Authenticator;
  public readonly targets: Target[];
  public readonly forwarder: Forwarder;
  private readonly added: Engines[];
  private requests = 0;
  private onIdle?: () => void;

  /**
   * Throws ProblemsError if the API keys that the environment holds are none.
   *
   * @param parts what it is made from.
   * @param before what was served before: what the configuration does not change goes on, connections, health, and what was learnt.
   */
  constructor({ config, env, metrics, log }: ServiceParts, before?: Service) {
    this.config = config;
    const isSameAuth = before !== undefined && isDeepStrictEqual(config.auth, before.config.auth);
    this.authenticator = isSameAuth ? before.authenticator : authenticatorOf(config.auth, env, log, before?.authenticator);
    const known = new Map(before?.targets.map((target) => [target.config.name, target]));
    this.targets = config.targets.map((target) => known.get(target.name)?.as(target)
      ?? new Target(target, new Engines(target, target.apiKeyEnv === undefined ? undefined : env[target.apiKeyEnv])));
    this.added = this.targets.map(({ engines }) => engines).filter((engines) => !before?.has(engines));
    this.forwarder = new Forwarder(config, this.targets, metrics, before?.forwarder);
  }

  /** Starts to watch the engines that were not known before. Resolves after the first round, whatever it found. */
  public async start(): Promise<void> {
    await Promise.all(this.added.map(async (engines) => engines.start()));
  }

  /** Requests come to it from now on, and those that wait are its own. */
  public takeOver(before: Service): void {
    this.targets.forEach(({ engines, config }) => engines.limit(config.maxInFlight));
    before.forwarder.giveWayTo(this.forwarder);
  }

  /** Whether a target of it has these engines. */
  public has(engines: Engines): boolean {
    return this.targets.some((target) => target.engines === engines);
  }

  /** A request came to it. */
  public began(): void {
    this.requests++;
  }

  /** A request that came to it has ended. */
  public ended(): void {
    this.requests--;
    if (this.requests === 0) {
      this.onIdle?.();
    }
  }

  /** Resolves once every request that came to it has ended. */
  public async idle(): Promise<void> {
    if (this.requests > 0) {
      await new Promise<void>((resolve) => {
        this.onIdle = resolve;
      });
    }
  }

  /** Stops what it has and its successor does not. */
  public async stop(successor?: Service): Promise<void> {
    if (this.authenticator !== successor?.authenticator) {
      this.authenticator.stop();
    }
    const engines = this.targets.map((target) => target.engines).filter((of) => !successor?.has(of));
    await Promise.all(engines.map(async (of) => of.stop()));
  }
}

function authenticatorOf(auth: RouterConfig['auth'], env: ServiceParts['env'], log: Logger, before: Authenticator | undefined): Authenticator {
  if (auth === 'none') {
    return EVERYBODY;
  }
  if ('jwt' in auth) {
    return new JsonWebTokens(auth.jwt);
  }
  const keys = env[auth.apiKeysEnv]!;
  if (auth.apiKeysSecret === undefined) {
    return new ApiKeys(keys);
  }
  const rotating = new RotatingApiKeys(keys, auth.apiKeysSecret, log);
  rotating.continue(before);
  return rotating;
}
