import { EngineCommand, engineCommandOf } from './engine-commands';
import { largest, sum } from './known-numbers';
import { Launch, LaunchUse, launchesOf, typesOfUse } from './launches';
import { viewOf } from './view';
import { Link, Resource, TemplateGraph, Unknown, Value, asInteger, asList, isTrue, linked, valueAt } from '../graph/template-graph';

/** A Neuron or EFA device of the instance that a container is given. */
export interface TaskDevice {
  /** Path below `Properties`. */
  readonly property: string;
  readonly kind: 'neuron' | 'efa';
  /** The number in the host's path. */
  readonly index: number;
  readonly hostPath: string;
  readonly values: Value;
}

/** A container of a task definition. */
export interface TaskContainer {
  /** Path below `Properties`. */
  readonly property: string;
  readonly values: Value;
  readonly devices: TaskDevice[];
  /** False when there may be more devices than are listed. */
  readonly hasAllDevices: boolean;
  /** Requirements of type `NeuronDevice`. */
  readonly neuronRequirements: Value[];
  /** The vLLM server that it starts; undefined when it is not known to start one. */
  readonly engine?: EngineCommand;
}

/** A task definition, with the services that run it. */
export interface EcsTask {
  readonly definition: Resource;
  readonly containers: TaskContainer[];
  /** Whether it certainly uses Neuron devices. */
  readonly isNeuron: boolean;
  readonly services: EcsService[];
}

/** A service of the graph. */
export interface EcsService {
  readonly resource: Resource;
  /** Undefined when it is not in the templates. */
  readonly task?: EcsTask;
  /** Everything that its tasks may run on; undefined when that is not known. */
  readonly capacity?: Capacity[];
}

/** What tasks run on. */
export interface Capacity {
  readonly kind: 'auto-scaling' | 'managed-instances' | 'fargate';
  /** The capacity provider of the graph. */
  readonly provider?: Resource;
  /** The group of an Auto Scaling provider. */
  readonly group?: Resource;
  /** What the group launches from; empty when it is not in the templates. */
  readonly launches: { readonly launch: Launch; readonly use: LaunchUse }[];
}

interface Ecs {
  readonly tasks: EcsTask[];
  readonly services: EcsService[];
}

// an interface of any other type is said to be wrong elsewhere, and may be meant for EFA.
const TASK_TYPE = 'AWS::ECS::TaskDefinition';
const INTERFACE_TYPES: readonly Value[] = ['interface', 'efa', 'efa-only'];

/** Every ECS task definition of the graph. */
export function ecsTasksOf(graph: TemplateGraph): EcsTask[] {
  return ecsOf(graph).tasks;
}

/** Every vLLM server that a task definition of the graph starts. */
export const enginesOf = viewOf((graph): EngineCommand[] => (
  ecsTasksOf(graph).flatMap(({ containers }) => containers.flatMap(({ engine }) => engine ?? []))
));

/** Every ECS service of the graph. */
export function ecsServicesOf(graph: TemplateGraph): EcsService[] {
  return ecsOf(graph).services;
}

/** Every provider of the graph that runs tasks on an Auto Scaling group of the graph. */
export function autoScalingCapacityOf(graph: TemplateGraph): Capacity[] {
  return graph.ofType('AWS::ECS::CapacityProvider').map((provider) => capacityOf(provider, graph))
    .filter((capacity): capacity is Capacity => capacity?.group !== undefined);
}

/** Neuron devices that a container is given. */
export function neuronDevicesIn({ devices }: TaskContainer): TaskDevice[] {
  return devices.filter(({ kind }) => kind === 'neuron');
}

/** The words of the command that a container runs; one that is not known is undefined. */
export function wordsOf({ values }: TaskContainer): (string | undefined)[] {
  return ['EntryPoint', 'Command'].flatMap((name) => asList(valueAt(values, name)) ?? [undefined])
    .map((word) => typeof word === 'string' ? word : undefined);
}

/** Whether a container sees every device of its instance, whatever is listed. */
export function seesEveryDevice(container: TaskContainer): boolean {
  return isTrue(valueAt(container.values, 'Privileged')) || valueAt(container.values, 'Privileged') instanceof Unknown
    || environmentMayHave(container, /^AWS_NEURON_VISIBLE_DEVICES$/);
}

