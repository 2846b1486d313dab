import type { Logger } from 'pino';
import { Discovery, SrvDiscovery, StaticDiscovery } from './discovery';
import { Endpoint } from './endpoint';
import { PROTOCOLS } from './protocols';
import { TargetConfig } from '../config';

const PROBE_INTERVAL_MILLIS = 5_000;

/**
 * The engines at one place, which are found and watched. They outlive what the configuration says of how they are used.
 */
export class Engines {
  private readonly place: string;
  private readonly protocol: TargetConfig['protocol'];
  private readonly apiKey?: string;
  private readonly metrics: TargetConfig['metrics'];
  private readonly discovery: Discovery;
  private readonly log?: Logger;
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly listeners = new Set<() => void>();
  private maxInFlight: number;
  private found: Endpoint[] = [];
  /** Those that are no longer found, some of which still have requests. */
  private lost: Endpoint[] = [];
  private users = 0;
  private turn = 0;
  private watched?: Promise<void>;
  private stopped = false;

  /**
   * @param config where they are and how they are spoken to.
   * @param apiKey their API key; undefined if they ask for none.
   * @param discovery how to find them.
   * @param log is told when one of them goes down or is passed over, and when it is back.
   */
  constructor(
    config: TargetConfig,
    apiKey: string | undefined,
    discovery: Discovery = config.srv === undefined ? new StaticDiscovery(config.url!) : new SrvDiscovery(config.srv),
    log?: Logger,
  ) {
    this.log = log;
    this.place = placeOf(config);
    this.protocol = config.protocol;
    this.maxInFlight = config.maxInFlight;
    this.apiKey = apiKey;
    this.metrics = config.metrics;
    this.discovery = discovery;
  }

  /** Those that are known. */
  public get endpoints(): readonly Endpoint[] {
    return this.found;
  }

  /** The turn of the one that is given a request now. */
  public nextTurn(): number {
    return ++this.turn;
  }

  /** Whether a target of another configuration has these engines. */
  public areOf(config: TargetConfig): boolean {
    return placeOf(config) === this.place;
  }

  /** Calls back whenever one of them may have become able to take a request. */
  public listen(onRoom: () => void): void {
    this.listeners.add(onRoom);
  }

  /** Calls back no longer. */
  public unlisten(onRoom: () => void): void {
    this.listeners.delete(onRoom);
  }

  /** Gives each engine so many requests at once from now on. */
  public limit(maxInFlight: number): void {
    this.maxInFlight = maxInFlight;
    this.watchedEndpoints().forEach((endpoint) => endpoint.limit(maxInFlight));
  }

  /** Whether nobody uses them any more. */
  public get isStopped(): boolean {
    return this.stopped;
  }

  /** Somebody is to use them: finds and probes them, then keeps doing so. Resolves after the first round, whatever it found. */
  public async start(): Promise<void> {
    this.users++;
    this.watched ??= this.watch();
    return this.watched;
  }

  /** Somebody who started them uses them no longer: after the last one it stops watching and closes connections. */
  public async stop(): Promise<void> {
    this.users--;
    if (this.users === 0) {
      this.stopped = true;
      this.timers.forEach((timer) => clearInterval(timer));
      this.found.forEach((endpoint) => endpoint.close());
    }
  }

  /** Looks for them once, and asks each for its health. What was known stays if nothing can be learnt. */
  public async discover(): Promise<void> {
    await this.find();
    await probe(this.watchedEndpoints());
  }

  /** Looks for them. Returns those that were not known. */
  private async find(): Promise<Endpoint[]> {
    let urls: string[];
    try {
      urls = await this.discovery.addresses();
    } catch {
      urls = [];
    }
    if (urls.length === 0 || this.stopped) {
      return [];
    }
    const known = new Map(this.watchedEndpoints().map((endpoint) => [endpoint.url, endpoint]));
    const told = urls.map((url) => known.get(url) ?? this.endpointAt(url));
    const isPart = urls.length >= (this.discovery.partFrom ?? Infinity);
    this.found = [...told, ...this.found.filter((endpoint) => isPart && endpoint.isUp && !told.includes(endpoint))];
    this.lost = [...known.values()].filter((endpoint) => !this.found.includes(endpoint));
    this.found.forEach((endpoint) => endpoint.keep());
    this.lost.forEach((endpoint) => endpoint.close());
    return told.filter(({ url }) => !known.has(url));
  }

  /** Those that are known, and those that are not any more and have requests yet: who stands still is soon found no longer. */
  private watchedEndpoints(): Endpoint[] {
    return [...this.found, ...this.lost.filter(({ isClosed }) => !isClosed)];
  }

  private async watch(): Promise<void> {
    await this.discover();
    // the first round may have outlived its users.
    if (!this.stopped) {
      this.timers.push(setInterval(() => void probe(this.watchedEndpoints()), PROBE_INTERVAL_MILLIS));
      if (this.metrics !== undefined) {
        const { path, intervalSeconds } = this.metrics;
        const ask = () => this.found.forEach((endpoint) => void endpoint.askForReport(path, intervalSeconds));
        ask();
        this.timers.push(setInterval(ask, intervalSeconds * 1000));
      }
      if (this.discovery.refreshMillis !== undefined) {
        // others have probes of their own: two that fail by one moment would count twice.
        this.timers.push(setInterval(async () => probe(await this.find()), this.discovery.refreshMillis));
      }
    }
  }

  private endpointAt(url: string): Endpoint {
    const { origin, pathname } = new URL(url);
    const told = { endpoint: `${origin}${pathname.replace(/\/$/, '')}` };
    const onHealth = (news: string, error?: string) => (error === undefined ? this.log?.info(told, news) : this.log?.warn({ ...told, error }, news));
    const onRoom = () => this.listeners.forEach((listener) => listener());
    return new Endpoint(url, this.apiKey, this.maxInFlight, PROTOCOLS[this.protocol].probe, onRoom, onHealth);
  }
}

async function probe(endpoints: readonly Endpoint[]): Promise<void> {
  await Promise.all(endpoints.map(async (endpoint) => endpoint.probe()));
}

/** What engines cannot keep their connections across a change of. */
function placeOf({ protocol, srv, url, region, apiKeyEnv, metrics }: TargetConfig): string {
  return JSON.stringify([protocol, srv, url, region, apiKeyEnv, metrics]);
}
