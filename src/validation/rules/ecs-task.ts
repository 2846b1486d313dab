import { Hardware, NeuronInstanceType } from '../../hardware';
import { HOLE, TemplateGraph, Unknown, Value, asInteger, asList, isTrue, valueAt } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import {
  EcsService, EcsTask, TaskContainer, TaskDevice, ecsServicesOf, ecsTasksOf, mostEfaInterfacesOf, instanceTypesOf,
  neuronDevicesIn, seesEveryDevice,
} from '../views/ecs-tasks';
import { mostNeuronCoresOf, neuronDevicesOf } from '../views/instance-facts';
import { largest } from '../views/known-numbers';
import { launchData, launchProperty } from '../views/launches';
import { imageParameterOf } from '../views/machine-images';
import { userDataText } from '../views/user-data';

const FAMILY = 'ecs-task';
const NEURON_TASKS = 'https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-inference-task-def.html';
const NEURON_CONTAINERS = 'https://awsdocs-neuron.readthedocs-hosted.com/en/latest/containers/troubleshooting.html';
const BATCH_EFA = 'https://docs.aws.amazon.com/batch/latest/userguide/efa.html';
const ECS_API = 'npm:@aws-sdk/client-ecs@3.1164.0/dist-types/models/models_0.d.ts';

/** NeuronCores that a chip has at most, whatever they are grouped to: aws-neuron-sdk about-neuron/arch/neuron-features/logical-neuroncore-config.rst */
const MAX_CORES_OF_ANY = 8;

/** Amazon ECS-optimized images without the Neuron driver. */
const PLAIN_ECS_IMAGE = /^\/aws\/service\/ecs\/optimized-ami\/amazon-linux-2(?!.*\/(neuron|inf)\/)/;

/** User data that may install the driver: by name, from elsewhere, or by a command that is not known. */
const MAY_INSTALL = new RegExp(`neuron|curl|wget|aws\\s|dnf|yum|rpm|\\ufffd|^[ \\t]*${HOLE}`, 'im');