/** False when the task definition certainly sets no environment variable of that name. */
export function environmentMayHave(container: TaskContainer, name: RegExp): boolean {
  const variables = ['Environment', 'Secrets'].flatMap((property) => asList(valueAt(container.values, property)) ?? [undefined]);
  return valueAt(container.values, 'EnvironmentFiles') !== undefined
    || variables.map((variable) => valueAt(variable, 'Name')).some((given) => typeof given !== 'string' || name.test(given));
}

/** Every instance type that the tasks of a service may run on; undefined when one is not known. */
export function instanceTypesOf(service: EcsService): string[] | undefined {
  const types = service.capacity?.flatMap(({ launches }) => launches.length === 0 ? [undefined] : launches.flatMap(({ launch, use }) => (
    typesOfUse(launch, use)
  )));
  return types && types.length > 0 && types.every((type): type is string => typeof type === 'string') ? types : undefined;
}

/**
 * EFA interfaces of the instances that the tasks of a service run on, the most of them; undefined when that is not known.
 */
export function mostEfaInterfacesOf(service: EcsService): number | undefined {
  const launches = service.capacity?.flatMap((capacity) => capacity.launches.length === 0 ? [undefined] : capacity.launches);
  const counts = launches?.map((one) => one?.launch).map((launch) => (
    launch === undefined || launch.unknownInterfaces || launch.interfaces.some(({ type }) => !INTERFACE_TYPES.includes(type)) ? undefined
      : launch.interfaces.filter(({ isEfa }) => isEfa).length
  ));
  return largest(counts);
}

const ecsOf = viewOf((graph): Ecs => {
  const tasks = graph.ofType(TASK_TYPE).map(taskOf);
  const byDefinition = new Map(tasks.map((task) => [task.definition, task]));
  const services = graph.ofType('AWS::ECS::Service').map((resource): EcsService => {
    const definition = resource.get('TaskDefinition');
    const task = byDefinition.get((definition instanceof Link ? definition.resource : graph.byName(TASK_TYPE, ['Family'], definition, resource))!);
    const service = { resource, task, capacity: capacitiesOf(resource, graph) };
    task?.services.push(service);
    return service;
  });
  return { tasks, services };
});

function taskOf(definition: Resource): EcsTask {
  const containers = (asList(definition.get('ContainerDefinitions')) ?? []).flatMap((values, index) => (
    values instanceof Unknown ? [] : [containerOf(definition, values, `ContainerDefinitions.${index}`)]
  ));
  const isNeuron = containers.some(({ devices, neuronRequirements }) => neuronRequirements.length > 0 || devices.some(({ kind }) => kind === 'neuron'));
  return { definition, containers, isNeuron, services: [] };
}

function containerOf(definition: Resource, values: Value, property: string): TaskContainer {
  const listed = asList(valueAt(values, 'LinuxParameters', 'Devices'));
  const devices = (listed ?? []).flatMap((device, index): TaskDevice[] => {
    const hostPath = valueAt(device, 'HostPath');
    const match = typeof hostPath === 'string' ? /^\/dev\/(neuron|infiniband\/uverbs)(\d+)$/.exec(hostPath) : null;
    return match === null ? [] : [{
      property: `${property}.LinuxParameters.Devices.${index}`,
      kind: match[1] === 'neuron' ? 'neuron' : 'efa',
      index: Number(match[2]),
      hostPath: hostPath as string,
      values: device,
    }];
  });
  return {
    property,
    values,
    devices,
    hasAllDevices: listed !== undefined && listed.every((device) => typeof valueAt(device, 'HostPath') === 'string'),
    neuronRequirements: (asList(valueAt(values, 'ResourceRequirements')) ?? []).filter((requirement) => valueAt(requirement, 'Type') === 'NeuronDevice'),
    engine: engineCommandOf(definition, values, `${property}.Command`),
  };
}

