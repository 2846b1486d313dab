import { Token } from 'aws-cdk-lib';
import { connectorMend, KV_CONNECTORS, MOONCAKE, NEURON_NIXL, NIXL, NIXL_PULL, NIXL_PUSH, SGLANG } from '../kv-connectors';
import { Problems } from '../problems';

/**
 * A way to hand a KV cache on from the engine that reads a prompt to the one that writes tokens. Engines can be paired that have the same one.
 */
export class KvConnector {
  /** vLLM's `NixlConnector`. */
  public static readonly NIXL = new KvConnector(NIXL);

  /** vLLM's `NixlPullConnector`. */
  public static readonly NIXL_PULL = new KvConnector(NIXL_PULL);

  /** vLLM's `NixlPushConnector`. */
  public static readonly NIXL_PUSH = new KvConnector(NIXL_PUSH);

  /** `NeuronNixlConnector` of vLLM's Neuron plugin, which knows attention with windows. */
  public static readonly NEURON_NIXL = new KvConnector(NEURON_NIXL);

  /** vLLM's `MooncakeConnector`, with bootstrap port 8998. */
  public static readonly MOONCAKE = new KvConnector(MOONCAKE);

  /** Engines of SGLang with bootstrap port 8998, whatever moves their KV caches. */
  public static readonly SGLANG = new KvConnector(SGLANG);

  /**
   * The connector of a name, such as the `kv_connector` of an engine's `--kv-transfer-config`.
   *
   * Throws a `ProblemsError` (`KvConnectorUnknown`) for one that no router knows. A token is taken as it is, and its engines are paired with none.
   *
   * @param name name of the connector, as vLLM has it.
   */
  public static of(name: string): KvConnector {
    if (!Token.isUnresolved(name) && !KV_CONNECTORS.includes(name)) {
      Problems.throwIfAny([{
        rule: 'KvConnectorUnknown', path: 'name', value: JSON.stringify(name), message: 'no router knows such a hand-off', mend: connectorMend(name),
      }]);
    }
    return new KvConnector(name);
  }

  /** Name of the connector, as vLLM has it. */
  public readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }
}
