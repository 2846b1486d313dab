import { Hardware } from '../../hardware';
import { ModelArchitecture } from '../../model';
import { TemplateGraph, asInteger } from '../graph/template-graph';
import { Rule, found } from '../rule';
import { EcsTask, TaskContainer, ecsTasksOf, engineCommandOf, instanceTypesOf, seesEveryDevice } from '../views/ecs-tasks';
import { EngineCommand } from '../views/engine-commands';

const FAMILY = 'engine';
const SOURCE = 'https://docs.vllm.ai/en/stable/configuration/conserving_memory/';

/** Publishers whose shipped models, under these very names, are checkpoints of two bytes a weight. */
const TWO_BYTE_PUBLISHERS = /^(meta-llama|mistralai|Qwen)\//;

/** Options with which weights are smaller, or not all in the memory of one instance. */
const MEMORY_OPTIONS = [
  '--quantization', '--cpu-offload-gb', '--pipeline-parallel-size', '--nnodes', '--distributed-executor-backend', '--hf-overrides', '--load-format',
  // these may hold any of them.
  '--additional-config', '--override-neuron-config', '--config',
];

export const ENGINE_MEMORY_RULES: Rule[] = [
  {
    id: 'ModelBeyondMemory',
    family: FAMILY,
    severity: 'error',
    title: 'The weights of a model fit the accelerators of its container',
    why: 'the engine ends at start, out of memory, and the task is restarted for ever',
    mend: 'serve it on an instance type with more accelerator memory, or a smaller or quantized model',
    source: SOURCE,
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
    source: SOURCE,
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
      const engine = engineCommandOf(task, container, graph);
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
  const devices = container.devices.filter(({ kind }) => kind === 'neuron').length;
  const listed = container.hasAllDevices && !seesEveryDevice(container) && devices > 0;
  const sizes = types.map((type) => type && type.accelerator.hbmBytes * (listed ? Math.min(devices, type.acceleratorCount) : type.acceleratorCount));
  return sizes.length > 0 && sizes.every((size) => size !== undefined) ? Math.max(...sizes) : undefined;
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
