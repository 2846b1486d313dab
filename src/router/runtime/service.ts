import { performance } from 'node:perf_hooks';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { RateLimits } from './admission/rate-limits';
import { SharedRateLimits } from './admission/shared-rate-limits';
import { ApiKeys } from './auth/api-keys';
import { Authenticator, EVERYBODY } from './auth/authenticator';
import { JsonWebTokens } from './auth/json-web-tokens';
import { RotatingApiKeys } from './auth/rotating-api-keys';
import { RouterConfig, TargetConfig } from './config';
import { Forwarder } from './execution/forwarder';
import { Engines } from './targets/engines';
import { Target } from './targets/target';
import { RouterMetrics } from './telemetry/metrics';

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
  /** Those of services before it that had their own engines, which may still have requests. */
  private readonly earlier: Target[];
  private readonly rateLimits: RateLimits;
  /** Undefined where routers limit callers each by itself. */
  private readonly sharedLimits?: SharedRateLimits;
  private requests = 0;
  private onIdle?: () => void;

  /**
   * Throws ProblemsError if the API keys that the environment holds are none.
   *
   * @param parts what it is made from.
   * @param before what was served before: what the configuration does not change goes on, connections, health, and what was learnt.
   */
  constructor(parts: ServiceParts, before?: Service) {
    const { config, env, metrics, log } = parts;
    this.config = config;
    const isSameAuth = before !== undefined && isDeepStrictEqual(config.auth, before.config.auth);
    this.authenticator = isSameAuth ? before.authenticator : authenticatorOf(config.auth, env, log, before?.authenticator);
    const known = before === undefined ? [] : [...before.targets, ...before.earlier].filter(({ engines }) => !engines.isStopped);
    this.targets = targetsOf(config.targets, known, env, log);
    this.earlier = known.filter(({ engines }) => !this.targets.some((target) => target.engines === engines));
    this.rateLimits = before?.rateLimits ?? new RateLimits(config.rateLimits);
    const isSameLimits = isDeepStrictEqual(config.rateLimits, before?.config.rateLimits);
    this.sharedLimits = isSameLimits ? before!.sharedLimits : sharedLimitsOf(parts, this.rateLimits);
    this.forwarder = new Forwarder(config, this.targets, this.sharedLimits ?? this.rateLimits, metrics, before?.forwarder);
  }

  /** Starts to watch the engines that were not known before, and connects. Resolves after the first round, whatever it found. */
  public async start(): Promise<void> {
    await Promise.all([...this.targets.map(async ({ engines }) => engines.start()), this.sharedLimits?.start()]);
  }

  /** Requests come to it from now on, and those that wait are its own. */
  public takeOver(before: Service): void {
    this.targets.forEach(({ engines, config }) => engines.limit(config.maxInFlight));
    this.rateLimits.limit(this.config.rateLimits, performance.now());
    before.forwarder.giveWayTo(this.forwarder);
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

  /** Stops what it has and its successor, or another, does not. */
  public async stop(successor?: Service): Promise<void> {
    if (this.authenticator !== successor?.authenticator) {
      this.authenticator.stop();
    }
    if (this.sharedLimits !== successor?.sharedLimits) {
      this.sharedLimits?.stop();
    }
    await Promise.all(this.targets.map(async ({ engines }) => engines.stop()));
  }
}

/** The targets of a configuration: with the engines that are known by their name, or else by another, so that requests that they have are counted. */
function targetsOf(configs: TargetConfig[], known: Target[], env: ServiceParts['env'], log: Logger): Target[] {
  const left = [...known];
  const take = (config: TargetConfig, isIt: (target: Target) => boolean) => {
    const at = left.findIndex((target) => isIt(target) && target.engines.areOf(config));
    return at === -1 ? undefined : left.splice(at, 1)[0].as(config);
  };
  const named = configs.map((config) => take(config, (target) => target.config.name === config.name));
  return configs.map((config, i) => named[i] ?? take(config, () => true)
    ?? new Target(config, new Engines(config, config.apiKeyEnv === undefined ? undefined : env[config.apiKeyEnv]?.trim(), undefined, log)));
}

function authenticatorOf(auth: RouterConfig['auth'], env: ServiceParts['env'], log: Logger, before: Authenticator | undefined): Authenticator {
  if (auth === 'none') {
    return EVERYBODY;
  }
  if ('jwt' in auth) {
    return new JsonWebTokens(auth.jwt, log);
  }
  const keys = env[auth.apiKeysEnv]!;
  if (auth.apiKeysSecret === undefined) {
    return new ApiKeys(keys);
  }
  const rotating = new RotatingApiKeys(keys, auth.apiKeysSecret, log);
  rotating.continue(before);
  return rotating;
}

function sharedLimitsOf({ config: { rateLimits }, env, metrics, log }: ServiceParts, local: RateLimits): SharedRateLimits | undefined {
  const { valkey } = rateLimits;
  const password = valkey?.passwordEnv === undefined ? undefined : env[valkey.passwordEnv];
  return valkey && new SharedRateLimits({ limits: rateLimits, valkey, password, local, metrics, log });
}
