import { DecodePool } from './decode-pool';
import { PrefillPool } from './prefill-pool';
import { RoutingPolicy, ServiceTier, decide } from '../../routing';

/** What the router of a fleet goes by. */
export interface FleetRouting {
  readonly policy: RoutingPolicy;
  /** Tokens of a prompt that are not cached, and how urgent its request is, by kind. */
  readonly promptTokens: Float64Array;
  readonly tiers: readonly ServiceTier[];
}

/**
 * The router's own decision, asked for each request as it comes. Engines take any number of requests, which then wait there.
 */
export class Routing {
  // used again for every request, as there may be millions
  private readonly request = { promptTokens: 0, isEligible: true, tier: 'default' as ServiceTier };
  private readonly pair = { isUp: true, freeSlots: Infinity, cachedPromptTokens: 0, queuedPromptTokens: 0, sequences: 0 };
  private readonly one = { isUp: true, freeSlots: Infinity, cachedPromptTokens: 0, queuedPromptTokens: 0, sequences: 0 };
  private readonly state = { disaggregated: this.pair, aggregated: this.one };

  constructor(private readonly fleet: FleetRouting, private readonly prefill: PrefillPool, private readonly decode: DecodePool) {}

  /** Whether a prefill engine is to read the prompt of a request of this kind that comes now; some engine of each pool must be up. */
  public handsOff(kind: number): boolean {
    const { fleet, request, pair, one, prefill, decode } = this;
    request.promptTokens = fleet.promptTokens[kind];
    request.tier = fleet.tiers[kind];
    const writer = decode.next(kind);
    const reader = prefill.next(kind);
    one.sequences = decode.loads.valueOf(writer);
    one.queuedPromptTokens = decode.queuedTokens[writer];
    one.cachedPromptTokens = decode.affinity?.cachedTokens(writer, kind) ?? 0;
    pair.sequences = one.sequences;
    pair.queuedPromptTokens = prefill.loads.valueOf(reader);
    pair.cachedPromptTokens = prefill.affinity?.cachedTokens(reader, kind) ?? 0;
    return decide(request, this.state, fleet.policy).path === 'disaggregated';
  }
}
