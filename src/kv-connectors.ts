import { nearestNames } from './nearest';

/** vLLM's NIXL connectors, of which Neuron's is one. */
export const NIXL = 'NixlConnector';
export const NIXL_PULL = 'NixlPullConnector';
export const NIXL_PUSH = 'NixlPushConnector';
export const NEURON_NIXL = 'NeuronNixlConnector';
/** vLLM's connector over Mooncake. */
export const MOONCAKE = 'MooncakeConnector';
/** Engines of SGLang, whatever moves their KV caches. */
export const SGLANG = 'sglang';

/** How engines with a connector hand a KV cache on. */
export interface KvHandoff {
  /** Whether both engines have a request at once; otherwise the prefill engine has it first, and answers with what the decode engine is to be told. */
  readonly isAtOnce: boolean;
  /** Whether the prefill engine's bootstrap server has to be asked who the engine is. */
  readonly asksBootstrapServer: boolean;
  /** Whether the prefill engine answers before its KV cache is fetched, and keeps it until then. */
  readonly keepsKvCache: boolean;
  /** Whether the prefill engine is asked for one token; otherwise for all that the caller asks. */
  readonly asksForOneToken: boolean;
  /** Whether decode engines read prompts that nobody has read for them. */
  readonly decodeReadsPrompts: boolean;
}

const FIRST_ONE_THEN_THE_OTHER: KvHandoff = {
  isAtOnce: false, asksBootstrapServer: false, keepsKvCache: true, asksForOneToken: true, decodeReadsPrompts: true,
};

const HANDOFFS: ReadonlyMap<string, KvHandoff> = new Map([
  [NIXL, FIRST_ONE_THEN_THE_OTHER],
  [NIXL_PULL, FIRST_ONE_THEN_THE_OTHER],
  [NIXL_PUSH, FIRST_ONE_THEN_THE_OTHER],
  [NEURON_NIXL, FIRST_ONE_THEN_THE_OTHER],
  [MOONCAKE, { isAtOnce: true, asksBootstrapServer: true, keepsKvCache: true, asksForOneToken: true, decodeReadsPrompts: true }],
  [SGLANG, { isAtOnce: true, asksBootstrapServer: false, keepsKvCache: false, asksForOneToken: false, decodeReadsPrompts: false }],
]);

/** Ways to hand a KV cache on that the router knows, by vLLM's names of its connectors. */
export const KV_CONNECTORS = [...HANDOFFS.keys()];

/** How engines with a connector hand a KV cache on; undefined if they do not, or in a way that the router does not know. */
export function kvHandoffOf(connector: string | undefined): KvHandoff | undefined {
  return connector === undefined ? undefined : HANDOFFS.get(connector);
}

/** What to write for a connector that is none of them. */
export function connectorMend(name: string): string {
  const near = nearestNames(name, KV_CONNECTORS);
  return `use ${(near.length > 0 ? near : KV_CONNECTORS).map((one) => JSON.stringify(one)).join(' or ')}`;
}
