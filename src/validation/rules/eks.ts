import { Resource, Unknown, Value, asList, isOptional, isTrue, linked, same, valueAt } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import { clusterOf, kubernetesMinorOf, minorVersion } from '../views/eks-clusters';
import { handedOn } from '../views/handed-on';
import { rolePoliciesOf } from '../views/iam-policies';
import { isNeuronType } from '../views/instance-facts';
import { isCapacityBlock, launchData, launchProperty, launchesOf } from '../views/launches';
import { NodeGroup, nodeGroupsOf } from '../views/node-groups';
import { hasHole, partialText } from '../views/partial-text';
import { userDataText } from '../views/user-data';

const FAMILY = 'eks';
const LAUNCH_TEMPLATE_GUIDE = 'https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html';
const CAPACITY_BLOCK_GUIDE = 'https://docs.aws.amazon.com/eks/latest/userguide/capacity-blocks-mng.html';
const NODEGROUP_API = 'https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html';

/** AMI types whose images have no Neuron driver, but may be given one at boot. */
const WITHOUT_DRIVER = ['AL2_x86_64', 'AL2023_x86_64_STANDARD'];

/** AMI types that no Trainium or Inferentia instance runs on: another processor, another driver, another system. */
const NEVER_NEURON = /ARM_64|NVIDIA|^WINDOWS/;

/** What nodeadm demands of the cluster in a NodeConfig (github:awslabs/amazon-eks-ami nodeadm/internal/api/validation.go). */
const CLUSTER_DETAILS = ['name', 'apiServerEndpoint', 'certificateAuthority', 'cidr'];

const WORKER_POLICIES = ['AmazonEKSWorkerNodePolicy', 'AmazonEKSWorkerNodeMinimalPolicy'];
const REGISTRY_POLICIES = [
  'AmazonEC2ContainerRegistryPullOnly', 'AmazonEC2ContainerRegistryReadOnly', 'AmazonEC2ContainerRegistryPowerUser', 'AmazonEC2ContainerRegistryFullAccess',
];

/** Policies of AWS that grant nothing of the two above. */
const OTHER_POLICIES = ['AmazonEKS_CNI_Policy', 'AmazonSSMManagedInstanceCore', 'CloudWatchAgentServerPolicy', 'AmazonEBSCSIDriverPolicy', 'AmazonS3ReadOnlyAccess'];

/** What user data that joins a cluster has, and compressed or binary user data. */
const MAY_JOIN = /nodeadm|NodeConfig|bootstrap|kubelet|kubernetes|eks|cluster|source|curl|wget|aws s3|\ufffd/i;

