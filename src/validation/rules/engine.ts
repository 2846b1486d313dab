import { TemplateGraph, Unknown, Value, asInteger, same, show } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import { EngineCommand, engineCommandsOf } from '../views/engine-commands';

const FAMILY = 'engine';
const COMPATIBILITY = 'https://docs.vllm.ai/en/stable/features/nixl_connector_compatibility/';
const ROLES = ['kv_producer', 'kv_consumer', 'kv_both'];

/** Names of one precision: vLLM compares what they stand for. */
const PRECISIONS: { readonly [name: string]: string } = { half: 'float16', float: 'float32' };

const UNUSED_CACHE = 'both engines start and pass their health checks; the handshake at the first request fails, and the decode engine reads every prompt itself or answers with an error';

export const ENGINE_RULES: Rule[] = [
  {
    id: 'KvTransferConfigInvalid',
    family: FAMILY,
    severity: 'error',
    title: 'A KV transfer configuration is a JSON object with a connector and a role',
    why: 'vLLM ends at start with "Unsupported kv_role" or a parse error, and the task is restarted for ever',
    mend: `give kv_connector, and one of ${ROLES.map((role) => JSON.stringify(role)).join(', ')} as kv_role`,
    source: 'https://github.com/vllm-project/vllm/blob/main/vllm/config/kv_transfer.py',
    *check(graph) {
      for (const { resource, property, kvTransfer } of engineCommandsOf(graph)) {
        if (!kvTransfer) {
          continue;
        }
        const { text, config } = kvTransfer;
        if (typeof text !== 'string') {
          yield notChecked(resource, property, text instanceof Unknown ? text : 'the KV transfer configuration is not known');
        } else if (!config) {
          yield found(resource, property, text, 'the KV transfer configuration is no JSON object');
        } else if (config.kv_connector !== undefined && !ROLES.includes(config.kv_role as string)) {
          yield found(resource, property, text, config.kv_role === undefined ? 'the KV transfer configuration names a connector and no role' : 'there is no such kv_role');
        }
      }
    },
  },
  {
    id: 'KvPeersModelsDiffer',
    family: FAMILY,
    severity: 'error',
    title: 'An engine that produces KV caches serves the model of an engine that consumes them',
    why: UNUSED_CACHE,
    mend: 'serve one model, under one name, with both engines',
    source: COMPATIBILITY,
    *check(graph) {
      const { producers, consumers } = peersOf(graph);
      const [named, ...others] = producers;
      // with several models in one set, a partner may be anywhere: only a lone pair is certain.
      const lonely = named && consumers.length > 0 && [...others, ...consumers.slice(1)].every((engine) => (
        serveSameModel(engine, producers.includes(engine) ? named : consumers[0]) === true
      ));
      if (lonely && serveSameModel(named, consumers[0]) === false) {
        yield found(named.resource, named.property, named.servedNames, `the engine that consumes its KV caches, in ${consumers[0].resource.logicalId}, serves ${show(consumers[0].servedNames)}`);
      }
    },
  },
  peerRule({
    id: 'KvPeersConnectorsDiffer',
    title: 'Engines that hand KV caches to each other use one connector',
    mend: 'give both engines the same kv_connector',
    source: COMPATIBILITY,
    what: 'kv_connector',
    read: ({ kvTransfer }) => kvTransfer?.config?.kv_connector as Value | undefined,
  }),
  peerRule({
    id: 'KvPeersPrecisionsDiffer',
    title: 'Engines that hand KV caches to each other compute in one precision',
    mend: 'give both engines the same --dtype',
    source: COMPATIBILITY,
    what: '--dtype',
    // "auto", the default, is whatever the checkpoint says.
    read: (engine) => precisionOf(engine.option('--dtype')),
  }),
  peerRule({
    id: 'KvPeersCachePrecisionsDiffer',
    title: 'Engines that hand KV caches to each other keep them in one precision',
    mend: 'give both engines the same --kv-cache-dtype',
    source: COMPATIBILITY,
    what: '--kv-cache-dtype',
    // "auto" is the precision of the model, and the default.
    read: (engine) => engine.option('--kv-cache-dtype') ?? 'auto',
  }),
  peerRule({
    id: 'KvPeersLayoutsDiffer',
    title: 'Engines that hand KV caches to each other lay them out alike',
    mend: 'set VLLM_KV_CACHE_LAYOUT to the same layout, best HND, on both engines',
    source: COMPATIBILITY,
    what: 'VLLM_KV_CACHE_LAYOUT',
    read: ({ environment, kvTransfer }) => kvTransfer?.config?.enable_permute_local_kv === true ? undefined : environment.get('VLLM_KV_CACHE_LAYOUT'),
  }),
  {
    id: 'KvPeersBlockSizes',
    family: FAMILY,
    severity: 'error',
    title: 'The KV blocks of a prefill engine are not larger than those of its decode engine',
    why: UNUSED_CACHE,
    mend: 'give both engines the same --block-size',
    source: COMPATIBILITY,
    *check(graph) {
      yield* mismatches(graph, 'the --block-size of every engine that consumes its KV caches is smaller', (engine) => engine.option('--block-size'), (producer, consumer) => {
        const [given, taken] = [asInteger(producer), asInteger(consumer)];
        return given === undefined || taken === undefined ? undefined : given <= taken;
      });
    },
  },
];

