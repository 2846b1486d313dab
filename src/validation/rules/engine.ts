import { Hardware } from '../../hardware';
import { ModelArchitecture } from '../../model';
import { TemplateGraph, Unknown, Value, asInteger, same, show } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import { EcsTask, TaskContainer, ecsTasksOf, enginesOf, instanceTypesOf, neuronDevicesIn, seesEveryDevice } from '../views/ecs-tasks';
import { EngineCommand } from '../views/engine-commands';
import { largest } from '../views/known-numbers';

const FAMILY = 'engine';
const COMPATIBILITY = 'https://docs.vllm.ai/en/stable/features/nixl_connector_compatibility/';
const MEMORY_GUIDE = 'https://docs.vllm.ai/en/stable/configuration/conserving_memory/';
const ROLES = ['kv_producer', 'kv_consumer', 'kv_both'];

/** Names of one precision: vLLM compares what they stand for. */
const PRECISIONS: { readonly [name: string]: string } = { half: 'float16', float: 'float32' };

/** Publishers whose shipped models, under these very names, are checkpoints of two bytes a weight. */
const TWO_BYTE_PUBLISHERS = /^(meta-llama|mistralai|Qwen)\//;

/** Options with which weights are smaller, or not all in the memory of one instance. */
const MEMORY_OPTIONS = [
  '--quantization', '--cpu-offload-gb', '--pipeline-parallel-size', '--nnodes', '--distributed-executor-backend', '--hf-overrides', '--load-format',
  // these may hold any of them.
  '--additional-config', '--override-neuron-config', '--config',
];

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
      for (const { resource, property, kvTransfer } of enginesOf(graph)) {
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
      if (!lonely) {
        return;
      }
      const [consumer] = consumers;
      const told = (own: Value, other: Value) => found(named.resource, named.property, own,
        `the engine that consumes its KV caches, in ${consumer.resource.logicalId}, serves ${show(other)}`);
      if (loadOtherModels(named, consumer)) {
        yield told(named.model!, consumer.model!);
      } else if (serveSameModel(named, consumer) === false) {
        yield told(named.servedNames, consumer.servedNames);
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
  {
    id: 'ModelBeyondMemory',
    family: FAMILY,
    severity: 'error',
    title: 'The weights of a model fit the accelerators of its container',
    why: 'the engine ends at start, out of memory, and the task is restarted for ever',
    mend: 'serve it on an instance type with more accelerator memory, or a smaller or quantized model',
    source: MEMORY_GUIDE,
    *check(graph) {
      for (const { engine, model, memoryBytes } of measuredEngines(graph)) {
        const weights = model.weightBytes('bf16');
        if (weights > memoryBytes) {
          yield found(engine.resource, engine.property, engine.model, `the weights take ${gib(weights)}, the accelerators have ${gib(memoryBytes)}`);
        }
      }
    },
  },
  {
    id: 'SequenceBeyondMemory',
    family: FAMILY,
    severity: 'error',
    title: 'A sequence of the greatest length fits the accelerators beside the weights',
    why: 'the engine ends at start: "To serve at least one request with the models\'s max seq len … KV cache is needed"',
    mend: 'lower --max-model-len, or serve on an instance type with more accelerator memory',
    source: MEMORY_GUIDE,
    *check(graph) {
      for (const { engine, model, memoryBytes } of measuredEngines(graph)) {
        const length = asInteger(engine.option('--max-model-len'));
        const precision = engine.option('--kv-cache-dtype') ?? 'auto';
        if (length === undefined || length < 0 || typeof precision !== 'string') {
          continue;
        }
        const [weights, cache] = [model.weightBytes('bf16'), model.kvBytesForContext(length, precision === 'auto' ? 'bf16' : 'fp8')];
        if (weights <= memoryBytes && weights + cache > memoryBytes) {
          yield found(engine.resource, engine.property, length,
            `the weights take ${gib(weights)} and the KV cache of one such sequence ${gib(cache)}, the accelerators have ${gib(memoryBytes)}`);
        }
      }
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
  const engines = enginesOf(graph).filter(({ kvTransfer }) => kvTransfer?.config?.kv_connector !== undefined);
  const having = (role: string) => engines.filter(({ kvTransfer }) => kvTransfer?.config?.kv_role === role);
  return { producers: having('kv_producer'), consumers: having('kv_consumer') };
}

function precisionOf(dtype: Value | undefined): Value | undefined {
  return dtype === 'auto' ? undefined : typeof dtype === 'string' ? PRECISIONS[dtype] ?? dtype : dtype;
}

// NIXL's handshake compares the model as it is named to vLLM, a repository or a path (compute_nixl_compatibility_hash); a remote store is copied first.
function loadOtherModels(a: EngineCommand, b: EngineCommand): boolean {
  const isNamed = ({ model }: EngineCommand) => typeof model === 'string' && !model.includes('://');
  const isNixl = ({ kvTransfer }: EngineCommand) => kvTransfer?.config?.kv_connector === 'NixlConnector';
  return isNamed(a) && isNamed(b) && isNixl(a) && isNixl(b) && a.model !== b.model;
}

// engines of one model may be told apart by the names that they serve it under; a path is the same in every container.
function serveSameModel(a: EngineCommand, b: EngineCommand): boolean | undefined {
  if (typeof a.model === 'string' && !a.model.startsWith('/') && a.model === b.model) {
    return true;
  }
  const pairs = a.servedNames.flatMap((name) => b.servedNames.map((other) => same(name, other)));
  return pairs.includes(true) ? true : pairs.includes(undefined) || pairs.length === 0 ? undefined : false;
}

interface MeasuredEngine {
  readonly engine: EngineCommand;
  readonly model: ModelArchitecture;
  /** Memory of all accelerators that the engine may use, at most. */
  readonly memoryBytes: number;
}

// engines whose model and accelerators are certain; a path such as /model may hold anything.
function* measuredEngines(graph: TemplateGraph): Iterable<MeasuredEngine> {
  for (const task of ecsTasksOf(graph)) {
    for (const container of task.containers) {
      const { engine } = container;
      const name = engine?.model;
      if (!engine || typeof name !== 'string' || !TWO_BYTE_PUBLISHERS.test(name) || MEMORY_OPTIONS.some((option) => engine.option(option) !== undefined)) {
        continue;
      }
      const model = ModelArchitecture._named(name);
      const memoryBytes = memoryOf(task, container);
      if (model && memoryBytes !== undefined) {
        yield { engine, model, memoryBytes };
      }
    }
  }
}

function memoryOf(task: EcsTask, container: TaskContainer): number | undefined {
  const types = task.services.flatMap((service) => instanceTypesOf(service) ?? [undefined])
    .map((type) => type === undefined ? undefined : Hardware.accelerated(type));
  const devices = neuronDevicesIn(container).length;
  const listed = container.hasAllDevices && !seesEveryDevice(container) && devices > 0;
  const sizes = types.map((type) => type && type.accelerator.hbmBytes * (listed ? Math.min(devices, type.acceleratorCount) : type.acceleratorCount));
  return largest(sizes);
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
