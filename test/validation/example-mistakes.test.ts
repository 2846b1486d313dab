import { App, Stack } from 'aws-cdk-lib';
import { Template as Synthesized } from 'aws-cdk-lib/assertions';
import { EksNodeGroupStack } from '../../examples/eks-node-group/eks-node-group-stack';
import { QuickStartStack } from '../../examples/quick-start/quick-start-stack';
import { checkTemplates } from '../../src/validation/check-templates';

type Properties = { [name: string]: any };
interface Example { Resources: { [logicalId: string]: { Type: string; Properties: Properties; [attribute: string]: any } } }

/** One mistake, made wherever the template offers the place for it. */
interface Mistake {
  readonly name: string;
  readonly rules: string[];
  /** Properties of the places; the mistake does not apply where there is none. */
  readonly places: (template: Example) => Properties[];
  readonly make: (place: Properties, template: Example) => void;
}

const ofType = (type: string) => (template: Example) => Object
  .values(template.Resources).filter((resource) => resource.Type === type).map(({ Properties }) => Properties);
const launchData = (template: Example) => ofType('AWS::EC2::LaunchTemplate')(template).map((properties) => properties.LaunchTemplateData);
const interfaces = (template: Example) => launchData(template).map((data) => data.NetworkInterfaces);
const groups = ofType('AWS::AutoScaling::AutoScalingGroup');
const nodegroups = ofType('AWS::EKS::Nodegroup');
const services = (template: Example) => ofType('AWS::ECS::Service')(template).filter(({ CapacityProviderStrategy }) => CapacityProviderStrategy);
const engines = (template: Example) => ofType('AWS::ECS::TaskDefinition')(template)
  .flatMap((task) => task.ContainerDefinitions).filter((container) => container.Command?.[0] === 'vllm');
const providers = ofType('AWS::ECS::CapacityProvider');
const remove = (template: Example, type: string, matches: (properties: Properties) => boolean = () => true) => {
  for (const [id, resource] of Object.entries(template.Resources)) {
    if (resource.Type === type && matches(resource.Properties)) {
      delete template.Resources[id];
    }
  }
};
// nodes of EKS have the cluster's security group too, which EFA gets along with from Kubernetes 1.33 on.
const withoutClusterGroup = (template: Example): Properties[] => nodegroups(template).length === 0 ? [template] : [];
const selfIngress = (template: Example) => withoutClusterGroup(template)
  .flatMap(() => ofType('AWS::EC2::SecurityGroupIngress')(template)).filter(({ IpProtocol }) => IpProtocol === '-1');
const replaceArgument = (option: string, value: string) => ({ Command }: Properties) => {
  Command[Command.indexOf(option) + 1] = value;
};

