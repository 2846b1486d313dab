import { Discovery, SrvDiscovery, StaticDiscovery } from './discovery';
import { Endpoint } from './endpoint';
import { BedrockSigner } from '../bedrock/signer';
import { TargetConfig } from '../config';
import { SGLANG } from '../handoff/bootstrap';
import { isEligible } from '../handoff/eligibility';
import { EngineRequest } from '../wire/engine-request';

const PROBE_INTERVAL_MILLIS = 5_000;
/** Cerebras has no health to ask for, but tells whether the API key is good, and paid for. */
const PROBES = {
  openai: { path: '/health', refusals: [] },
  cerebras: { path: '/v1/models', refusals: [401, 402, 403] },
  bedrock: { path: '/health', refusals: [] },
};
/** The paths of engines that the protocols have nothing at, the callers of Bedrock's own API aside. */
const MISSING = { openai: [], cerebras: ['/tokenize'], bedrock: ['/v1/completions'] } as { readonly [protocol: string]: readonly string[] };

/**
 * A set of equal engines that is watched and chosen from.
 */
export class Target {
  /** What the configuration says of it. */
  public readonly config: TargetConfig;
  /** Signs what it is sent; undefined where nothing is signed. */
  public readonly signer?: BedrockSigner;
  /** Called when one of its engines may have become able to take a request. */
  public onRoom?: () => void;
  private readonly discovery: Discovery;
  private readonly apiKey?: string;
  private readonly timers: NodeJS.Timeout[] = [];
  private endpoints: Endpoint[] = [];
  private turn = 0;

  /**
   * @param config what the configuration says of the target.
   * @param apiKey API key of its engines; undefined if they ask for none.
   * @param discovery where its engines are.
   */
  constructor(
    config: TargetConfig,
    apiKey: string | undefined,
    discovery: Discovery = config.srv === undefined ? new StaticDiscovery(config.url!) : new SrvDiscovery(config.srv),
  ) {
    this.config = config;
    this.signer = config.protocol === 'bedrock' ? new BedrockSigner(config.region!) : undefined;
    this.apiKey = apiKey;
    this.discovery = discovery;
  }

  /** Endpoints that are known. */
  public get endpointCount(): number {
    return this.endpoints.length;
  }

  /** Endpoints that answered their last probes and requests. */
  public get healthyCount(): number {
    const now = Date.now();
    return this.endpoints.filter((endpoint) => endpoint.isReliable(now)).length;
  }

  /** Whether its engines can read a prompt themselves: decode engines of SGLang refuse to. */
  public get readsPrompts(): boolean {
    return this.config.role !== 'decode' || this.config.kvConnector !== SGLANG;
  }

  /** Whether a prompt can be handed on to its engines. */
  public takesKvCacheOf(asked: EngineRequest): boolean {
    return this.config.prefill !== undefined && isEligible(asked, this.config.kvConnector);
  }

  /** Whether its engines have an API for a request, and can answer it as it is asked. */
  public canAnswer(asked: EngineRequest): boolean {
    const isThere = (this.signer !== undefined && asked.bedrock !== undefined) || !MISSING[this.config.protocol].includes(asked.path);
    return isThere && (this.readsPrompts || this.takesKvCacheOf(asked));
  }

  /** Finds and probes the engines, then keeps doing so. Resolves after the first round, whatever it found. */
  public async start(): Promise<void> {
    await this.discover();
    this.timers.push(setInterval(() => void this.probe(), PROBE_INTERVAL_MILLIS));
    if (this.discovery.refreshMillis !== undefined) {
      this.timers.push(setInterval(() => void this.discover(), this.discovery.refreshMillis));
    }
  }

  /** Stops watching and closes connections. */
  public async stop(): Promise<void> {
    this.timers.forEach((timer) => clearInterval(timer));
    await Promise.all(this.endpoints.map(async (endpoint) => endpoint.close()));
  }

  /**
   * The endpoint with the least to do, which may be full; undefined if none can answer. Its slot is not taken.
   *
   * @param tried endpoints that are not to be tried again.
   */
  public next(tried: ReadonlySet<Endpoint>): Endpoint | undefined {
    const reliable = this.reliable(tried);
    // requests that break engines must not take the whole target away from everybody else.
    return this.least(reliable.length > 0 ? reliable : this.endpoints.filter((endpoint) => endpoint.isUp && !tried.has(endpoint)));
  }

  /**
   * The endpoint like `next`, but none whose last requests failed: for requests that can do without.
   *
   * @param tried endpoints that are not to be tried again.
   */
  public nextReliable(tried: ReadonlySet<Endpoint>): Endpoint | undefined {
    return this.least(this.reliable(tried));
  }

  /** Takes a slot of an endpoint of this target; give it back with its `release`. */
  public take(endpoint: Endpoint): void {
    this.turn++;
    endpoint.take();
  }

  /** Looks for engines once. What was known stays if nothing can be learnt. */
  public async discover(): Promise<void> {
    let urls: string[];
    try {
      urls = await this.discovery.addresses();
    } catch {
      urls = [];
    }
    if (urls.length > 0) {
      const known = new Map(this.endpoints.map((endpoint) => [endpoint.url, endpoint]));
      this.endpoints = urls.map((url) => known.get(url) ?? this.endpointAt(url));
      for (const endpoint of known.values()) {
        if (!urls.includes(endpoint.url)) {
          // resolves when its requests have ended, which nobody waits for.
          void endpoint.close();
        }
      }
    }
    await this.probe();
  }

  private endpointAt(url: string): Endpoint {
    return new Endpoint(url, this.apiKey, this.config.maxInFlight, PROBES[this.config.protocol], () => this.onRoom?.());
  }

  private reliable(tried: ReadonlySet<Endpoint>): Endpoint[] {
    const now = Date.now();
    return this.endpoints.filter((endpoint) => endpoint.isReliable(now) && !tried.has(endpoint));
  }

  private least(candidates: Endpoint[]): Endpoint | undefined {
    const open = candidates.filter((endpoint) => endpoint.freeSlots > 0);
    const from = open.length > 0 ? open : candidates;
    if (from.length === 0) {
      return undefined;
    }
    // who reads prompts alone has as much to do as they are long.
    const load = (endpoint: Endpoint) => (this.config.role === 'prefill' ? endpoint.queuedPromptTokens : endpoint.inFlight);
    // equals take turns.
    const turn = this.turn % from.length;
    return [...from.slice(turn), ...from.slice(0, turn)].reduce((best, endpoint) => (load(endpoint) < load(best) ? endpoint : best));
  }

  private async probe(): Promise<void> {
    await Promise.all(this.endpoints.map(async (endpoint) => endpoint.probe()));
  }
}
