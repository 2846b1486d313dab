import { performance } from 'node:perf_hooks';
import { isDeepStrictEqual } from 'node:util';
import { BedrockSigner } from './bedrock-signer';
import { Endpoint } from './endpoint';
import { Engines } from './engines';
import { Protocol, PROTOCOLS } from './protocols';
import { kvHandoffOf } from '../../../kv-connectors';
import { chooseEngine, EngineChoice, Prompt } from '../../../routing';
import { TargetConfig } from '../config';
import { isEligible } from './eligibility';
import { EngineRequest } from '../wire/engine-request';

/**
 * A set of equal engines that is chosen from.
 */
export class Target {
  /** What the configuration says of it. */
  public readonly config: TargetConfig;
  /** What its engines' protocol says of them. */
  public readonly protocol: Protocol;
  /** Signs what it is sent; undefined where nothing is signed. */
  public readonly signer?: BedrockSigner;
  /** Its engines, which may be those of other targets, before or after this one, too. */
  public readonly engines: Engines;
  private readonly choice: EngineChoice;

  /**
   * @param config what the configuration says of the target.
   * @param engines its engines.
   */
  constructor(config: TargetConfig, engines: Engines) {
    this.config = config;
    this.protocol = PROTOCOLS[config.protocol];
    this.signer = this.protocol.isBedrock ? new BedrockSigner(config.region!) : undefined;
    this.engines = engines;
    this.choice = { readsAlone: config.role === 'prefill', loadFactor: config.prefixLoadFactor };
  }

  /** The target as another configuration has it, this one if it is the same; undefined if that is a target of other engines. */
  public as(config: TargetConfig): Target | undefined {
    if (isDeepStrictEqual(config, this.config)) {
      return this;
    }
    return this.engines.areOf(config) ? new Target(config, this.engines) : undefined;
  }

  /** Endpoints that are known. */
  public get endpointCount(): number {
    return this.endpoints.length;
  }

  /** Endpoints that answered their last probes and requests. */
  public get healthyCount(): number {
    const now = performance.now();
    return this.endpoints.filter((endpoint) => endpoint.isReliable(now)).length;
  }

  /** Whether its engines can read a prompt themselves: decode engines of SGLang refuse to. */
  public get readsPrompts(): boolean {
    return this.config.role !== 'decode' || kvHandoffOf(this.config.kvConnector)?.decodeReadsPrompts !== false;
  }

  /** Whether a prompt can be handed on to its engines. */
  public takesKvCacheOf(asked: EngineRequest): boolean {
    return this.config.prefill !== undefined && isEligible(asked, this.config.kvConnector);
  }

  /** Whether its engines have an API for a request, and can answer it as it is asked. */
  public canAnswer(asked: EngineRequest): boolean {
    return this.hasApiFor(asked) && (this.readsPrompts || this.takesKvCacheOf(asked));
  }

  /** Whether its engines have an API for a request. */
  public hasApiFor(asked: EngineRequest): boolean {
    return (this.signer !== undefined && asked.bedrock !== undefined) || !this.protocol.missing.includes(asked.path);
  }

  /**
   * The endpoint that is to have a request, which may be full; undefined if none can answer. Its slot is not taken.
   *
   * It is the one with the least to do, or, of those that have hardly more to do, the one that has read most of the beginning of the prompt.
   *
   * @param tried endpoints that are not to be tried again.
   * @param prompt the prompt.
   * @param isReliable whether none is to have it whose last requests failed; otherwise it is enough to be up.
   */
  public next(tried: ReadonlySet<Endpoint>, prompt: Prompt, isReliable = true): Endpoint | undefined {
    const now = performance.now();
    const candidates = this.endpoints.filter((endpoint) => (isReliable ? endpoint.isReliable(now) : endpoint.isUp) && !tried.has(endpoint));
    const open = candidates.filter((endpoint) => endpoint.freeSlots > 0);
    const ready = open.filter((endpoint) => !endpoint.isBusy(now));
    return chooseEngine([ready, open].find(({ length }) => length > 0) ?? candidates, prompt, this.choice);
  }

  /** Takes a slot of an endpoint of this target, which gets a prompt; give it back with its `release`, and what is returned. */
  public take(endpoint: Endpoint, prompt: Prompt): number {
    endpoint.turn = this.engines.nextTurn();
    endpoint.prompts.add(prompt);
    return endpoint.take();
  }

  private get endpoints(): readonly Endpoint[] {
    return this.engines.endpoints;
  }
}