const MISTAKES: Mistake[] = [
  {
    name: 'an instance type without EFA',
    rules: ['EfaInstanceTypeUnsupported'],
    places: nodegroupTemplates,
    make: (data) => { data.InstanceType = 'inf2.48xlarge'; },
  },
  {
    name: 'an instance type that EC2 has not',
    rules: ['NeuronInstanceTypeUnknown'],
    places: nodegroupTemplates,
    make: (data) => { data.InstanceType = 'trn3.48xlarge'; },
  },
  {
    name: 'a card too many',
    rules: ['NetworkCardOutOfRange'],
    places: interfaces,
    make: (list) => { list.push({ ...list[15], NetworkCardIndex: 16 }); },
  },
  { name: 'a card twice', rules: ['EfaSeveralOnOneCard'], places: interfaces, make: (list) => { list[9] = list[8]; } },
  {
    name: 'a primary interface that is EFA-only',
    rules: ['EfaOnlyPrimary'],
    places: interfaces,
    make: (list) => { list[0].InterfaceType = 'efa-only'; list.splice(1, 1); },
  },
  { name: 'no primary interface', rules: ['NetworkInterfacePrimaryMissing'], places: interfaces, make: (list) => { list.shift(); } },
  {
    name: 'a mistyped interface type',
    rules: ['NetworkInterfaceTypeUnknown'],
    places: interfaces,
    make: (list) => { list[3].InterfaceType = 'EFA-only'; },
  },
  { name: 'a negative card', rules: ['NetworkInterfaceIndexNegative'], places: interfaces, make: (list) => { list[5].NetworkCardIndex = -1; } },
  {
    name: 'an interface without a device index',
    rules: ['NetworkInterfaceDeviceIndexMissing'],
    places: interfaces,
    make: (list) => { delete list[7].DeviceIndex; },
  },
  {
    name: 'a public address',
    rules: ['PublicIpWithSeveralInterfaces'],
    places: interfaces,
    make: (list) => { list[0].AssociatePublicIpAddress = true; },
  },
  {
    name: 'an address on an EFA-only interface',
    rules: ['EfaOnlyWithIpAddress'],
    places: interfaces,
    make: (list) => { list[4].SecondaryPrivateIpAddressCount = 2; },
  },
  {
    name: 'an interface that outlives its instance',
    rules: ['NetworkInterfaceKeptAfterTermination'],
    places: interfaces,
    make: (list) => { list[2].DeleteOnTermination = false; },
  },
  {
    name: 'an EFA interface without security groups',
    rules: ['EfaSecurityGroupMissing'],
    places: interfaces,
    make: (list) => { delete list[6].Groups; },
  },
  {
    name: 'security groups beside interfaces',
    rules: ['SecurityGroupsBesideInterfaces'],
    places: launchData,
    make: (data) => { data.SecurityGroupIds = ['sg-0123456789abcdef0']; },
  },
  {
    name: 'no egress to itself',
    rules: ['EfaSelfEgressMissing'],
    places: withoutClusterGroup,
    make: (_, template) => { remove(template, 'AWS::EC2::SecurityGroupEgress', ({ IpProtocol }) => IpProtocol === '-1'); },
  },
  {
    name: 'no ingress from itself',
    rules: ['EfaSelfIngressMissing'],
    places: withoutClusterGroup,
    make: (_, template) => { remove(template, 'AWS::EC2::SecurityGroupIngress', ({ IpProtocol }) => IpProtocol === '-1'); },
  },
  {
    name: 'ingress from itself over TCP alone',
    rules: ['EfaSelfIngressMissing'],
    places: selfIngress,
    make: (rule) => { Object.assign(rule, { IpProtocol: 'tcp', FromPort: 0, ToPort: 65535 }); },
  },
  {
    name: 'a Capacity Block without its id',
    rules: ['CapacityBlockWithoutTarget'],
    places: launchData,
    make: (data) => { delete data.CapacityReservationSpecification; },
  },
  {
    name: 'market type on-demand',
    rules: ['MarketTypeUnknown'],
    places: groupTemplates,
    make: (data) => { data.InstanceMarketOptions.MarketType = 'on-demand'; },
  },
  {
    name: 'a Capacity Block in a placement group',
    rules: ['PlacementGroupWithCapacityBlock'],
    places: launchData,
    make: (data) => { data.Placement = { GroupName: 'close' }; },
  },
  {
    name: 'a group with mixed instances on a Capacity Block',
    rules: ['CapacityBlockMixedInstances'],
    places: groups,
    make: (group) => {
      group.MixedInstancesPolicy = { LaunchTemplate: { LaunchTemplateSpecification: group.LaunchTemplate } };
      delete group.LaunchTemplate;
    },
  },
  {
    name: 'a hop limit of 65',
    rules: ['InstanceMetadataOptions'],
    places: launchData,
    make: (data) => { data.MetadataOptions = { HttpTokens: 'required', HttpPutResponseHopLimit: 65 }; },
  },
  {
    name: 'a version that is none',
    rules: ['LaunchTemplateVersionInvalid'],
    places: groups,
    make: (group) => { group.LaunchTemplate.Version = 'latest'; },
  },
  {
    name: 'a version that floats',
    rules: ['LaunchTemplateVersionFloating'],
    places: groups,
    make: (group) => { group.LaunchTemplate.Version = '$Latest'; },
  },
  {
    name: 'a zone of another region',
    rules: ['ZoneOutsideRegion'],
    places: (template) => ofType('AWS::EC2::Subnet')(template).slice(0, 1),
    make: (subnet) => { subnet.AvailabilityZone = 'us-west-2a'; },
  },
  {
    name: 'a desired capacity beyond the maximum',
    rules: ['GroupDesiredCapacityOutOfRange'],
    places: groups,
    make: (group) => { group.DesiredCapacity = '90'; },
  },
  {
    name: 'managed termination protection of unprotected instances',
    rules: ['ManagedTerminationProtection'],
    places: providers,
    make: (provider) => { provider.AutoScalingGroupProvider.ManagedTerminationProtection = 'ENABLED'; },
  },
  {
    name: 'two providers of one group',
    rules: ['CapacityProviderGroupShared', 'NeuronServicesShareDevices'],
    places: (template) => providers(template).length > 1 ? [providers(template)[1]] : [],
    make: ({ AutoScalingGroupProvider }, template) => {
      AutoScalingGroupProvider.AutoScalingGroupArn = providers(template)[0].AutoScalingGroupProvider.AutoScalingGroupArn;
    },
  },
  {
    name: 'a device that the instance has not',
    rules: ['NeuronDeviceOutOfRange'],
    places: engines,
    make: (engine) => { engine.LinuxParameters.Devices.push({ HostPath: '/dev/neuron16', ContainerPath: '/dev/neuron16', Permissions: ['read', 'write'] }); },
  },
  {
    name: 'a device that is read only',
    rules: ['TaskDeviceReadOnly'],
    places: engines,
    make: (engine) => { engine.LinuxParameters.Devices[3].Permissions = ['read']; },
  },
  {
    name: 'a hole in the devices',
    rules: ['NeuronDevicesNotContiguous'],
    places: engines,
    make: (engine) => { engine.LinuxParameters.Devices.splice(5, 1); },
  },
  {
    name: 'an EFA device that no interface has',
    rules: ['EfaDeviceOutOfRange'],
    places: engines,
    make: (engine) => { engine.LinuxParameters.Devices.push({ HostPath: '/dev/infiniband/uverbs16', Permissions: ['read', 'write'] }); },
  },
  { name: 'no unlimited locked memory', rules: ['EfaMemoryLockLimit'], places: engines, make: (engine) => { delete engine.Ulimits; } },
  {
    name: 'more parallel shards than cores',
    rules: ['TensorParallelExceedsDevices'],
    places: engines,
    make: replaceArgument('--tensor-parallel-size', '256'),
  },
  {
    name: 'engines of two precisions',
    rules: ['KvPeersPrecisionsDiffer'],
    places: (template) => engines(template).slice(0, 1),
    make: replaceArgument('--dtype', 'float16'),
  },
  {
    name: 'engines of two models',
    rules: ['KvPeersModelsDiffer'],
    places: (template) => engines(template).slice(0, 1),
    make: replaceArgument('--served-model-name', 'llama-3.1-8b'),
  },
  {
    name: 'a role of the KV path that is none',
    rules: ['KvTransferConfigInvalid'],
    places: (template) => engines(template).slice(0, 1),
    make: replaceArgument('--kv-transfer-config', '{"kv_connector":"NixlConnector","kv_role":"prefill"}'),
  },
  {
    name: 'a KV connector of one side alone',
    rules: ['KvPeersConnectorsDiffer'],
    places: (template) => engines(template).slice(0, 1),
    make: replaceArgument('--kv-transfer-config', '{"kv_connector":"MooncakeConnector","kv_role":"kv_producer"}'),
  },
  { name: 'more tasks than instances', rules: ['TasksExceedInstances'], places: services, make: (service) => { service.DesiredCount = 50; } },
  {
    name: 'zone rebalancing without room',
    rules: ['ZoneRebalancingWithoutRoom'],
    places: services,
    make: (service) => { service.AvailabilityZoneRebalancing = 'ENABLED'; },
  },
  {
    name: 'a provider that the cluster has not',
    rules: ['CapacityProviderNotAssociated'],
    places: ofType('AWS::ECS::ClusterCapacityProviderAssociations'),
    make: (association) => { association.CapacityProviders = ['FARGATE']; },
  },
  {
    name: 'a task larger than its instance',
    rules: ['TaskLargerThanInstance'],
    places: engines,
    make: (engine) => { engine.MemoryReservation = 4_000_000; },
  },
  {
    name: 'a node group without the capacity type of its block',
    rules: ['NodegroupCapacityType'],
    places: nodegroups,
    make: (nodegroup) => { delete nodegroup.CapacityType; },
  },
  {
    name: 'a node group with an instance type of its own',
    rules: ['NodegroupLaunchTemplateConflict'],
    places: nodegroups,
    make: (nodegroup) => { nodegroup.InstanceTypes = ['trn2.48xlarge']; },
  },
  {
    name: 'a node group without the Neuron image',
    rules: ['NodegroupNeuronImage'],
    places: nodegroups,
    make: (nodegroup) => { nodegroup.AmiType = 'AL2023_x86_64_STANDARD'; },
  },
  {
    name: 'a node group with a disk beside its launch template',
    rules: ['NodegroupSettingBesideLaunchTemplate'],
    places: nodegroups,
    make: (nodegroup) => { nodegroup.DiskSize = 200; },
  },
  {
    name: 'a node role without its policies',
    rules: ['NodeRolePolicyMissing'],
    places: (template) => ofType('AWS::IAM::Role')(template)
      .filter((role) => JSON.stringify(role).includes('AmazonEKSWorkerNodePolicy')),
    make: (role) => { role.ManagedPolicyArns = []; },
  },
];