export const ECS_TASK_RULES: Rule[] = [
  {
    id: 'NeuronDeviceOutOfRange',
    family: FAMILY,
    severity: 'error',
    title: 'A task is given Neuron devices that its instances have',
    why: 'Docker cannot start the container: error gathering device information while adding custom device "/dev/neuron16": no such file or directory',
    mend: 'list the devices /dev/neuron0 and up that the instance type has, or run the service on an instance type with more',
    source: NEURON_TASKS,
    *check(graph) {
      for (const { task, service, container, devices } of deviceUses(graph, 'neuron')) {
        const types = instanceTypesOf(service);
        const count = largest(types?.map(neuronDevicesOf));
        const missing = devices.find(({ index }) => count !== undefined && index >= count);
        if (missing !== undefined) {
          yield found(task.definition, missing.property, missing.hostPath,
            `the service ${service.resource.logicalId} runs it on ${[...new Set(types)].join(', ')}, which has ${count} Neuron devices`);
        } else if (count === undefined && devices.some(({ index }) => index > 0)) {
          // every instance with Neuron devices has the first one.
          yield notChecked(task.definition, `${container.property}.LinuxParameters.Devices`, 'the instance type that the task runs on is not known');
        }
      }
    },
  },
  {
    id: 'NeuronDevicesNotContiguous',
    family: FAMILY,
    severity: 'error',
    title: 'The Neuron devices of a container have consecutive numbers',
    why: 'the Neuron runtime expects contiguous devices and stops with "Could not open the nd…"',
    mend: 'list consecutive devices, without a gap',
    source: NEURON_CONTAINERS,
    *check(graph) {
      for (const { task, container } of containersOf(graph)) {
        const indices = neuronDevicesIn(container).map(({ index }) => index).sort((a, b) => a - b);
        const gap = indices.find((index, position) => position > 0 && index > indices[position - 1] + 1);
        if (gap !== undefined && container.hasAllDevices && !seesEveryDevice(container)) {
          yield found(task.definition, `${container.property}.LinuxParameters.Devices`, indices.map((index) => `/dev/neuron${index}`),
            `/dev/neuron${gap - 1} is left out`);
        }
      }
    },
  },
  {
    id: 'TaskDeviceReadOnly',
    family: FAMILY,
    severity: 'error',
    title: 'A container may read and write its Neuron and EFA devices',
    why: 'the runtime cannot open the device: Operation not permitted',
    mend: 'give the permissions "read" and "write", or leave Permissions out for all of them',
    source: `${ECS_API} (Device.permissions)`,
    *check(graph) {
      for (const { task, container } of containersOf(graph)) {
        const lacking = seesEveryDevice(container) ? undefined : container.devices.find(({ values }) => {
          const permissions = asList(valueAt(values, 'Permissions'));
          return permissions !== undefined && permissions.length > 0 && permissions.every((item) => typeof item === 'string')
            && !(permissions.includes('read') && permissions.includes('write'));
        });
        if (lacking !== undefined) {
          yield found(task.definition, `${lacking.property}.Permissions`, valueAt(lacking.values, 'Permissions'), `${lacking.hostPath} is to be read and written`);
        }
      }
    },
  },
  {
    id: 'TensorParallelExceedsDevices',
    family: FAMILY,
    severity: 'error',
    title: 'An engine has as many NeuronCores as its tensor parallelism asks for',
    why: 'the engine finds fewer NeuronCores than ranks and stops at its start',
    mend: 'give the container more Neuron devices, or lower --tensor-parallel-size',
    source: 'https://awsdocs-neuron.readthedocs-hosted.com/en/latest/about-neuron/arch/neuron-features/logical-neuroncore-config.html',
    *check(graph) {
      for (const { task, container } of containersOf(graph)) {
        const { engine } = container;
        // an engine of several containers has the devices of all.
        const isWhole = !['--nnodes', '--distributed-executor-backend', '--config'].some((name) => engine?.option(name) !== undefined);
        const degree = isWhole ? asInteger(engine?.option('--tensor-parallel-size')) : undefined;
        const devices = new Set(neuronDevicesIn(container).map(({ index }) => index)).size;
        if (degree === undefined || devices === 0 || !container.hasAllDevices || seesEveryDevice(container)) {
          continue;
        }
        const cores = devices * coresPerDevice(task);
        if (degree > cores) {
          yield found(task.definition, `${container.property}.LinuxParameters.Devices`, neuronDevicesIn(container).map(({ hostPath }) => hostPath),
            `these devices have ${cores} NeuronCores at most, and --tensor-parallel-size is ${degree}`);
        }
      }
    },
  },
  {
    id: 'EfaDeviceOutOfRange',
    family: FAMILY,
    severity: 'error',
    title: 'A task is given EFA devices that its instances have',
    why: 'there is one /dev/infiniband/uverbs device for each EFA interface, so Docker cannot start the container: no such file or directory',
    mend: 'list as many devices /dev/infiniband/uverbs0 and up as the launch template has EFA interfaces, or add interfaces to it',
    source: BATCH_EFA,
    *check(graph) {
      for (const { task, service, container, devices } of deviceUses(graph, 'efa')) {
        if (service.capacity?.some(({ kind }) => kind !== 'auto-scaling')) {
          continue;
        }
        const count = mostEfaInterfacesOf(service);
        const missing = devices.find(({ index }) => count !== undefined && index >= count);
        if (missing !== undefined) {
          yield found(task.definition, missing.property, missing.hostPath,
            `the instances of the service ${service.resource.logicalId} have ${count} EFA interfaces`);
        } else if (count === undefined) {
          yield notChecked(task.definition, `${container.property}.LinuxParameters.Devices`, 'the EFA interfaces of the instances are not known');
        }
      }
    },
  },
  {
    id: 'EfaDeviceContainerPath',
    family: FAMILY,
    severity: 'error',
    title: 'An EFA device has the same path in the container as on the host',
    why: 'libfabric looks for the device under its own name, and finds no EFA',
    mend: 'leave ContainerPath out, or give the host\'s path',
    source: BATCH_EFA,
    *check(graph) {
      for (const { task, container } of containersOf(graph)) {
        for (const device of container.devices.filter(({ kind }) => kind === 'efa')) {
          const path = valueAt(device.values, 'ContainerPath');
          if (typeof path === 'string' && path !== device.hostPath) {
            yield found(task.definition, `${device.property}.ContainerPath`, path, `the host's path is ${device.hostPath}`);
          }
        }
      }
    },
  },
  {
    id: 'EfaMemoryLockLimit',
    family: FAMILY,
    severity: 'warning',
    title: 'A container with EFA devices may lock memory without a limit',
    why: 'memory is registered with EFA by locking it; a limit cannot be raised inside a container, and registrations beyond it fail with ENOMEM',
    mend: 'add the ulimit "memlock" with a soft and a hard limit of -1',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-installer-containers.html',
    *check(graph) {
      for (const { task, container } of containersOf(graph)) {
        const ulimits = asList(valueAt(container.values, 'Ulimits'));
        if (ulimits === undefined || !container.devices.some(({ kind }) => kind === 'efa') || mayLockAnyway(container.values)) {
          continue;
        }
        const names = ulimits.map((ulimit) => valueAt(ulimit, 'Name'));
        const limit = ulimits.find((ulimit) => valueAt(ulimit, 'Name') === 'memlock');
        const soft = asInteger(valueAt(limit, 'SoftLimit'));
        if (limit === undefined && names.every((name) => typeof name === 'string')) {
          yield found(task.definition, `${container.property}.Ulimits`, undefined, 'the container has EFA devices and no ulimit "memlock"');
        } else if (soft !== undefined && soft !== -1) {
          yield found(task.definition, `${container.property}.Ulimits.${ulimits.indexOf(limit!)}`, limit, `the container may lock ${soft} bytes only`);
        }
      }
    },
  },
  {
    id: 'NeuronTaskOnFargate',
    family: FAMILY,
    severity: 'error',
    title: 'A task with Neuron or EFA devices runs on EC2 instances',
    why: 'Fargate has no devices to give: the task definition or the service is refused with ClientException',
    mend: 'require the compatibility "EC2" and run the service on an Auto Scaling group of Neuron instances',
    source: 'https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html',
    *check(graph) {
      for (const task of ecsTasksOf(graph).filter(({ containers }) => containers.some(usesDevices))) {
        const compatibilities = task.definition.get('RequiresCompatibilities');
        if (asList(compatibilities)?.includes('FARGATE')) {
          yield found(task.definition, 'RequiresCompatibilities', compatibilities, 'the task uses devices of its instance');
          continue;
        }
        for (const { resource, capacity } of task.services) {
          if (capacity?.some(({ kind }) => kind === 'fargate')) {
            const property = resource.get('LaunchType') === undefined ? 'CapacityProviderStrategy' : 'LaunchType';
            yield found(resource, property, resource.get(property), `the task ${task.definition.logicalId} uses devices of its instance`);
          }
        }
      }
    },
  },
  {
    id: 'NeuronRequirementOutsideManagedInstances',
    family: FAMILY,
    severity: 'error',
    title: 'A resource requirement "NeuronDevice" is for Managed Instances only',
    why: 'the task definition or the service is refused: this resource type is only supported on Managed Instances',
    mend: 'map the devices /dev/neuron0 and up with LinuxParameters.Devices instead, or run the task on a Managed Instances capacity provider',
    source: `${ECS_API} (ResourceRequirement.value)`,
    *check(graph) {
      for (const task of ecsTasksOf(graph)) {
        const container = task.containers.find(({ neuronRequirements }) => neuronRequirements.length > 0);
        const compatibilities = asList(task.definition.get('RequiresCompatibilities'));
        // Fargate is another rule's.
        if (container === undefined || compatibilities === undefined || compatibilities.includes('FARGATE')) {
          continue;
        }
        if (compatibilities.length > 0 && compatibilities.every((item) => typeof item === 'string' && item !== 'MANAGED_INSTANCES')) {
          yield found(task.definition, `${container.property}.ResourceRequirements`, container.neuronRequirements,
            `the task requires the compatibility ${compatibilities.join(', ')}`);
          continue;
        }
        for (const { resource, capacity } of task.services) {
          if (resource.get('LaunchType') === 'EC2' || capacity?.some(({ kind }) => kind === 'auto-scaling')) {
            yield found(resource, resource.get('LaunchType') === undefined ? 'CapacityProviderStrategy' : 'LaunchType',
              resource.get('LaunchType') ?? resource.get('CapacityProviderStrategy'), `the task ${task.definition.logicalId} requires "NeuronDevice"`);
          }
        }
      }
    },
  },
  {
    id: 'NeuronRequirementNotAll',
    family: FAMILY,
    severity: 'error',
    title: 'One container of a task requires "NeuronDevice", and it requires all of them',
    why: 'the task definition is refused: the value must be "ALL", and only one container in a task can specify Neuron devices',
    mend: 'set the Value to "ALL" in one container of the task',
    source: `${ECS_API} (ResourceRequirement.value)`,
    *check(graph) {
      for (const { definition, containers } of ecsTasksOf(graph)) {
        const requiring = containers.filter(({ neuronRequirements }) => neuronRequirements.length > 0);
        const partial = requiring.flatMap(({ property, neuronRequirements }) => (
          neuronRequirements.map((requirement) => ({ property, value: valueAt(requirement, 'Value') }))
        )).find(({ value }) => value !== 'ALL' && !(value instanceof Unknown));
        if (partial !== undefined) {
          yield found(definition, `${partial.property}.ResourceRequirements`, partial.value, 'the value is not "ALL"');
        } else if (requiring.length > 1) {
          yield found(definition, `${requiring[1].property}.ResourceRequirements`, requiring[1].neuronRequirements,
            `${requiring.length} containers require Neuron devices`);
        }
      }
    },
  },
  {
    id: 'EfaTaskOnManagedInstances',
    family: FAMILY,
    severity: 'error',
    title: 'A task with EFA devices does not run on Managed Instances',
    why: 'a Managed Instances capacity provider launches instances without EFA interfaces, so the devices do not exist and the container cannot start',
    mend: 'use a capacity provider of an Auto Scaling group whose launch template has EFA interfaces',
    source: 'https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_InstanceLaunchTemplate.html',
    *check(graph) {
      for (const { resource, task, capacity } of ecsServicesOf(graph)) {
        if (task?.containers.some(({ devices }) => devices.some(({ kind }) => kind === 'efa')) && capacity?.some(({ kind }) => kind === 'managed-instances')) {
          yield found(resource, 'CapacityProviderStrategy', resource.get('CapacityProviderStrategy'),
            `the task ${task.definition.logicalId} is given EFA devices`);
        }
      }
    },
  },
  {
    id: 'NeuronTaskArchitecture',
    family: FAMILY,
    severity: 'warning',
    title: 'A task is of the processor architecture of its instances',
    why: 'Trainium and Inferentia instances are x86_64: a task for ARM64 is not placed on them, or its image stops with "exec format error"',
    mend: 'set RuntimePlatform.CpuArchitecture to "X86_64" and build the image for linux/amd64',
    source: 'https://repost.aws/knowledge-center/ecs-task-exec-format-error',
    *check(graph) {
      for (const { definition, services } of ecsTasksOf(graph)) {
        if (definition.get('RuntimePlatform', 'CpuArchitecture') !== 'ARM64') {
          continue;
        }
        const types = services.map((service) => instanceTypesOf(service)).find((all) => (
          all?.every((type) => Hardware.accelerated(type) instanceof NeuronInstanceType)
        ));
        if (types !== undefined) {
          yield found(definition, 'RuntimePlatform.CpuArchitecture', 'ARM64', `the task runs on ${[...new Set(types)].join(', ')}`);
        }
      }
    },
  },
  {
    id: 'NeuronTaskImage',
    family: FAMILY,
    severity: 'error',
    title: 'Instances of a task with Neuron devices run an image that has the Neuron driver',
    why: 'without the driver there is no /dev/neuron0: the task stops with "error gathering device information while adding custom device"',
    mend: 'use /aws/service/ecs/optimized-ami/amazon-linux-2023/neuron/recommended/image_id, or install aws-neuronx-dkms in user data',
    source: 'https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-inference.html',
    *check(graph) {
      const launches = new Map([...deviceUses(graph, 'neuron')].flatMap(({ task, service }) => (service.capacity ?? [])
        .flatMap((capacity) => capacity.launches.map(({ launch }) => [launch, task] as const))));
      for (const [launch, task] of launches) {
        const image = imageParameterOf(launch)?.name ?? '';
        const userData = launchData(launch, 'UserData');
        const mayInstall = userData !== undefined && MAY_INSTALL.test(userDataText(userData) ?? HOLE);
        if (PLAIN_ECS_IMAGE.test(image) && !mayInstall) {
          yield found(launch.template, launchProperty(launch, 'ImageId'), launchData(launch, 'ImageId'),
            `the image has no Neuron driver, and the task ${task.definition.logicalId} uses Neuron devices`);
        }
      }
    },
  },
];