function capacitiesOf(service: Resource, graph: TemplateGraph): Capacity[] | undefined {
  const [strategy, launchType] = [asList(service.get('CapacityProviderStrategy')), service.get('LaunchType')];
  if (launchType === 'FARGATE') {
    return [{ kind: 'fargate', launches: [] }];
  }
  if (launchType !== undefined || strategy === undefined) {
    return undefined;
  }
  const items = strategy.length > 0 ? strategy : defaultStrategyOf(service.get('Cluster'), graph);
  const capacities = items?.map((item) => capacityOf(providerOf(valueAt(item, 'CapacityProvider'), service, graph), graph));
  return capacities && capacities.length > 0 && capacities.every((capacity) => capacity !== undefined) ? capacities as Capacity[] : undefined;
}

function defaultStrategyOf(cluster: Value | undefined, graph: TemplateGraph): Value[] | undefined {
  if (!(cluster instanceof Link)) {
    return undefined;
  }
  const associations = graph.ofType('AWS::ECS::ClusterCapacityProviderAssociations').filter((association) => {
    const associated = association.get('Cluster');
    return associated instanceof Link && associated.resource === cluster.resource;
  });
  const strategies = [cluster.resource, ...associations].map((resource) => asList(resource.get('DefaultCapacityProviderStrategy')));
  return strategies.includes(undefined) ? undefined : strategies.flatMap((strategy) => strategy as Value[]);
}

/**
 * A capacity provider as a template names it: one of the graph, the name of one of AWS, or undefined.
 *
 * @param value the capacity provider as it is named.
 * @param from the resource that names it.
 * @param graph the graph.
 */
export function providerOf(value: Value | undefined, from: Resource, graph: TemplateGraph): Resource | 'FARGATE' | 'FARGATE_SPOT' | undefined {
  if (value === 'FARGATE' || value === 'FARGATE_SPOT') {
    return value;
  }
  if (value instanceof Link) {
    return linked(value, 'AWS::ECS::CapacityProvider');
  }
  return graph.byName('AWS::ECS::CapacityProvider', ['Name'], value, from);
}

function capacityOf(provider: Resource | 'FARGATE' | 'FARGATE_SPOT' | undefined, graph: TemplateGraph): Capacity | undefined {
  if (provider === undefined) {
    return undefined;
  }
  if (typeof provider === 'string') {
    return { kind: 'fargate', launches: [] };
  }
  const managed = provider.get('ManagedInstancesProvider');
  if (managed !== undefined && !(managed instanceof Unknown)) {
    return { kind: 'managed-instances', provider, launches: [] };
  }
  const group = provider.get('AutoScalingGroupProvider', 'AutoScalingGroupArn');
  if (!(group instanceof Link) || group.resource.type !== 'AWS::AutoScaling::AutoScalingGroup') {
    return undefined;
  }
  const launches = launchesOf(graph).flatMap((launch) => launch.uses.map((use) => ({ launch, use })));
  return { kind: 'auto-scaling', provider, group: group.resource, launches: launches.filter(({ use }) => use.resource === group.resource) };
}

/** The memory that ECS reserves for a task, in MiB; undefined when it is not known. */
export function reservedMemoryMib(task: EcsTask): number | undefined {
  const ofTask = task.definition.get('Memory');
  return ofTask !== undefined ? unitsOf(ofTask, /^(\d+(?:\.\d+)?)\s*GB$/i) : sumOf(task, (container) => (
    asInteger(valueAt(container, 'MemoryReservation') ?? valueAt(container, 'Memory'))
  ));
}

/** The CPU units that ECS reserves for a task, 1024 a vCPU; undefined when that is not known. */
export function reservedCpuUnits(task: EcsTask): number | undefined {
  const ofTask = task.definition.get('Cpu');
  return ofTask !== undefined ? unitsOf(ofTask, /^(\d+(?:\.\d+)?)\s*vCPU$/i) : sumOf(task, (container) => asInteger(valueAt(container, 'Cpu') ?? 0));
}

// a task may give "2 vCPU" or "900 GB" in place of 2048 or 921600.
function unitsOf(value: Value, thousands: RegExp): number | undefined {
  const match = typeof value === 'string' ? thousands.exec(value.trim()) : null;
  return match ? Number(match[1]) * 1024 : asInteger(value);
}

function sumOf(task: EcsTask, of: (container: Value) => number | undefined): number | undefined {
  return sum((asList(task.definition.get('ContainerDefinitions')) ?? []).map(of));
}