function nodegroupTemplates(template: Example): Properties[] {
  return nodegroups(template).length > 0 ? launchData(template) : [];
}

function groupTemplates(template: Example): Properties[] {
  return groups(template).length > 0 ? launchData(template) : [];
}

const EXAMPLES: { [name: string]: new (scope: App, id: string) => Stack } = { 'the quick-start': QuickStartStack, 'the EKS node group': EksNodeGroupStack };

describe.each(Object.entries(EXAMPLES))('%s', (_, ExampleStack) => {
  const text = JSON.stringify(Synthesized.fromStack(new ExampleStack(new App(), 'Example')).toJSON());
  const fresh = () => JSON.parse(text) as Example;
  const idsOf = (template: Example) => {
    const { findings } = checkTemplates([{ stack: 'Example', region: 'us-east-2', template }]);
    return [...new Set(findings.map(({ rule }) => rule.id))].sort();
  };

  test('breaks no rule', () => {
    expect(idsOf(fresh())).toEqual([]);
  });

  test.each(MISTAKES.filter(({ places }) => places(fresh()).length > 0))('with $name breaks exactly $rules', ({ rules, places, make }) => {
    const template = fresh();
    for (const place of places(template)) {
      make(place, template);
    }
    expect(idsOf(template)).toEqual(rules);
  });
});

test('every mistake applies to an example', () => {
  const templates = Object.values(EXAMPLES).map((ExampleStack) => Synthesized.fromStack(new ExampleStack(new App(), 'Example')).toJSON() as Example);
  expect(MISTAKES.filter(({ places }) => !templates.some((template) => places(template).length > 0)).map(({ name }) => name)).toEqual([]);
});
