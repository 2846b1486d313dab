import { checkTemplates } from '../../src/validation/check-templates';

type Properties = { [name: string]: unknown };

function findings(id: string, resources: object): string[] {
  const { findings: found } = checkTemplates([{ stack: 'Batch', region: 'us-east-2', template: { Resources: resources } }]);
  return found.filter(({ rule }) => rule.id === id).map(({ property }) => property.replace('Properties.', ''));
}

describe('EFA devices of a job', () => {
  test.each<[string, Properties, string[]]>([
    ['the defaults', { HostPath: '/dev/infiniband/uverbs0' }, []],
    ['every permission in another order', { HostPath: '/dev/infiniband/uverbs7', Permissions: ['MKNOD', 'READ', 'WRITE'] }, []],
    ['another path', { HostPath: '/dev/infiniband/uverbs1', ContainerPath: '/dev/infiniband/uverbs0' }, ['ContainerPath']],
    ['a permission that a parameter names', { HostPath: '/dev/infiniband/uverbs0', Permissions: ['READ', { Ref: 'Permission' }] }, []],
    ['another device', { HostPath: '/dev/neuron0', ContainerPath: '/dev/neuron1', Permissions: ['READ'] }, []],
  ])('%s', (_, device, expected) => {
    const job = { Type: 'AWS::Batch::JobDefinition', Properties: { ContainerProperties: { LinuxParameters: { Devices: [device] } } } };
    expect(findings('BatchEfaDevice', { Job: job })).toEqual(expected.map((name) => `ContainerProperties.LinuxParameters.Devices.0.${name}`));
  });
});

describe('image of Neuron instances', () => {
  test.each<[string, Properties, boolean]>([
    ['the default', { InstanceTypes: ['trn1.32xlarge'] }, true],
    ['the default of a family', { InstanceTypes: ['inf2', 'trn1'], Ec2Configuration: [{ ImageType: 'ECS_AL2023' }] }, true],
    ['of one that is named', { InstanceTypes: ['trn1'], ImageId: 'ami-0123456789abcdef0' }, false],
    ['of a launch template', { InstanceTypes: ['trn1'], LaunchTemplate: { LaunchTemplateName: 'neuron' } }, false],
    ['of a configuration that is not known', { InstanceTypes: ['trn1'], Ec2Configuration: { Ref: 'Configuration' } }, false],
    ['beside other instances', { InstanceTypes: ['trn1', 'm7i'] }, false],
    ['of instances that are not known', { InstanceTypes: [{ Ref: 'Type' }] }, false],
    ['of none', { Type: 'FARGATE' }, false],
  ])('%s', (_, resources, expected) => {
    const environment = { Type: 'AWS::Batch::ComputeEnvironment', Properties: { Type: 'MANAGED', ComputeResources: resources } };
    expect(findings('BatchNeuronImage', { Environment: environment }).length === 1).toBe(expected);
  });
});
