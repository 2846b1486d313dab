import { Link, Resource, TemplateGraph, Value, asList, valueAt } from '../graph/template-graph';
import { Rule, found } from '../rule';
import { isNeuronType } from '../views/instance-facts';
import { Launch, isCapacityBlock, launchData, launchesOf } from '../views/launches';

const FAMILY = 'batch';
const EFA_GUIDE = 'https://docs.aws.amazon.com/batch/latest/userguide/efa.html';

/** What a container does with an EFA device, all that Batch gives by default. */
const PERMISSIONS = ['READ', 'WRITE', 'MKNOD'];

export const BATCH_RULES: Rule[] = [
  {
    id: 'BatchEfaDevice',
    family: FAMILY,
    severity: 'error',
    title: 'An EFA device of a job has the same path in the container as on the host, and every permission',
    why: 'libfabric finds no usable EFA device in the container, and the job fails or falls back to TCP',
    mend: 'drop ContainerPath and Permissions of the device: their defaults are right',
    source: EFA_GUIDE,
    *check(graph) {
      for (const definition of graph.ofType('AWS::Batch::JobDefinition')) {
        for (const { property, device } of devicesOf(definition)) {
          const [host, inside, permissions] = ['HostPath', 'ContainerPath', 'Permissions'].map((name) => valueAt(device, name));
          if (typeof host !== 'string' || !/^\/dev\/infiniband\/uverbs\d+$/.test(host)) {
            continue;
          }
          if (typeof inside === 'string' && inside !== host) {
            yield found(definition, `${property}.ContainerPath`, inside, `the container has the device under another name than the host, ${host}`);
          }
          const given = permissions === undefined ? undefined : asList(permissions);
          if (given?.every((permission) => typeof permission === 'string') && !PERMISSIONS.every((wanted) => given.includes(wanted))) {
            yield found(definition, `${property}.Permissions`, permissions, `a container needs ${PERMISSIONS.join(', ')} of an EFA device`);
          }
        }
      }
    },
  },
  {
    id: 'BatchEfaPlacementGroup',
    family: FAMILY,
    severity: 'warning',
    title: 'A compute environment with EFA interfaces has a cluster placement group',
    why: 'AWS Batch supports EFA for instances of one cluster placement group; elsewhere they may be far apart, or in several Availability Zones',
    mend: 'set PlacementGroup of the compute resources to a placement group of strategy "cluster"',
    source: EFA_GUIDE,
    *check(graph) {
      for (const environment of graph.ofType('AWS::Batch::ComputeEnvironment')) {
        const launch = launchOf(graph, environment);
        // a Capacity Block is close together without one, and may be full for a group.
        if (!launch || !launch.interfaces.some(({ isEfa }) => isEfa) || isCapacityBlock(launch)) {
          continue;
        }
        if (environment.get('ComputeResources', 'PlacementGroup') === undefined && launchData(launch, 'Placement') === undefined) {
          yield found(environment, 'ComputeResources.PlacementGroup', undefined, `the launch template ${launch.template.logicalId} has EFA interfaces`);
        }
      }
    },
  },
  {
    id: 'BatchNeuronImage',
    family: FAMILY,
    severity: 'warning',
    title: 'A compute environment of Trainium or Inferentia instances names an image with the Neuron driver',
    why: 'the images that AWS Batch chooses by itself have no Neuron driver, so that there is no /dev/neuron0 for a job',
    mend: 'set Ec2Configuration.ImageIdOverride to an Amazon ECS-optimized Neuron image, {{resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/neuron/recommended/image_id}}',
    source: 'https://docs.aws.amazon.com/batch/latest/APIReference/API_Ec2Configuration.html',
    *check(graph) {
      for (const environment of graph.ofType('AWS::Batch::ComputeEnvironment')) {
        const at = (name: string) => environment.get('ComputeResources', name);
        const types = asList(at('InstanceTypes')) ?? [];
        const neuron = types.length > 0 && types.every(isNeuronType);
        const configurations = asList(at('Ec2Configuration'));
        // a launch template may name the image, or install the driver.
        const chosen = environment.get('EksConfiguration') !== undefined || at('ImageId') !== undefined || at('LaunchTemplate') !== undefined
          || configurations?.every((configuration) => isListed(configuration)) !== true;
        if (neuron && !chosen) {
          yield found(environment, 'ComputeResources.Ec2Configuration', at('Ec2Configuration'), `AWS Batch chooses the image for ${types.join(', ')}`);
        }
      }
    },
  },
];

/** An image type that AWS Batch looks an image up for. */
function isListed(configuration: Value): boolean {
  return typeof valueAt(configuration, 'ImageType') === 'string' && valueAt(configuration, 'ImageIdOverride') === undefined;
}

function launchOf(graph: TemplateGraph, environment: Resource): Launch | undefined {
  const [id, name] = ['LaunchTemplateId', 'LaunchTemplateName'].map((property) => environment.get('ComputeResources', 'LaunchTemplate', property));
  return launchesOf(graph).find(({ template }) => [id, name].some((value) => value instanceof Link && value.resource === template)
    || (typeof name === 'string' && template.get('LaunchTemplateName') === name));
}

/** Devices of a job definition, of one container or of several nodes. */
function devicesOf(definition: Resource): { property: string; device: Value }[] {
  const paths = [
    'ContainerProperties',
    ...(asList(definition.get('NodeProperties', 'NodeRangeProperties')) ?? []).map((_, index) => `NodeProperties.NodeRangeProperties.${index}.Container`),
  ];
  return paths.flatMap((path) => (asList(valueIn(definition, `${path}.LinuxParameters.Devices`)) ?? [])
    .map((device, index) => ({ property: `${path}.LinuxParameters.Devices.${index}`, device })));
}

function valueIn(definition: Resource, path: string): Value | undefined {
  return path.split('.').reduce<Value | undefined>((value, name) => Array.isArray(value) ? value[Number(name)] : valueAt(value, name), definition.get());
}
