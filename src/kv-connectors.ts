import { nearestNames } from './nearest';

/** vLLM's NIXL connectors: Neuron's is one too. */
export const NIXL = 'NixlConnector';
export const NIXL_PULL = 'NixlPullConnector';
export const NIXL_PUSH = 'NixlPushConnector';
export const NEURON_NIXL = 'NeuronNixlConnector';
/** vLLM's connector whose prefill and decode engines have a request at once. */
export const MOONCAKE = 'MooncakeConnector';
/** Engines of SGLang, whatever moves their KV caches. */
export const SGLANG = 'sglang';

/** Ways to hand a KV cache on that the router knows, by vLLM's names of its connectors. */
export const KV_CONNECTORS = [NIXL, NIXL_PULL, NIXL_PUSH, NEURON_NIXL, MOONCAKE, SGLANG];

/** What to write for a connector that is none of them. */
export function connectorMend(name: string): string {
  const near = nearestNames(name, KV_CONNECTORS);
  return `use ${(near.length > 0 ? near : KV_CONNECTORS).map((one) => JSON.stringify(one)).join(' or ')}`;
}
