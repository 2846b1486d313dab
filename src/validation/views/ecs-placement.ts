import { EcsService, EcsTask, instanceTypesOf, reservedCpuUnits, reservedMemoryMib } from './ecs-tasks';
import { groupSizesOf } from './group-sizes';
import { largest, sum } from './known-numbers';
import { Hardware } from '../../hardware';
import { TemplateGraph, Unknown, Value, asInteger, asList, valueAt } from '../graph/template-graph';

/** The largest of the instances that a service runs on; a figure that is not known of one of them is undefined. */
export interface LargestInstance {
  readonly memoryMib?: number;
  readonly cpuUnits?: number;
}

/** The largest memory and the most CPU units of the instances that a service runs on. */
export function largestInstanceOf(service: EcsService): LargestInstance {
  const types = instanceTypesOf(service)?.map((type) => Hardware.accelerated(type));
  const [memoryGib, vcpus] = [largest(types?.map((type) => type?.memoryGib)), largest(types?.map((type) => type?.vcpus))];
  return { memoryMib: memoryGib && memoryGib * 1024, cpuUnits: vcpus && vcpus * 1024 };
}

/**
 * The most instances that a service can ever have, scheduled changes included; undefined when that is not known.
 */
export function mostInstancesOf(service: EcsService, graph: TemplateGraph): number | undefined {
  const sizes = service.capacity?.map(({ group }) => group && largest(groupSizesOf(group, graph).map(({ instances }) => instances)));
  return sizes && sum(sizes);
}

/**
 * Why two tasks of a service are never on one instance, or undefined when they may be.
 */
export function reasonForOneTaskAnInstance(service: EcsService, task: EcsTask): string | undefined {
  const constraints = asList(service.resource.get('PlacementConstraints')) ?? [];
  return constraints.some((constraint) => valueAt(constraint, 'Type') === 'distinctInstance')
    ? 'the placement constraint is "distinctInstance"' : reasonApart(service, task, task);
}

/**
 * Why two tasks, of one service or of two on the same instances, are never on one instance, or undefined when they may be.
 */
export function reasonApart(service: EcsService, task: EcsTask, other: EcsTask): string | undefined {
  const otherPorts = staticHostPorts(other);
  const port = staticHostPorts(task).find((one) => otherPorts.includes(one));
  if (port !== undefined) {
    return `host port ${port} is for one task`;
  }
  const { memoryMib, cpuUnits } = largestInstanceOf(service);
  const memory = sum([task, other].map(reservedMemoryMib));
  const cpu = sum([task, other].map(reservedCpuUnits));
  if (memory !== undefined && memoryMib !== undefined && memory > memoryMib) {
    return `two tasks reserve ${memory} MiB of ${memoryMib}`;
  }
  return cpu !== undefined && cpuUnits !== undefined && cpu > cpuUnits ? `two tasks reserve ${cpu} CPU units of ${cpuUnits}` : undefined;
}

/** Whether everything that could keep tasks of a service away from others is known. */
export function isPlacementKnown(service: EcsService, task: EcsTask): boolean {
  const { definition, containers } = task;
  const ports = containers.flatMap(({ values }) => asList(valueAt(values, 'PortMappings')) ?? [undefined])
    .map((mapping) => mapping === undefined ? undefined : asInteger(valueAt(mapping, hostPortName(task)) ?? 0));
  const { memoryMib, cpuUnits } = largestInstanceOf(service);
  const isDistinct = (constraint: Value) => valueAt(constraint, 'Type') === 'distinctInstance';
  return !(definition.get('NetworkMode') instanceof Unknown)
    && containers.length === asList(definition.get('ContainerDefinitions'))?.length
    && ![...ports, reservedMemoryMib(task), reservedCpuUnits(task), memoryMib, cpuUnits].includes(undefined)
    && asList(service.resource.get('PlacementConstraints'))?.every(isDistinct) === true
    && asList(definition.get('PlacementConstraints'))?.length === 0
    && asList(service.resource.get('PlacementStrategies'))?.length === 0;
}

// in the host's network a container's port is the host's.
function hostPortName(task: EcsTask): string {
  return task.definition.get('NetworkMode') === 'host' ? 'ContainerPort' : 'HostPort';
}

function staticHostPorts(task: EcsTask): number[] {
  const mode = task.definition.get('NetworkMode') ?? 'bridge';
  const mappings = task.containers.flatMap(({ values }) => asList(valueAt(values, 'PortMappings')) ?? []);
  const ports = mappings.map((mapping) => asInteger(valueAt(mapping, hostPortName(task))) ?? 0);
  return mode === 'host' || mode === 'bridge' ? ports.filter((port) => port > 0) : [];
}