type Read = (engine: EngineCommand) => Value | undefined;

function peerRule({ what, read, ...rule }: Pick<Rule, 'id' | 'title' | 'mend' | 'source'> & { what: string; read: Read }): Rule {
  return {
    ...rule,
    family: FAMILY,
    severity: 'error',
    why: UNUSED_CACHE,
    *check(graph) {
      yield* mismatches(graph, `no engine that consumes its KV caches has the same ${what}`, read, same);
    },
  };
}

// a producer is wrong when it certainly fits none of the consumers of its model: there may be several generations of a service side by side.
function* mismatches(graph: TemplateGraph, message: string, read: Read, fits: (producer: Value, consumer: Value) => boolean | undefined) {
  const { producers, consumers } = peersOf(graph);
  for (const producer of producers) {
    const own = read(producer);
    const partners = consumers.filter((consumer) => serveSameModel(producer, consumer) === true);
    const values = partners.map(read);
    if (own !== undefined && partners.length > 0 && values.every((value) => value !== undefined && fits(own, value) === false)) {
      yield found(producer.resource, producer.property, own, `${message}: ${values.map(show).join(', ')} in ${partners.map(({ resource }) => resource.logicalId).join(', ')}`);
    }
  }
}

function peersOf(graph: TemplateGraph): { producers: EngineCommand[]; consumers: EngineCommand[] } {
  const engines = engineCommandsOf(graph).filter(({ kvTransfer }) => kvTransfer?.config?.kv_connector !== undefined);
  const having = (role: string) => engines.filter(({ kvTransfer }) => kvTransfer?.config?.kv_role === role);
  return { producers: having('kv_producer'), consumers: having('kv_consumer') };
}

function precisionOf(dtype: Value | undefined): Value | undefined {
  return dtype === 'auto' ? undefined : typeof dtype === 'string' ? PRECISIONS[dtype] ?? dtype : dtype;
}

// engines of one model may be told apart by the names that they serve it under; a path is the same in every container.
function serveSameModel(a: EngineCommand, b: EngineCommand): boolean | undefined {
  if (typeof a.model === 'string' && !a.model.startsWith('/') && a.model === b.model) {
    return true;
  }
  const pairs = a.servedNames.flatMap((name) => b.servedNames.map((other) => same(name, other)));
  return pairs.includes(true) ? true : pairs.includes(undefined) || pairs.length === 0 ? undefined : false;
}
