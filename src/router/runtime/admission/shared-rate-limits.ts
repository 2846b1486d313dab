import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, Redis, RedisOptions } from 'iovalkey';
import type { Logger } from 'pino';
import { LimitReached, RateLimiter, RateLimits } from './rate-limits';
import { RateLimitsConfig, ValkeyConfig } from '../config';
import { RouterMetrics } from '../telemetry/metrics';

/** How long Valkey is not asked after it did not answer in time, so that few requests wait for nothing. */
const PAUSE_MILLIS = 1_000;
/** Longest pause between two attempts to connect. */
const RECONNECT_MILLIS = 1_000;
const CONNECT_TIMEOUT_MILLIS = 5_000;
/** What is logged of what a server says. */
const MAX_FAILURE_CHARS = 200;
/** What is not limited, as a number that the script can reckon with. */
const UNLIMITED = 1e15;

/**
 * What `RateLimits` does, in one step and by the server's clock, so that neither races nor clocks of routers matter. An allowance that is whole is not kept.
 * Arguments: requests and tokens per minute, requests and tokens that are taken, and 1 if they are taken whatever is left. Returns which limit is reached, 0 for
 * none, and when to come back.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local kept = redis.call('HMGET', KEYS[1], '1', '2', 'at')
local minutes = kept[3] and math.max(0, now - kept[3]) / 60000 or 0
local left, reached, after = {}, 0, 0
for i = 1, 2 do
  local limit, asked = tonumber(ARGV[i]), tonumber(ARGV[i + 2])
  left[i] = math.min(limit, (tonumber(kept[i]) or limit) + limit * minutes)
  local short = (math.min(asked, limit) - left[i]) * 60000 / limit
  if ARGV[5] == '0' and short > 0.1 and short > after then
    reached, after = i, short
  end
  left[i] = math.min(limit, left[i] - asked)
end
if reached > 0 then
  return {reached, math.ceil(after)}
end
local whole = 0
for i = 1, 2 do
  local limit = tonumber(ARGV[i])
  whole = math.max(whole, (limit - left[i]) * 60000 / limit)
end
if whole > 0 then
  redis.call('HSET', KEYS[1], '1', left[1], '2', left[2], 'at', now)
  redis.call('PEXPIRE', KEYS[1], math.ceil(whole))
else
  redis.call('DEL', KEYS[1])
end
return {0, 0}
`;

/** The script as a command of the client. */
interface Allowances {
  takeAllowance(key: string, ...args: number[]): Promise<unknown>;
}

/** What shared limits are made of. */
export interface SharedRateLimitsParts {
  /** The same for every caller; what is left out is not limited. */
  readonly limits: RateLimitsConfig;
  /** Where allowances are kept. */
  readonly valkey: ValkeyConfig;
  /** Its password, if it has one. */
  readonly password?: string;
  /** What callers had of this router, by which it judges without Valkey. */
  readonly local: RateLimits;
  readonly metrics: RouterMetrics;
  /** Where it is told that Valkey cannot be asked. */
  readonly log: Logger;
}

/**
 * Limits that routers share: Valkey keeps the allowances. While it cannot be asked, this router judges by what it has admitted itself, which it counts all the
 * time; no request waits longer for Valkey than is configured, and few as long.
 */
export class SharedRateLimits implements RateLimiter {
  private readonly limits: readonly [number, number];
  private readonly local: RateLimits;
  private readonly prefix: string;
  private readonly client: Redis | Cluster;
  private readonly metrics: RouterMetrics;
  private readonly log: Logger;
  private pausedUntilMillis = 0;
  private isAway = false;

  constructor({ limits, valkey, password, local, metrics, log }: SharedRateLimitsParts) {
    this.limits = [limits.requestsPerMinute ?? UNLIMITED, limits.tokensPerMinute ?? UNLIMITED];
    this.local = local;
    this.prefix = valkey.keyPrefix;
    this.metrics = metrics;
    this.log = log;
    this.client = clientOf(valkey, password);
    // each failed attempt tells one, and so does a command that fails for it.
    this.client.on('error', () => undefined);
    this.client.defineCommand('takeAllowance', { numberOfKeys: 1, lua: SCRIPT });
  }

  public reached(caller: string, promptTokens: number, nowMillis: number): LimitReached | undefined {
    // what this router alone has let in is too much for all of them.
    return this.local.reached(caller, promptTokens, nowMillis);
  }

  public begin(caller: string, nowMillis: number): void {
    this.local.begin(caller, nowMillis);
  }

