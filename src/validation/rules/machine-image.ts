import { TemplateGraph, asList, valueAt } from '../graph/template-graph';
import { Rule, found } from '../rule';
import { KNOWN_NEURON_INSTANCE_TYPES } from '../views/instance-facts';
import { Launch, efaLaunchesOf, launchData, launchProperty, launchesOf } from '../views/launches';
import { ImageParameter, ImageSystem, imageParameterOf } from '../views/machine-images';

const FAMILY = 'machine-image';
const NEURON_IMAGE_GUIDE = 'https://awsdocs-neuron.readthedocs-hosted.com/en/latest/dlami/index.html';

/** Name that the root volume has in the images of each system. */
const ROOT_DEVICES: { readonly [system in ImageSystem]?: string } = { 'amazon-linux': '/dev/xvda', 'ubuntu': '/dev/sda1' };

export const MACHINE_IMAGE_RULES: Rule[] = [
  {
    id: 'MachineImageArchitecture',
    family: FAMILY,
    severity: 'error',
    title: 'A Trainium or Inferentia instance runs an x86_64 image',
    why: 'the launch fails with "The architecture \'x86_64\' of the specified instance type does not match the architecture \'arm64\' of the specified AMI"',
    mend: 'use the x86_64 image, such as resolve:ssm:/aws/service/neuron/dlami/base/amazon-linux-2023/latest/image_id',
    source: 'https://github.com/c6fc/warcannon/issues/19',
    *check(graph) {
      for (const { launch, image } of neuronImages(graph)) {
        if (/[/-]arm64([/-]|$)/.test(image.name)) {
          yield found(launch.template, launchProperty(launch, 'ImageId'), image.name, `an arm64 image does not run on ${launch.instanceTypes.join(' or ')}`);
        }
      }
    },
  },
  {
    id: 'MachineImageForGpu',
    family: FAMILY,
    severity: 'warning',
    title: 'A Trainium or Inferentia instance does not run an image for NVIDIA GPUs',
    why: 'the image has the NVIDIA driver and no Neuron driver: no /dev/neuron device appears, and the engine finds no accelerator',
    mend: 'use an image with the Neuron driver, such as resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/neuron/recommended/image_id',
    source: 'https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-inference.html',
    *check(graph) {
      for (const { launch, image } of neuronImages(graph)) {
        if (isForGpu(image.name)) {
          yield found(launch.template, launchProperty(launch, 'ImageId'), image.name, 'the image is for instances with NVIDIA GPUs');
        }
      }
    },
  },
  {
    id: 'NeuronImageParameterUnknown',
    family: FAMILY,
    severity: 'error',
    title: 'The parameter of a Neuron image is one that AWS publishes',
    why: 'there is no such parameter: the deployment or the launch fails',
    mend: 'name the parameter /aws/service/neuron/dlami/<image>/<system>/latest/image_id, such as resolve:ssm:/aws/service/neuron/dlami/base/ubuntu-24.04/latest/image_id',
    source: NEURON_IMAGE_GUIDE,
    *check(graph) {
      for (const { launch, image } of images(graph)) {
        if (image.name.startsWith('/aws/service/neuron/') && !/^\/aws\/service\/neuron\/dlami\/[^/]+\/(ubuntu|amazon-linux)-[^/]+\/[^/]+\/image_id$/.test(image.name)) {
          yield found(launch.template, launchProperty(launch, 'ImageId'), image.name, 'no parameter of a Neuron image has such a name');
        }
      }
    },
  },
  {
    id: 'MachineImageParameterIsNoId',
    family: FAMILY,
    severity: 'error',
    title: 'The parameter of an ECS-optimized image is the one that gives the id alone',
    why: 'the parameter "recommended" is JSON text about the image, which is no image id: the deployment or the launch is refused',
    mend: 'end the name of the parameter in /recommended/image_id',
    source: 'https://docs.aws.amazon.com/AmazonECS/latest/developerguide/retrieve-ecs-optimized_AMI.html',
    *check(graph) {
      for (const { launch, image } of images(graph)) {
        if (/^\/aws\/service\/ecs\/optimized-ami\/.*\/recommended$/.test(image.name)) {
          yield found(launch.template, launchProperty(launch, 'ImageId'), image.name, 'the parameter is JSON text, no image id');
        }
      }
    },
  },
  {
    id: 'NeuronImageWithoutInferentia1',
    family: FAMILY,
    severity: 'error',
    title: 'An Inferentia1 instance runs an image of Neuron 2.26 or before',
    why: 'Neuron images since 2.26.1 have a driver that does not know Inferentia1: no /dev/neuron device appears',
    mend: 'name an image of Neuron 2.26 or before by its id, or use Inferentia2',
    source: NEURON_IMAGE_GUIDE,
    *check(graph) {
      for (const { launch, image } of neuronImages(graph)) {
        if (launch.instanceTypes.some((type) => String(type).startsWith('inf1.')) && /^\/aws\/service\/neuron\/dlami\/(base|multi-framework)\/[^/]+\/latest\//.test(image.name)) {
          yield found(launch.template, launchProperty(launch, 'ImageId'), image.name, 'the latest Neuron images do not know Inferentia1');
        }
      }
    },
  },
  {
    id: 'EfaOnWindows',
    family: FAMILY,
    severity: 'error',
    title: 'An instance with EFA interfaces runs Linux',
    why: 'on Windows an EFA is an ordinary network adapter: nothing fails at deployment, and libfabric finds no EFA device',
    mend: 'use a Linux image with the EFA driver, such as resolve:ssm:/aws/service/neuron/dlami/base/amazon-linux-2023/latest/image_id',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa.html',
    *check(graph) {
      for (const launch of efaLaunchesOf(graph)) {
        const image = imageParameterOf(launch);
        if (image?.system === 'windows') {
          yield found(launch.template, launchProperty(launch, 'ImageId'), image.name, 'the image runs Windows, and the launch has EFA interfaces');
        }
      }
    },
  },
  {
    id: 'RootDeviceName',
    family: FAMILY,
    severity: 'warning',
    title: 'A block device mapping for the root volume has the name that the root volume has in the image',
    why: 'a mapping of another name adds a second, empty volume, and the root volume keeps the size that it has in the image: model weights and images fill it up',
    mend: 'name the root volume /dev/xvda for Amazon Linux, /dev/sda1 for Ubuntu',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html',
    *check(graph) {
      for (const { launch, image } of neuronImages(graph)) {
        const root = image.system && ROOT_DEVICES[image.system];
        const names = (asList(launchData(launch, 'BlockDeviceMappings')) ?? []).map((mapping) => valueAt(mapping, 'DeviceName'));
        const other = names.findIndex((name) => name !== root && Object.values(ROOT_DEVICES).some((device) => device === name));
        if (root !== undefined && other >= 0 && names.every((name) => typeof name === 'string' && name !== root)) {
          yield found(launch.template, launchProperty(launch, 'BlockDeviceMappings', String(other), 'DeviceName'), names[other],
            `the root volume of ${image.name} is ${root}`);
        }
      }
    },
  },
];

function* images(graph: TemplateGraph): Iterable<{ launch: Launch; image: ImageParameter }> {
  for (const launch of launchesOf(graph)) {
    const image = imageParameterOf(launch);
    if (image !== undefined) {
      yield { launch, image };
    }
  }
}

// images of launches that certainly are of Neuron instances and of nothing else.
function* neuronImages(graph: TemplateGraph): Iterable<{ launch: Launch; image: ImageParameter }> {
  for (const { launch, image } of images(graph)) {
    if (launch.instanceTypes.length > 0 && launch.instanceTypes.every((type) => KNOWN_NEURON_INSTANCE_TYPES.some((known) => known === type))) {
      yield { launch, image };
    }
  }
}

function isForGpu(name: string): boolean {
  return /^\/aws\/service\/ecs\/optimized-ami\/[^/]+\/gpu\//.test(name) || /^\/aws\/service\/eks\/optimized-ami\/.*\/nvidia\//.test(name)
    || /^\/aws\/service\/deeplearning\/ami\/.*nvidia/.test(name) || /^\/aws\/service\/bottlerocket\/.*nvidia/.test(name);
}
