import { Link, Resource, TemplateGraph, Unknown, Value, asInteger, asList, linked, ssmParameterOf, valueAt } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import { isPlacementKnown, largestInstanceOf, mostInstancesOf, reasonApart, reasonForOneTaskAnInstance } from '../views/ecs-placement';
import {
  EcsService, EcsTask, TaskContainer, autoScalingCapacityOf, ecsServicesOf, environmentMayHave,
  instanceTypesOf, neuronDevicesIn, providerOf, reservedCpuUnits, reservedMemoryMib, wordsOf,
} from '../views/ecs-tasks';
import { handedOn } from '../views/handed-on';
import { hasNoPolicy } from '../views/iam-policies';
import { launchData, launchProperty } from '../views/launches';
import { hasHole } from '../views/partial-text';
import { userDataText } from '../views/user-data';

const FAMILY = 'ecs-service';
const DEPLOYMENTS = 'https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html';
const CAPACITY_PROVIDERS = 'https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html';
const INSTANCE_ROLE = 'https://docs.aws.amazon.com/AmazonECS/latest/developerguide/instance_IAM_role.html';
const NEURON_CORES = 'https://awsdocs-neuron.readthedocs-hosted.com/en/latest/neuron-runtime/guides/configuration-guide.html';
const EVENTS = 'https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html';