export const EKS_RULES: Rule[] = [
  {
    id: 'NodegroupCapacityType',
    family: FAMILY,
    severity: 'error',
    title: 'The capacity type of a managed node group is that of its launch template: CAPACITY_BLOCK if, and only if, that asks for a Capacity Block, and SPOT if it asks for Spot',
    why: 'EKS rejects the node group, for Spot with "Instance market options are not supported with the launch template"',
    mend: 'set CapacityType to "CAPACITY_BLOCK" and InstanceMarketOptions.MarketType of the launch template to "capacity-block", or neither; '
      + 'for Spot set CapacityType to "SPOT" and drop InstanceMarketOptions',
    source: CAPACITY_BLOCK_GUIDE,
    *check(graph) {
      for (const { resource, hasLaunchTemplate, launch } of nodeGroupsOf(graph)) {
        const capacity = resource.get('CapacityType');
        if (!hasLaunchTemplate && capacity === 'CAPACITY_BLOCK') {
          yield found(resource, 'LaunchTemplate', undefined, 'a node group on a Capacity Block has a launch template that names the block');
        }
        if (!launch) {
          continue;
        }
        const market = launchData(launch, 'InstanceMarketOptions', 'MarketType');
        const unknown = [market, capacity].find((value) => value instanceof Unknown);
        if (unknown instanceof Unknown) {
          if (market === 'capacity-block' || capacity === 'CAPACITY_BLOCK') {
            yield notChecked(resource, 'CapacityType', unknown);
          }
        } else if ((market === 'capacity-block') !== (capacity === 'CAPACITY_BLOCK')) {
          yield found(resource, 'CapacityType', capacity, market === 'capacity-block'
            ? 'the launch template asks for a Capacity Block' : 'the launch template does not ask for a Capacity Block');
        } else if (market === 'spot' && capacity !== 'SPOT') {
          yield found(resource, 'CapacityType', capacity, 'the launch template asks for Spot instances');
        }
      }
    },
  },
  {
    id: 'NodegroupLaunchTemplateConflict',
    family: FAMILY,
    severity: 'error',
    title: 'A launch template of a managed node group leaves to EKS what the node group sets: subnets, instance profile, shutdown and hibernation',
    why: 'EKS rejects the node group, with "You must not specify a subnet in your launch template" and the like',
    mend: 'drop the property from the launch template; of two instance types drop InstanceTypes of the node group',
    source: LAUNCH_TEMPLATE_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const nodegroups = launch.uses.filter(({ kind }) => kind === 'Nodegroup');
        if (nodegroups.length === 0) {
          continue;
        }
        for (const [name, message] of Object.entries(LEFT_TO_EKS)) {
          const value = launchData(launch, name);
          // a launch template that says not to hibernate changes nothing.
          if (isGiven(value) && (name !== 'HibernationOptions' || isTrue(valueAt(value, 'Configured')))) {
            yield found(launch.template, launchProperty(launch, name), value, message);
          }
        }
        for (const nic of launch.interfaces) {
          const subnet = valueAt(nic.values, 'SubnetId');
          if (isGiven(subnet)) {
            yield found(launch.template, `${nic.property}.SubnetId`, subnet, 'a managed node group takes its subnets from the node group only');
          }
        }
        const type = launchData(launch, 'InstanceType');
        for (const { resource, instanceTypes } of nodegroups) {
          if (isGiven(type) && instanceTypes.some(isGiven)) {
            yield found(resource, 'InstanceTypes', instanceTypes, 'the launch template has an instance type too');
          }
        }
      }
    },
  },
  {
    id: 'NodegroupSettingBesideLaunchTemplate',
    family: FAMILY,
    severity: 'error',
    title: 'A managed node group with a launch template leaves disk size and remote access to it',
    why: 'the deployment of the node group fails',
    mend: 'drop DiskSize and RemoteAccess of the node group; set BlockDeviceMappings, KeyName and security groups of the launch template',
    source: NODEGROUP_API,
    *check(graph) {
      for (const { resource } of nodeGroupsOf(graph).filter((group) => isGiven(group.resource.get('LaunchTemplate')))) {
        for (const name of ['DiskSize', 'RemoteAccess']) {
          const value = resource.get(name);
          if (isGiven(value)) {
            yield found(resource, name, value, 'the node group has a launch template');
          }
        }
      }
    },
  },
  {
    id: 'NodegroupCustomImageSettings',
    family: FAMILY,
    severity: 'error',
    title: 'A managed node group whose launch template names an image has no AMI type, release version or version of its own',
    why: 'CreateNodegroup is refused, with "You cannot specify a kubernetes version to use when specifying an image id to use within the launch template" and the like',
    mend: 'drop AmiType, ReleaseVersion and Version of the node group, or drop ImageId of the launch template and let EKS choose the image',
    source: LAUNCH_TEMPLATE_GUIDE,
    *check(graph) {
      for (const { resource } of nodeGroupsOf(graph).filter(hasImage)) {
        for (const name of ['AmiType', 'ReleaseVersion', 'Version']) {
          const value = resource.get(name);
          if (isGiven(value) && value !== 'CUSTOM') {
            yield found(resource, name, value, 'the launch template names an image');
          }
        }
      }
    },
  },
  {
    id: 'NodegroupImageFromParameter',
    family: FAMILY,
    severity: 'error',
    title: 'The launch template of a managed node group names its image by an id',
    why: 'EC2 would look the SSM parameter up as the service-linked role of EKS, which "is not authorized to perform: ssm:GetParameters"',
    mend: 'use a template parameter of type AWS::SSM::Parameter::Value<AWS::EC2::Image::Id> or {{resolve:ssm:…}}, which CloudFormation resolves',
    source: 'https://github.com/aws/containers-roadmap/issues/1951',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(({ uses }) => uses.some(({ kind }) => kind === 'Nodegroup'))) {
        const image = launchData(launch, 'ImageId');
        if (typeof image === 'string' && image.startsWith('resolve:ssm:')) {
          yield found(launch.template, launchProperty(launch, 'ImageId'), image, 'a managed node group launches from the template');
        }
      }
    },
  },
  {
    id: 'NodegroupInstanceTypeMissing',
    family: FAMILY,
    severity: 'error',
    title: 'A managed node group for EFA or Neuron names its instance type, itself or in its launch template',
    why: 'EKS takes t3.medium, which has neither, so that no instance launches or no device is there',
    mend: 'set InstanceType of the launch template',
    source: LAUNCH_TEMPLATE_GUIDE,
    *check(graph) {
      for (const { resource, hasLaunchTemplate, launch, instanceTypes } of nodeGroupsOf(graph)) {
        const seen = launch ? launchData(launch, 'InstanceRequirements') === undefined && !isCapacityBlock(launch) : !hasLaunchTemplate;
        const fabric = launch?.interfaces.some(({ isEfa }) => isEfa) === true || resource.get('AmiType') === 'AL2023_x86_64_NEURON';
        if (seen && fabric && instanceTypes.length === 0) {
          yield found(resource, 'InstanceTypes', undefined, 'neither the node group nor a launch template names an instance type');
        }
      }
    },
  },
  {
    id: 'NodegroupNeuronImage',
    family: FAMILY,
    severity: 'error',
    title: 'A managed node group of Trainium or Inferentia instances has an AMI type with the Neuron driver',
    why: 'nodes have no Neuron device, so that pods that request one stay pending; the CDK chooses such an AMI type for Trainium in Nodegroup.instanceTypes',
    mend: 'set AmiType to "AL2023_x86_64_NEURON"; in a CDK app, name the instance type in the launch template, since a Nodegroup with '
      + 'Trainium in its instanceTypes refuses that AMI type',
    source: 'https://docs.aws.amazon.com/eks/latest/userguide/ml-eks-optimized-ami.html',
    *check(graph) {
      for (const group of nodeGroupsOf(graph)) {
        const image = group.resource.get('AmiType');
        if (typeof image === 'string' && !mayHaveImage(group) && lacksNeuronDriver(group, image)) {
          yield found(group.resource, 'AmiType', image, 'the image has no Neuron driver for the instance type');
        }
      }
    },
  },
  {
    id: 'NodegroupAmazonLinux2',
    family: FAMILY,
    severity: 'error',
    title: 'A managed node group of Kubernetes 1.33 or later has no AMI type of Amazon Linux 2',
    why: 'EKS releases no Amazon Linux 2 image after Kubernetes 1.32, so that there is none to launch',
    mend: 'use an AMI type of Amazon Linux 2023 or Bottlerocket, with Trainium or Inferentia "AL2023_x86_64_NEURON"',
    source: 'https://docs.aws.amazon.com/eks/latest/userguide/eks-ami-deprecation-faqs.html',
    *check(graph) {
      for (const group of nodeGroupsOf(graph)) {
        const image = group.resource.get('AmiType');
        if (typeof image !== 'string' || !image.startsWith('AL2_') || mayHaveImage(group) || lacksNeuronDriver(group, image)) {
          continue;
        }
        const cluster = clusterOf(graph, group.resource);
        const minor = minorVersion(group.resource.get('Version')) ?? kubernetesMinorOf(cluster);
        if (minor !== undefined && minor >= 33) {
          yield found(group.resource, 'AmiType', image, `there is no such image for Kubernetes 1.${minor}`);
        }
      }
    },
  },
  {
    id: 'NodegroupUserDataFormat',
    family: FAMILY,
    severity: 'error',
    title: 'User data of a managed node group of Amazon Linux is a MIME multi-part archive',
    why: 'EKS merges its own user data with it, and fails with "User data was not in the MIME multipart format"',
    mend: 'wrap the script as a part of type text/x-shellscript, and a NodeConfig as one of type application/node.eks.aws, of a multipart/mixed archive',
    source: LAUNCH_TEMPLATE_GUIDE,
    *check(graph) {
      for (const group of nodeGroupsOf(graph)) {
        const image = group.resource.get('AmiType');
        const amazonLinux = image === undefined || (typeof image === 'string' && image.startsWith('AL2'));
        if (!group.launch || !amazonLinux || mayHaveImage(group)) {
          continue;
        }
        const data = launchData(group.launch, 'UserData');
        const text = userDataText(data);
        const head = text?.trimStart().slice(0, 1000);
        // plain text without Base64 is another mistake; a script is none whatever follows its first character.
        const certain = head !== undefined && head !== '' && text !== data && (head.startsWith('#') || !(hasHole(head) || head.includes('\ufffd')));
        if (certain && !/content-type:\s*multipart\//i.test(head)) {
          yield found(group.launch.template, launchProperty(group.launch, 'UserData'), head.split('\n')[0], 'the user data is no MIME multi-part archive');
        }
      }
    },
  },
  {
    id: 'NodegroupCustomImageBootstrap',
    family: FAMILY,
    severity: 'warning',
    title: 'A launch template of a managed node group that names an image brings user data with all that a node needs to join the cluster',
    why: 'EKS merges nothing into the user data of a named image, so that nodes do not join, with "Apiserver endpoint is missing in cluster configuration" '
      + 'on Amazon Linux 2023, unless the image is built to join by itself',
    mend: `give a NodeConfig with ${CLUSTER_DETAILS.join(', ')} of the cluster in user data, or drop ImageId and let EKS do it`,
    source: LAUNCH_TEMPLATE_GUIDE,
    *check(graph) {
      for (const { launch } of nodeGroupsOf(graph).filter(hasImage)) {
        const data = launchData(launch!, 'UserData');
        const text = userDataText(data);
        if (data === undefined) {
          yield found(launch!.template, launchProperty(launch!, 'UserData'), undefined, 'the launch template names an image, but has no user data');
        } else if (text !== undefined && !hasHole(text) && /kind["']?\s*:\s*["']?NodeConfig/.test(text)) {
          const missing = CLUSTER_DETAILS.filter((detail) => !new RegExp(`\\b${detail}["']?\\s*:`).test(text));
          if (missing.length > 0) {
            yield found(launch!.template, launchProperty(launch!, 'UserData'), undefined, `the NodeConfig lacks ${missing.join(', ')} of the cluster`);
          }
        } else if (text !== undefined && !hasHole(text) && !MAY_JOIN.test(text)) {
          yield found(launch!.template, launchProperty(launch!, 'UserData'), text.slice(0, 80), 'nothing in the user data of the named image joins a cluster');
        }
      }
    },
  },
  {
    id: 'NodeRolePolicyMissing',
    family: FAMILY,
    severity: 'error',
    title: 'The role of a managed node group may describe EC2 resources and pull images from Amazon ECR',
    why: 'nodes do not join the cluster, and the node group fails with NodeCreationFailure',
    mend: `attach ${WORKER_POLICIES[0]} and ${REGISTRY_POLICIES[0]} to the role`,
    source: 'https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html',
    *check(graph) {
      const checked = new Set<Resource>();
      for (const { resource } of nodeGroupsOf(graph)) {
        const link = resource.get('NodeRole');
        const role = linked(link, 'AWS::IAM::Role');
        if (!role || checked.has(role)) {
          continue;
        }
        checked.add(role);
        const attached = rolePoliciesOf(graph).find((policies) => policies.role === role);
        const arns = asList(role.get('ManagedPolicyArns'));
        const names = arns?.map((arn) => partialText(arn)?.split('/').at(-1) ?? '');
        const known = names?.every((name) => [...WORKER_POLICIES, ...REGISTRY_POLICIES, ...OTHER_POLICIES].includes(name));
        // policies of one's own may grant the same.
        if (!names || !known || graph.hasUnseenResources || handedOn(graph).has(role) || attached?.statements.length !== 0 || role.get('Policies') !== undefined) {
          continue;
        }
        for (const wanted of [WORKER_POLICIES, REGISTRY_POLICIES]) {
          if (!names.some((name) => wanted.includes(name))) {
            yield found(role, 'ManagedPolicyArns', undefined, `the role of ${resource.logicalId} lacks ${wanted[0]} or the like`);
          }
        }
      }
    },
  },
  {
    id: 'VpcCniTooOldForEfaOnly',
    family: FAMILY,
    severity: 'error',
    title: 'A cluster with EFA-only interfaces on its nodes has version 1.18.5 or later of the VPC CNI add-on',
    why: 'an older one takes the interface for one with an IP address, and nodes stay NotReady',
    mend: 'drop AddonVersion, or set it to v1.18.5-eksbuild.1 or later',
    source: 'https://docs.aws.amazon.com/eks/latest/userguide/node-efa.html',
    *check(graph) {
      const groups = nodeGroupsOf(graph).filter(({ launch }) => launch?.interfaces.some(({ type }) => type === 'efa-only'));
      for (const addon of graph.ofType('AWS::EKS::Addon').filter((resource) => resource.get('AddonName') === 'vpc-cni')) {
        const version = addon.get('AddonVersion');
        if (typeof version !== 'string' || !isOlderThanEfaOnly(version)) {
          continue;
        }
        const clusters = groups.map(({ resource }) => same(resource.get('ClusterName') ?? '', addon.get('ClusterName') ?? ''));
        if (clusters.includes(true)) {
          yield found(addon, 'AddonVersion', version, 'a node group of the cluster has EFA-only interfaces');
        } else if (clusters.includes(undefined)) {
          yield notChecked(addon, 'AddonVersion', 'the cluster of a node group with EFA-only interfaces is not known');
        }
      }
    },
  },
];

