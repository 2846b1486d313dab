import { nearestNames } from './nearest';

/** Engines of SGLang, whatever moves their KV caches. */
export const SGLANG = 'sglang';
/** vLLM's connector whose prefill and decode engines have a request at once. */
export const MOONCAKE = 'MooncakeConnector';

/** Ways to hand a KV cache on that the router knows, by vLLM's names of its connectors; Neuron's is a NIXL connector too. */
export const KV_CONNECTORS = ['NixlConnector', 'NixlPullConnector', 'NixlPushConnector', 'NeuronNixlConnector', MOONCAKE, SGLANG];

/** What to write for a connector that is none of them. */
export function connectorMend(name: string): string {
  const near = nearestNames(name, KV_CONNECTORS);
  return `use ${(near.length > 0 ? near : KV_CONNECTORS).map((one) => JSON.stringify(one)).join(' or ')}`;
}