export const ECS_SERVICE_RULES: Rule[] = [
  {
    id: 'TaskLargerThanInstance',
    family: FAMILY,
    severity: 'error',
    title: 'A task reserves no more memory and CPU than its instances have',
    why: 'the task is never placed: no container instance met all of its requirements, as the closest has insufficient memory or CPU available',
    mend: 'lower the memory and the CPU units that the task reserves, or run the service on a larger instance type',
    source: EVENTS,
    *check(graph) {
      for (const service of ecsServicesOf(graph)) {
        const { task, resource } = service;
        const { memoryMib, cpuUnits } = largestInstanceOf(service);
        const [memory, cpu] = task === undefined ? [] : [reservedMemoryMib(task), reservedCpuUnits(task)];
        const tooMuch = memory !== undefined && memoryMib !== undefined && memory > memoryMib ? `${memory} MiB, and the largest has ${memoryMib} MiB`
          : cpu !== undefined && cpuUnits !== undefined && cpu > cpuUnits ? `${cpu} CPU units, and the largest has ${cpuUnits}` : undefined;
        if (tooMuch !== undefined) {
          yield found(resource, 'TaskDefinition', resource.get('TaskDefinition'),
            `the service runs on ${[...new Set(instanceTypesOf(service))].join(', ')}; its task reserves ${tooMuch}`);
        }
      }
    },
  },
  {
    id: 'TasksExceedInstances',
    family: FAMILY,
    severity: 'error',
    title: 'A service that runs one task an instance wants no more tasks than its groups may have instances',
    why: 'the last tasks are never placed, so the service never becomes stable and the deployment of the stack fails after hours',
    mend: 'lower DesiredCount, or raise MaxSize of the Auto Scaling group',
    source: EVENTS,
    *check(graph) {
      for (const { service, task, desired, most } of replicas(graph)) {
        const reason = reasonForOneTaskAnInstance(service, task);
        if (reason !== undefined && most !== undefined && desired > most) {
          yield found(service.resource, 'DesiredCount', desired, `there are ${most} instances at most, one for each task, as ${reason}`);
        }
      }
    },
  },
  {
    id: 'DeploymentWithoutRoom',
    family: FAMILY,
    severity: 'warning',
    title: 'A service whose tasks fill every instance lets a deployment stop a task before it starts one',
    why: 'no task may be stopped and no new one is placed (unable to place a task because no container instance met all of its requirements), '
      + 'so no later deployment ever proceeds',
    mend: 'set MinimumHealthyPercent low enough for one task to stop, and MaximumPercent to 100, or raise MaxSize of the Auto Scaling group by an instance',
    source: DEPLOYMENTS,
    *check(graph) {
      for (const { service, task, desired, most } of replicas(graph)) {
        const { resource } = service;
        const [controller, strategy] = [resource.get('DeploymentController', 'Type') ?? 'ECS', resource.get('DeploymentConfiguration', 'Strategy') ?? 'ROLLING'];
        const percent = asInteger(resource.get('DeploymentConfiguration', 'MinimumHealthyPercent') ?? 100);
        const reason = reasonForOneTaskAnInstance(service, task);
        if (controller !== 'ECS' || strategy !== 'ROLLING' || percent === undefined || reason === undefined || desired === 0 || desired !== most) {
          continue;
        }
        if (Math.ceil(desired * percent / 100) >= desired) {
          yield found(resource, 'DeploymentConfiguration.MinimumHealthyPercent', percent,
            `all of ${desired} tasks have to keep running, and there are ${most} instances at most, one for each task, as ${reason}`);
        }
      }
    },
  },
  {
    id: 'NeuronTasksShareInstance',
    family: FAMILY,
    severity: 'warning',
    title: 'Tasks with the same Neuron devices are kept on instances of their own',
    why: 'ECS does not count the devices and may place several tasks on one instance; a NeuronCore is reserved for one process, so the other tasks stop at their start',
    mend: 'add the placement constraint "distinctInstance" to the service',
    source: NEURON_CORES,
    *check(graph) {
      for (const { service, task, desired } of replicas(graph)) {
        const exclusive = reservedDevices(task).length > 0;
        if (exclusive && desired > 1 && isPlacementKnown(service, task) && reasonForOneTaskAnInstance(service, task) === undefined) {
          yield found(service.resource, 'PlacementConstraints', undefined, `nothing keeps ${desired} tasks with the same Neuron devices apart`);
        }
      }
    },
  },
  {
    id: 'NeuronServicesShareDevices',
    family: FAMILY,
    severity: 'warning',
    title: 'Services that use the same Neuron devices have instances of their own',
    why: 'ECS does not count the devices: tasks of both services are placed on one instance, where the later ones find every NeuronCore reserved and stop, '
      + 'or they wait for an instance that never comes',
    mend: 'run each service on a capacity provider of its own, or give their tasks different devices of the instance',
    source: NEURON_CORES,
    *check(graph) {
      const all = [...replicas(graph)].filter(({ desired }) => desired > 0).map((one) => ({ ...one, devices: reservedDevices(one.task) }));
      for (const [index, one] of all.entries()) {
        for (const other of all.slice(0, index)) {
          const group = one.service.capacity?.length === 1 && other.service.capacity?.length === 1 ? one.service.capacity[0].group : undefined;
          const device = one.devices.find((path) => other.devices.includes(path));
          if (group === undefined || group !== other.service.capacity![0].group || device === undefined) {
            continue;
          }
          const tasks = `tasks of ${other.service.resource.logicalId} and ${one.service.resource.logicalId} both use ${device}`;
          const reason = reasonApart(one.service, one.task, other.task);
          const needed = one.desired + other.desired;
          if (reason !== undefined && one.most !== undefined && needed > one.most) {
            yield found(one.service.resource, 'CapacityProviderStrategy', one.service.resource.get('CapacityProviderStrategy'),
              `${tasks}, and ${group.logicalId} has ${one.most} instances at most for ${needed} of them (${reason})`);
          } else if (reason === undefined && isPlacementKnown(one.service, one.task) && isPlacementKnown(other.service, other.task)) {
            yield found(one.service.resource, 'CapacityProviderStrategy', one.service.resource.get('CapacityProviderStrategy'),
              `${tasks}, and nothing keeps them on different instances of ${group.logicalId}`);
          }
        }
      }
    },
  },
  {
    id: 'ZoneRebalancingWithoutRoom',
    family: FAMILY,
    severity: 'error',
    title: 'A service with a maximum of 100 percent is not rebalanced between Availability Zones',
    why: 'the service is refused: Availability Zone Rebalancing does not support maximumPercent <= 100 % as deployment configuration',
    mend: 'set AvailabilityZoneRebalancing to "DISABLED", or raise MaximumPercent above 100',
    source: 'https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html',
    *check(graph) {
      for (const { resource } of ecsServicesOf(graph)) {
        const percent = asInteger(resource.get('DeploymentConfiguration', 'MaximumPercent'));
        if (resource.get('AvailabilityZoneRebalancing') === 'ENABLED' && percent !== undefined && percent <= 100) {
          yield found(resource, 'AvailabilityZoneRebalancing', 'ENABLED', `rebalancing starts tasks before it stops others, and MaximumPercent is ${percent}`);
        }
      }
    },
  },
  {
    id: 'CapacityProviderNotAssociated',
    family: FAMILY,
    severity: 'error',
    title: 'A capacity provider of a service is associated with its cluster',
    why: 'CreateService is refused: the specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster',
    mend: 'add an AWS::ECS::ClusterCapacityProviderAssociations of the cluster that lists the capacity provider',
    source: CAPACITY_PROVIDERS,
    *check(graph) {
      for (const { resource } of ecsServicesOf(graph)) {
        const cluster = resource.get('Cluster');
        // a stack that is not seen, a macro or a call of the API may associate them.
        const isSeen = !graph.hasUnseenResources && graph.ofType('Custom::AWS').length === 0;
        if (!(cluster instanceof Link) || cluster.resource.type !== 'AWS::ECS::Cluster' || cluster.resource.stack !== resource.stack || !isSeen) {
          continue;
        }
        const associated = associatedWith(cluster.resource, graph);
        for (const [index, item] of (asList(resource.get('CapacityProviderStrategy')) ?? []).entries()) {
          const value = valueAt(item, 'CapacityProvider');
          const provider = providerOf(value, resource, graph);
          // something that makes more than the template shows may associate them.
          const isHandedOn = [cluster.resource, provider].some((each) => each instanceof Resource && handedOn(graph).has(each));
          if (provider === undefined || isHandedOn || (typeof provider !== 'string' && (provider.get('ClusterName') !== undefined || provider.stack !== resource.stack))) {
            continue;
          }
          const listed = associated.map((other) => other === undefined ? undefined : providerOf(other, resource, graph));
          if (listed.includes(undefined)) {
            yield notChecked(resource, `CapacityProviderStrategy.${index}`, 'the capacity providers of the cluster are not all known');
          } else if (!listed.includes(provider)) {
            yield found(resource, `CapacityProviderStrategy.${index}.CapacityProvider`, value,
              `nothing associates it with the cluster ${cluster.resource.logicalId}`);
          }
        }
      }
    },
  },
  {
    id: 'EcsInstanceRoleMissing',
    family: FAMILY,
    severity: 'error',
    title: 'Instances of a capacity provider have a role that lets them register with ECS',
    why: 'the ECS agent has no permission to register its instance, so the cluster stays without instances and tasks are never placed',
    mend: 'give the launch template an instance profile whose role has what AmazonEC2ContainerServiceforEC2Role allows',
    source: INSTANCE_ROLE,
    *check(graph) {
      const launches = new Set(autoScalingCapacityOf(graph).flatMap((capacity) => capacity.launches.map(({ launch }) => launch)));
      for (const launch of launches) {
        const given = launchData(launch, 'IamInstanceProfile');
        if (given === undefined) {
          yield found(launch.template, launchProperty(launch, 'IamInstanceProfile'), undefined, 'the launch template names no instance profile');
          continue;
        }
        const profile = valueAt(given, 'Arn') ?? valueAt(given, 'Name');
        const roles = asList(linked(profile, 'AWS::IAM::InstanceProfile')?.get('Roles')) ?? [];
        for (const role of roles) {
          if (role instanceof Link && role.resource.type === 'AWS::IAM::Role' && hasNoPolicy(graph, role.resource)) {
            yield found(role.resource, 'ManagedPolicyArns', undefined, `the role of the instances of ${launch.template.logicalId} has no policy at all`);
          }
        }
      }
    },
  },
  {
    id: 'EcsClusterNotJoined',
    family: FAMILY,
    severity: 'error',
    title: 'Instances of a capacity provider join the cluster of the capacity provider',
    why: 'without ECS_CLUSTER in its configuration the agent registers with the cluster "default", and tasks are never placed in the other one',
    mend: 'add user data that writes ECS_CLUSTER=<name of the cluster> to /etc/ecs/ecs.config',
    source: 'https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html',
    *check(graph) {
      const reported = new Set<Resource>();
      for (const { resource, capacity } of ecsServicesOf(graph)) {
        const cluster = resource.get('Cluster');
        const ofGraph = linked(cluster, 'AWS::ECS::Cluster');
        const name = ofGraph && (ofGraph.get('ClusterName') ?? '');
        for (const { launch } of capacity?.flatMap(({ launches }) => launches) ?? []) {
          const image = launchData(launch, 'ImageId');
          // another image may be configured already.
          const isPlain = ssmParameterOf(image)?.startsWith('/aws/service/ecs/optimized-ami/amazon-linux') === true;
          const data = launchData(launch, 'UserData');
          const text = userDataText(data);
          // a script that is fetched may write anything.
          const joins = data !== undefined && (text === undefined || hasHole(text) || /ECS_CLUSTER|"Cluster"|https?:|s3:|\baws\b|cfn-init|MIME|^\x1f/i.test(text));
          if (typeof name === 'string' && name !== 'default' && isPlain && !joins && !reported.has(launch.template)) {
            reported.add(launch.template);
            yield found(launch.template, launchProperty(launch, 'UserData'), data === undefined ? undefined : text!.slice(0, 60),
              `${data === undefined ? 'there is no user data' : 'the user data does not name ECS_CLUSTER'}, `
              + `and the service ${resource.logicalId} is in the cluster ${(cluster as Link).resource.logicalId}`);
          }
        }
      }
    },
  },
];