function* containersOf(graph: TemplateGraph): Iterable<{ task: EcsTask; container: TaskContainer }> {
  for (const task of ecsTasksOf(graph)) {
    for (const container of task.containers) {
      yield { task, container };
    }
  }
}

// every service that runs a container with devices of a kind.
function* deviceUses(graph: TemplateGraph, kind: TaskDevice['kind']) {
  for (const { task, container } of containersOf(graph)) {
    const devices = container.devices.filter((device) => device.kind === kind);
    // where there is no instance at all, other rules say so.
    const services = task.services.filter(({ capacity }) => !capacity?.some((one) => one.kind === 'fargate'));
    for (const service of devices.length > 0 ? services : []) {
      yield { task, container, service, devices };
    }
  }
}

function usesDevices({ devices, neuronRequirements }: TaskContainer): boolean {
  return devices.length > 0 || neuronRequirements.length > 0;
}

// where the instances are not known, as many as any chip has.
function coresPerDevice(task: EcsTask): number {
  const types = task.services.flatMap((service: EcsService) => instanceTypesOf(service) ?? [undefined]);
  const cores = types.map((type) => {
    const [most, devices] = type === undefined ? [] : [mostNeuronCoresOf(type), neuronDevicesOf(type)];
    return most && devices ? most / devices : undefined;
  });
  return largest(cores) ?? MAX_CORES_OF_ANY;
}

// root with the capability ignores the limit.
function mayLockAnyway(container: Value): boolean {
  const [privileged, added] = [valueAt(container, 'Privileged'), asList(valueAt(container, 'LinuxParameters', 'Capabilities', 'Add'))];
  return isTrue(privileged) || privileged instanceof Unknown || added === undefined
    || added.some((capability) => typeof capability !== 'string' || ['IPC_LOCK', 'ALL'].includes(capability));
}