  public came(caller: string, nowMillis: number): void {
    this.local.came(caller, nowMillis);
  }

  public async take(caller: string, promptTokens: number, nowMillis: number): Promise<LimitReached | undefined> {
    const answer = await this.ask(caller, [1, promptTokens, 0], nowMillis);
    if (answer === undefined) {
      this.metrics.rateLimitsAlone.inc();
      return this.local.take(caller, promptTokens, nowMillis);
    }
    const [reached, afterMillis] = answer;
    if (reached > 0) {
      return { limit: reached === 1 ? 'requests_per_minute' : 'tokens_per_minute', afterSeconds: afterMillis / 1000 };
    }
    // what others admitted is not counted here, so that it cannot refuse.
    this.local.take(caller, promptTokens, nowMillis);
    return undefined;
  }

  public charge(caller: string, tokens: number, nowMillis: number): void {
    this.local.charge(caller, tokens, nowMillis);
    if (tokens !== 0) {
      void this.ask(caller, [0, tokens, 1], nowMillis);
    }
  }

  public giveBack(caller: string, nowMillis: number): void {
    this.local.giveBack(caller, nowMillis);
    void this.ask(caller, [-1, 0, 1], nowMillis);
  }

  /** Connects. Resolves once it has, or it cannot be done at once. */
  public async start(): Promise<void> {
    if (this.client.status !== 'wait') {
      return;
    }
    await Promise.race([this.client.connect(), sleep(CONNECT_TIMEOUT_MILLIS, undefined, { ref: false })]).catch((e: Error) => this.told(e));
  }

  /** Disconnects. */
  public stop(): void {
    this.client.disconnect();
  }

  /** What Valkey says; undefined if it cannot be asked, or does not answer in time. */
  private async ask(caller: string, asked: number[], nowMillis: number): Promise<[number, number] | undefined> {
    if (nowMillis < this.pausedUntilMillis) {
      return undefined;
    }
    if (this.client.status !== 'ready') {
      this.told(new Error('it is not connected'));
      return undefined;
    }
    // a caller may be somebody's name.
    const key = this.prefix + createHash('sha256').update(caller).digest('base64url');
    try {
      const answer = await (this.client as unknown as Allowances).takeAllowance(key, ...this.limits, ...asked);
      if (!isAllowance(answer)) {
        throw new Error('it answers with something else');
      }
      this.told(undefined);
      return answer;
    } catch (e) {
      this.pausedUntilMillis = nowMillis + PAUSE_MILLIS;
      this.told(e as Error);
      return undefined;
    }
  }

  /** Tells of a change, once. */
  private told(error: Error | undefined): void {
    if (error !== undefined && !this.isAway) {
      this.log.error({ failure: error.message.slice(0, MAX_FAILURE_CHARS) }, 'Valkey cannot be asked: this router limits callers by itself');
    } else if (error === undefined && this.isAway) {
      this.log.info('Valkey answers again: routers share their limits');
    }
    this.isAway = error !== undefined;
  }
}

function isAllowance(answer: unknown): answer is [number, number] {
  return Array.isArray(answer) && answer.length === 2 && answer.every((part) => typeof part === 'number');
}

function clientOf({ url, username, cluster, timeoutSeconds }: ValkeyConfig, password: string | undefined): Redis | Cluster {
  const { protocol, hostname, port } = new URL(url);
  const address = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) };
  const backOff = (attempt: number) => Math.min(RECONNECT_MILLIS, 50 * 2 ** attempt);
  const options: RedisOptions = {
    username,
    password,
    tls: protocol === 'valkeys:' ? { servername: address.host } : undefined,
    connectTimeout: CONNECT_TIMEOUT_MILLIS,
    commandTimeout: timeoutSeconds * 1000,
    // what cannot be sent now fails now, and what was sent once is not sent again: it may have counted.
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  };
  return cluster
    ? new Cluster([address], {
      redisOptions: options,
      lazyConnect: true,
      enableOfflineQueue: false,
      clusterRetryStrategy: backOff,
      // connecting ends with that question, for which there is a second by default: a busy machine takes longer.
      slotsRefreshTimeout: CONNECT_TIMEOUT_MILLIS,
      // names are resolved anew at each connection, and are what certificates are for.
      dnsLookup: (host, done) => done(null, host),
    })
    : new Redis({
      ...address,
      ...options,
      retryStrategy: backOff,
      // who was the primary may stay as a replica, while the name leads to another.
      reconnectOnError: ({ message }) => message.includes('READONLY'),
    });
}
