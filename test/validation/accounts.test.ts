import { checkTemplates } from '../../src/validation/check-templates';

type Resources = { [logicalId: string]: object };

const resource = (Type: string, Properties: object = {}) => ({ Type, Properties });

/** Ids of the rules that are broken where two stacks are in one account and region, or in two of them. */
function found(one: Resources, other: Resources): { together: string[]; apart: string[] } {
  const check = (...environments: { account: string; region: string }[]) => [...new Set(checkTemplates([one, other].map((Resources, index) => (
    { stack: `Stack${index}`, ...environments[index], template: { Resources } }))).findings.map(({ rule }) => rule.id))];
  const [dev, prod] = ['111111111111', '222222222222'].map((account) => ({ account, region: 'us-east-2' }));
  return { together: check(dev, dev), apart: [...check(dev, prod), ...check(dev, { ...dev, region: 'us-west-2' })] };
}

const launchTemplate = (InstanceType: string, more: object = {}) => resource('AWS::EC2::LaunchTemplate', { LaunchTemplateData: { InstanceType }, ...more });
const group = (more: object = {}) => resource('AWS::AutoScaling::AutoScalingGroup', { MinSize: '0', MaxSize: '1', AvailabilityZones: ['us-east-2a'], ...more });
const latest = (template: string) => ({ LaunchTemplateId: { Ref: template }, Version: { 'Fn::GetAtt': [template, 'LatestVersionNumber'] } });
const provider = (more: object) => resource('AWS::ECS::CapacityProvider', more);
const policy = (Action: string, Resource: string) => ({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action, Resource }] });

describe('names are looked for in the account and region of whoever gives them', () => {
  const devices = Array.from({ length: 16 }, (_, index) => ({ HostPath: `/dev/neuron${index}` }));
  const task = resource('AWS::ECS::TaskDefinition', {
    ContainerDefinitions: [{ Name: 'engine', Image: 'engine', Memory: 64, LinuxParameters: { Devices: devices } }],
  });
  const model = 'arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0';

  test.each<[string, Resources, Resources, string]>([
    ['a capacity provider', {
      LaunchTemplate: launchTemplate('inf2.xlarge'),
      Group: group({ LaunchTemplate: latest('LaunchTemplate') }),
      Provider: provider({ Name: 'neuron', AutoScalingGroupProvider: { AutoScalingGroupArn: { Ref: 'Group' } } }),
    }, {
      Task: task,
      Service: resource('AWS::ECS::Service', { TaskDefinition: { Ref: 'Task' }, CapacityProviderStrategy: [{ CapacityProvider: 'neuron' }] }),
    }, 'NeuronDeviceOutOfRange'],
    ['a group', {
      Provider: provider({ AutoScalingGroupProvider: { AutoScalingGroupArn: 'inference' } }),
    }, {
      Provider: provider({ AutoScalingGroupProvider: { AutoScalingGroupArn: 'inference' } }),
    }, 'CapacityProviderGroupShared'],
    ['a cluster of Amazon EKS', {
      Cluster: resource('AWS::EKS::Cluster', { Name: 'main', Version: '1.33' }),
    }, {
      Nodes: resource('AWS::EKS::Nodegroup', { ClusterName: 'main', AmiType: 'AL2_x86_64', NodeRole: 'arn:aws:iam::111111111111:role/nodes', Subnets: ['subnet-1'] }),
    }, 'NodegroupAmazonLinux2'],
    ['a launch template', {
      LaunchTemplate: launchTemplate('trn1.32xlarge', {
        LaunchTemplateName: 'neuron',
        LaunchTemplateData: { InstanceType: 'trn1.32xlarge', NetworkInterfaces: [{ DeviceIndex: 0, InterfaceType: 'efa', Groups: ['sg-1'] }] },
      }),
    }, {
      Group: group({ LaunchTemplate: { LaunchTemplateName: 'neuron', Version: '1' }, AvailabilityZones: ['us-east-2a', 'us-east-2b'] }),
    }, 'EfaGroupSpansZones'],
    ['a role', {
      Role: resource('AWS::IAM::Role', { RoleName: 'caller', AssumeRolePolicyDocument: {} }),
    }, {
      Policy: resource('AWS::IAM::Policy', { PolicyName: 'call', Roles: ['caller'], PolicyDocument: policy('bedrock:Converse', model) }),
    }, 'BedrockActionUnknown'],
  ])('%s', (_, one, other, rule) => {
    const { together, apart } = found(one, other);
    expect(together).toContain(rule);
    expect(apart).not.toContain(rule);
  });
});

test('a quota is of one account and region, and its parts are named', () => {
  const half = (id: string): Resources => ({ [id]: launchTemplate('trn1.32xlarge'), [`${id}Group`]: group({ LaunchTemplate: latest(id), MaxSize: '2' }) });
  const { together, apart } = found(half('Prefill'), half('Decode'));
  expect(together).toContain('TrainiumVcpuQuota');
  expect(apart).not.toContain('TrainiumVcpuQuota');
  const [{ message }] = checkTemplates([{ stack: 'Stack', template: { Resources: { ...half('Prefill'), ...half('Decode') } } }]).findings
    .filter(({ rule }) => rule.id === 'TrainiumVcpuQuota');
  expect(message).toContain('512 vCPUs are needed in all (PrefillGroup 2 x 128, DecodeGroup 2 x 128)');
});