const LEFT_TO_EKS: { readonly [property: string]: string } = {
  IamInstanceProfile: 'the node role of a managed node group makes the instance profile',
  InstanceInitiatedShutdownBehavior: 'EKS controls the life of the instance',
  HibernationOptions: 'EKS controls the life of the instance',
};

/** Whether nodes of Trainium or Inferentia have no driver; user data may install it in some images. */
function lacksNeuronDriver({ instanceTypes, launch, hasLaunchTemplate }: NodeGroup, image: string): boolean {
  const bare = WITHOUT_DRIVER.includes(image) && (launch ? launchData(launch, 'UserData') === undefined : !hasLaunchTemplate);
  return instanceTypes.some(isNeuronType) && (bare || NEVER_NEURON.test(image));
}

/** Whether a property is certainly there: a condition or a macro may leave it out. */
function isGiven(value: Value | undefined): boolean {
  return value !== undefined && value !== null && !isOptional(value);
}

function hasImage({ launch }: NodeGroup): boolean {
  return launch !== undefined && isGiven(launchData(launch, 'ImageId'));
}

function mayHaveImage({ launch, hasLaunchTemplate }: NodeGroup): boolean {
  return launch ? launchData(launch, 'ImageId') !== undefined : hasLaunchTemplate;
}

function isOlderThanEfaOnly(version: string): boolean {
  const parts = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number);
  if (!parts) {
    return false;
  }
  const [difference] = [parts[0] - 1, parts[1] - 18, parts[2] - 5].filter((part) => part !== 0);
  return difference < 0;
}
