import { performance } from 'node:perf_hooks';
import { RetryBudget } from '../admission/retry-budget';
import { LimitsConfig } from '../config';
import { HandoffOutcome } from '../exchange';
import { Assignment } from './assignment';
import { KvParams } from './kv-params';
import { Meeting, PrefillLeg } from './prefill-leg';
import { kvHandoffOf } from '../../../kv-connectors';
import { Body } from '../body';
import { Endpoint } from '../targets/endpoint';
import { FailedRequests } from '../targets/failed-requests';
import { PrefillSlot } from '../targets/prefill-slot';
import { Target } from '../targets/target';
import { RouterMetrics } from '../telemetry/metrics';
import { EngineError } from '../wire/api-error';
import { bodyForEngine } from '../wire/engine-request';
import { kvMember } from '../wire/kv-members';
import { WholeAnswer } from '../wire/whole-answer';

/** What is left to do for a request once its prompt was read, or will be read by the engine that answers. */
export interface Prepared {
  /** Undefined for engines that take no KV cache. */
  readonly outcome?: HandoffOutcome;
  /** What the engine that answers is sent. */
  readonly body: Body;
  /** The engine that read the prompt, or refused to. */
  readonly prefill?: Endpoint;
  /** When the lease of the KV cache ends that is handed on, in milliseconds of `performance.now()`. */
  readonly leaseEndMillis?: number;
  /** The engine that reads the prompt meanwhile. */
  readonly meeting?: Meeting;
  /** The answer, if the request was rejected. */
  readonly refusal?: WholeAnswer;
}

/** There is no engine to read a prompt that the one that was to answer cannot read: that one has not failed. The caller was told nothing. */
export class PromptUnread extends EngineError {
  constructor(message = 'no engine is left to read the prompt') {
    super(502, 'engine_failed', message);
  }
}

/** There is one, which has no room. */
export class PrefillsFull extends PromptUnread {
  constructor() {
    super('no engine has room to read the prompt');
  }
}

/**
 * Hands prompts from prefill to decode engines: wherever that cannot be done, the decode engine reads the prompt itself.
 */
export class Handoff {
  private readonly limits: LimitsConfig;
  private readonly metrics: RouterMetrics;
  private readonly targets: ReadonlyMap<string, Target>;
  private readonly leg: PrefillLeg;

  constructor(limits: LimitsConfig, targets: Target[], metrics: RouterMetrics, retries: RetryBudget, failures: FailedRequests) {
    this.limits = limits;
    this.metrics = metrics;
    this.targets = new Map(targets.map((target) => [target.config.name, target]));
    this.leg = new PrefillLeg(limits, metrics, retries, failures);
  }

  /**
   * Lets a prefill engine read the prompt where that was chosen, and gives its slot back. Rejects only if the exchange is over, or by the router's own fault.
   *
   * @param assignment for which request.
   * @param headers the headers of both legs.
   */
  public async prepare(assignment: Assignment, headers: { readonly [name: string]: string }): Promise<Prepared> {
    const { exchange, asked, choice: { decision, prefill: first }, by: { target } } = assignment;
    const { prefill } = target.config;
    const body = bodyForEngine(asked, target.config);
    if (prefill === undefined) {
      return { body };
    }
    if (first === undefined) {
      return { body, outcome: decision.reason };
    }
    if (kvHandoffOf(target.config.kvConnector)?.isAtOnce) {
      const meeting = await this.meet(assignment, headers, first);
      return meeting === undefined ? { body, outcome: 'fallback_prefill_failed' } : { body, outcome: 'handed_off', meeting };
    }
    const read = await this.leg.run(assignment, this.targets.get(prefill)!, headers, first);
    switch (read.kind) {
      case 'refused':
        return { body, outcome: 'rejected', prefill: read.endpoint, refusal: read.answer };
      case 'failed':
        return { body, outcome: read.outcome };
    }
    const kept = KvParams.read(read.answer, read.answeredMillis, this.targets.get(prefill)!.config.kvBlockTokens);
    if (kept === undefined) {
      return { body, outcome: 'fallback_params_invalid' };
    }
    if (exchange.cancellation.reason !== undefined) {
      this.drop();
      throw exchange.cancellation.reason;
    }
    const params = kept.take(performance.now(), this.limits.kvLeaseSeconds);
    if (params === undefined) {
      this.drop();
      return { body, outcome: 'fallback_lease' };
    }
    return {
      body: bodyForEngine(asked, target.config, kvMember(params)),
      outcome: 'handed_off',
      prefill: read.endpoint,
      leaseEndMillis: kept.bornMillis + this.limits.kvLeaseSeconds * 1000,
    };
  }

  /**
   * Lets a prefill engine read the prompt while the engine that answers awaits it. Resolves to undefined if there is none with room, where the other can read
   * the prompt itself; rejects with PromptUnread where it cannot, with PrefillsFull if there is one that has no room.
   *
   * @param assignment for which request.
   * @param headers the headers of both legs.
   * @param first a slot of the one that is asked first, which is given back; of any with room if undefined.
   * @param tried prefill engines that have failed to.
   */
  public async meet(
    assignment: Assignment, headers: { readonly [name: string]: string }, first: PrefillSlot | undefined, tried: ReadonlySet<Endpoint> = new Set(),
  ): Promise<Meeting | undefined> {
    const { choice: { prompt }, by: { target } } = assignment;
    const prefills = this.targets.get(target.config.prefill!)!;
    const meeting = await this.leg.meet(assignment, prefills, headers, first, tried);
    if (meeting === undefined && !target.readsPrompts) {
      throw prefills.next(tried, prompt) === undefined ? new PromptUnread() : new PrefillsFull();
    }
    return meeting;
  }

  /** Counts a KV cache that nobody will fetch. Its engine frees it at the end of the lease: there is no other way to tell it. */
  public drop(): void {
    this.metrics.kvCachesDropped.inc();
  }
}