interface Replicas {
  readonly service: EcsService;
  readonly task: EcsTask;
  readonly desired: number;
  /** Undefined when it is not known. */
  readonly most: number | undefined;
}

// services of Neuron tasks that keep a known number of them on instances of their own groups.
function* replicas(graph: TemplateGraph): Iterable<Replicas> {
  for (const service of ecsServicesOf(graph)) {
    const desired = asInteger(service.resource.get('DesiredCount'));
    const isReplica = (service.resource.get('SchedulingStrategy') ?? 'REPLICA') === 'REPLICA';
    if (service.task?.isNeuron && desired !== undefined && isReplica && service.capacity?.every(({ kind }) => kind === 'auto-scaling')) {
      yield { service, task: service.task, desired, most: mostInstancesOf(service, graph) };
    }
  }
}

// devices of containers that certainly reserve every NeuronCore of them, as the runtime does unless it is told otherwise.
function reservedDevices(task: EcsTask): string[] {
  return task.containers.filter((container) => !environmentMayHave(container, /^NEURON_RT_/) && !setsCores(container))
    .flatMap(neuronDevicesIn).map(({ hostPath }) => hostPath);
}

// a script may divide the cores among processes.
function setsCores(container: TaskContainer): boolean {
  return wordsOf(container).some((word) => word === undefined || word.includes('NEURON_RT_'));
}

// every capacity provider that the graph associates with a cluster; undefined for what is not known.
function associatedWith(cluster: Resource, graph: TemplateGraph): (Value | undefined)[] {
  const associations = graph.ofType('AWS::ECS::ClusterCapacityProviderAssociations').filter((association) => {
    const other = association.get('Cluster');
    return !(other instanceof Link) || other.resource === cluster;
  });
  return [cluster, ...associations].flatMap((resource) => (asList(resource.get('CapacityProviders')) ?? [undefined])
    .map((value) => value instanceof Unknown ? undefined : value));
}
