import { efaFleet, Template } from './efa-fleet';
import { checkTemplates } from '../../src/validation/check-templates';

type Properties = { [name: string]: any };

interface Mistake {
  readonly name: string;
  readonly rules: string[];
  readonly make: (parts: { template: Template; data: Properties; group: Properties; reservation: Properties }) => void;
}

// one mistake each, as they are made in practice; the last three are caught by the built-in validator of the CDK already.
const MISTAKES: Mistake[] = [
  { name: 'an instance type without EFA', rules: ['EfaInstanceTypeUnsupported'], make: ({ data }) => { data.InstanceType = 'inf2.48xlarge'; } },
  { name: 'the small Trainium size', rules: ['EfaInstanceTypeUnsupported'], make: ({ data }) => { data.InstanceType = 'trn1.2xlarge'; } },
  { name: 'an instance type that does not exist', rules: ['NeuronInstanceTypeUnknown'], make: ({ data }) => { data.InstanceType = 'trn2.96xlarge'; } },
  {
    name: 'a 17th network card',
    rules: ['NetworkCardOutOfRange'],
    make: ({ data }) => { data.NetworkInterfaces.push({ ...data.NetworkInterfaces[15], NetworkCardIndex: 16 }); },
  },
  {
    name: 'one card and device twice',
    rules: ['EfaSeveralOnOneCard'],
    make: ({ data }) => { data.NetworkInterfaces[7].NetworkCardIndex = 6; },
  },
  { name: 'an EFA-only primary interface', rules: ['EfaOnlyPrimary'], make: ({ data }) => { data.NetworkInterfaces[0].InterfaceType = 'efa-only'; } },
  { name: 'a mistyped interface type', rules: ['NetworkInterfaceTypeUnknown'], make: ({ data }) => { data.NetworkInterfaces[3].InterfaceType = 'efa_only'; } },
  {
    name: 'a public IP address with several interfaces',
    rules: ['PublicIpWithSeveralInterfaces'],
    make: ({ data }) => { data.NetworkInterfaces[0].AssociatePublicIpAddress = true; },
  },
  {
    name: 'an IP address on an EFA-only interface',
    rules: ['EfaOnlyWithIpAddress'],
    make: ({ data }) => { data.NetworkInterfaces[2].PrivateIpAddress = '10.0.0.9'; },
  },
  {
    name: 'security groups beside network interfaces',
    rules: ['SecurityGroupsBesideInterfaces'],
    make: ({ data }) => { data.SecurityGroupIds = ['sg-0123456789abcdef0']; },
  },
  { name: 'no egress to itself', rules: ['EfaSelfEgressMissing'], make: ({ template }) => { delete template.Resources.FabricEgress; } },
  { name: 'no ingress from itself', rules: ['EfaSelfIngressMissing'], make: ({ template }) => { delete template.Resources.FabricIngress; } },
  {
    name: 'subnets of two zones',
    rules: ['EfaGroupSpansZones'],
    make: ({ group }) => { group.VPCZoneIdentifier.push({ Ref: 'OtherZoneSubnet' }); },
  },
  {
    name: 'a spread placement group, and that with a Capacity Block',
    rules: ['PlacementGroupWithCapacityBlock'],
    make: ({ template, data }) => {
      template.Resources.Placement = { Type: 'AWS::EC2::PlacementGroup', Properties: { Strategy: 'spread' } };
      data.Placement = { GroupName: { Ref: 'Placement' } };
    },
  },
  {
    name: 'a Capacity Block without its id',
    rules: ['CapacityBlockWithoutTarget'],
    make: ({ data }) => { delete data.CapacityReservationSpecification; },
  },
  {
    name: 'a Capacity Block with mixed instances',
    rules: ['CapacityBlockMixedInstances'],
    make: ({ group }) => {
      group.MixedInstancesPolicy = { LaunchTemplate: { LaunchTemplateSpecification: group.LaunchTemplate } };
      delete group.LaunchTemplate;
    },
  },
  {
    name: 'market type on-demand',
    rules: ['MarketTypeUnknown'],
    make: ({ data }) => { data.InstanceMarketOptions.MarketType = 'on-demand'; },
  },
  {
    name: 'a reservation of another instance type',
    rules: ['ReservationInstanceTypeMismatch'],
    make: ({ reservation }) => { reservation.InstanceType = 'trn1n.32xlarge'; },
  },
  {
    name: 'a limited reservation without an end',
    rules: ['ReservationEndDate'],
    make: ({ reservation }) => { reservation.EndDateType = 'limited'; },
  },
  {
    name: 'a hop limit of 65',
    rules: ['InstanceMetadataOptions'],
    make: ({ data }) => { data.MetadataOptions.HttpPutResponseHopLimit = 65; },
  },
  {
    name: 'a zone of another region',
    rules: ['ZoneOutsideRegion'],
    make: ({ template }) => { template.Resources.OtherZoneSubnet.Properties.AvailabilityZone = 'us-west-2c'; },
  },
  {
    name: 'a negative device index',
    rules: ['NetworkInterfaceIndexNegative'],
    make: ({ data }) => { data.NetworkInterfaces[5].DeviceIndex = -1; },
  },
  {
    name: 'a launch template version that is none',
    rules: ['LaunchTemplateVersionInvalid'],
    make: ({ group }) => { group.LaunchTemplate.Version = 'latest'; },
  },
  {
    name: 'a placement strategy that is none',
    rules: [],
    make: ({ template }) => { template.Resources.Placement = { Type: 'AWS::EC2::PlacementGroup', Properties: { Strategy: 'clustered' } }; },
  },
  {
    name: 'a port above 65535',
    rules: [],
    make: ({ template }) => { template.Resources.FabricIngress.Properties.ToPort = 65536; },
  },
  {
    name: 'a malformed Bedrock ARN',
    rules: [],
    make: ({ template }) => {
      template.Resources.Profile = { Type: 'AWS::Bedrock::ApplicationInferenceProfile', Properties: { ModelSource: { CopyFrom: 'arn:bedrock' } } };
    },
  },
];

// the other ways in which a rule is broken, and near misses that break none.
const OTHERS: Mistake[] = [
  {
    name: 'an unlimited reservation with an end',
    rules: ['ReservationEndDate'],
    make: ({ reservation }) => { reservation.EndDate = '2027-01-31T00:00:00Z'; },
  },
  {
    name: 'a reservation in another zone',
    rules: ['ReservationZoneMismatch'],
    make: ({ reservation }) => { reservation.AvailabilityZone = 'us-east-2c'; },
  },
  {
    name: 'a reservation whose zone is given by id',
    rules: [],
    make: ({ reservation }) => { reservation.AvailabilityZone = undefined; reservation.AvailabilityZoneId = 'use2-az2'; },
  },
  {
    name: 'zones of a group given by name',
    rules: ['EfaGroupSpansZones'],
    make: ({ group }) => { delete group.VPCZoneIdentifier; group.AvailabilityZones = ['us-east-2a', 'us-east-2b']; },
  },
  {
    name: 'two zones of the region that have no name yet',
    rules: ['EfaGroupSpansZones'],
    make: ({ template, group }) => {
      for (const [index, id] of ['Subnet', 'OtherZoneSubnet'].entries()) {
        template.Resources[id].Properties.AvailabilityZone = { 'Fn::Select': [index, { 'Fn::GetAZs': '' }] };
      }
      group.VPCZoneIdentifier.push({ Ref: 'OtherZoneSubnet' });
    },
  },
  {
    name: 'two subnets of one zone',
    rules: [],
    make: ({ template, group }) => {
      template.Resources.OtherZoneSubnet.Properties.AvailabilityZone = { 'Fn::GetAtt': ['Subnet', 'AvailabilityZone'] };
      group.VPCZoneIdentifier.push({ Ref: 'OtherZoneSubnet' });
    },
  },
  {
    name: 'a managed node group without the capacity type of its block, and with an instance type of its own',
    rules: ['NodegroupCapacityType', 'NodegroupCustomImageBootstrap', 'NodegroupLaunchTemplateConflict'],
    make: ({ template, group }) => {
      template.Resources.Group = {
        Type: 'AWS::EKS::Nodegroup',
        Properties: {
          Subnets: group.VPCZoneIdentifier,
          InstanceTypes: ['trn2.48xlarge'],
          LaunchTemplate: { Id: { Ref: 'LaunchTemplate' }, Version: '1' },
        },
      };
    },
  },
  {
    name: 'a managed node group of a named launch template with a subnet and an On-Demand launch template',
    rules: ['NodegroupCapacityType', 'NodegroupCustomImageBootstrap', 'NodegroupLaunchTemplateConflict'],
    make: ({ template, data, group }) => {
      delete data.InstanceMarketOptions;
      delete data.CapacityReservationSpecification;
      data.NetworkInterfaces[0].SubnetId = { Ref: 'Subnet' };
      template.Resources.LaunchTemplate.Properties.LaunchTemplateName = 'prefill';
      template.Resources.Group = {
        Type: 'AWS::EKS::Nodegroup',
        Properties: { Subnets: group.VPCZoneIdentifier, CapacityType: 'CAPACITY_BLOCK', LaunchTemplate: { Name: 'prefill' } },
      };
    },
  },
  {
    name: 'an override of a mixed group that has no EFA',
    rules: ['EfaInstanceTypeUnsupported'],
    make: ({ data, group }) => {
      delete data.InstanceMarketOptions;
      delete data.CapacityReservationSpecification;
      group.MixedInstancesPolicy = {
        InstancesDistribution: { DistributionSegments: [{ TargetCapacityTypes: ['capacity-block'] }] },
        LaunchTemplate: {
          LaunchTemplateSpecification: group.LaunchTemplate,
          Overrides: [{ InstanceType: 'trn2.48xlarge' }, { InstanceType: 'inf2.xlarge' }],
        },
      };
      delete group.LaunchTemplate;
    },
  },
  {
    name: 'an override of a mixed group that has a launch template of its own',
    rules: [],
    make: ({ template, data, group }) => {
      delete data.InstanceMarketOptions;
      delete data.CapacityReservationSpecification;
      template.Resources.Plain = { Type: 'AWS::EC2::LaunchTemplate', Properties: { LaunchTemplateData: { ImageId: 'ami-1' } } };
      group.MixedInstancesPolicy = {
        InstancesDistribution: { DistributionSegments: [{ TargetCapacityTypes: ['capacity-block'] }] },
        LaunchTemplate: {
          LaunchTemplateSpecification: group.LaunchTemplate,
          Overrides: [
            { InstanceType: 'trn2.48xlarge' },
            { InstanceType: 'inf2.xlarge', LaunchTemplateSpecification: { LaunchTemplateId: { Ref: 'Plain' }, Version: '1' } },
          ],
        },
      };
      delete group.LaunchTemplate;
    },
  },
  {
    name: 'a fleet request over two zones',
    rules: ['EfaGroupSpansZones'],
    make: ({ template }) => {
      template.Resources.Group = {
        Type: 'AWS::EC2::EC2Fleet',
        Properties: {
          LaunchTemplateConfigs: [{
            LaunchTemplateSpecification: { LaunchTemplateId: { Ref: 'LaunchTemplate' }, Version: '1' },
            Overrides: [{ SubnetId: { Ref: 'Subnet' } }, { SubnetId: { Ref: 'OtherZoneSubnet' } }],
          }],
        },
      };
    },
  },
  {
    name: 'a Capacity Block that the group names',
    rules: [],
    make: ({ data, group }) => {
      group.CapacityReservationSpecification = {
        CapacityReservationPreference: 'capacity-reservations-only',
        CapacityReservationTarget: { CapacityReservationIds: ['cr-0123456789abcdef0'] },
      };
      delete data.CapacityReservationSpecification;
    },
  },
  {
    name: 'numbers and booleans as text',
    rules: ['NetworkInterfaceDuplicate', 'PublicIpWithSeveralInterfaces'],
    make: ({ data }) => {
      data.NetworkInterfaces.push({ NetworkCardIndex: '3', DeviceIndex: '1', AssociatePublicIpAddress: 'true', Groups: ['sg-1'] });
    },
  },
];

function idsOf(template: Template): string[] {
  const { findings } = checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]);
  return [...new Set(findings.map(({ rule }) => rule.id))].sort();
}

function changed(make: Mistake['make']): Template {
  const template = efaFleet();
  make({
    template,
    data: template.Resources.LaunchTemplate.Properties.LaunchTemplateData,
    group: template.Resources.Group.Properties,
    reservation: template.Resources.Reservation.Properties,
  });
  return template;
}

describe('a fleet that is in order', () => {
  test('breaks no rule, and every rule can be checked', () => {
    const result = checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template: efaFleet() }]);
    expect(result.findings).toEqual([]);
    expect(result.unchecked).toEqual([]);
  });

  test.each(MISTAKES)('with $name breaks exactly $rules', ({ make, rules }) => {
    expect(idsOf(changed(make))).toEqual([...rules].sort());
  });

  test.each(OTHERS)('with $name breaks exactly $rules', ({ make, rules }) => {
    expect(idsOf(changed(make))).toEqual([...rules].sort());
  });

  test('26 mistakes are tried', () => {
    expect(MISTAKES).toHaveLength(26);
  });
});

test('interfaces that depend on a condition are said to be unchecked', () => {
  const template = efaFleet();
  const launchTemplate: Properties = Object.values(template.Resources).find((resource: any) => resource.Type === 'AWS::EC2::LaunchTemplate')!;
  const data = launchTemplate.Properties.LaunchTemplateData;
  data.NetworkInterfaces = { 'Fn::If': ['Condition', data.NetworkInterfaces, { Ref: 'AWS::NoValue' }] };
  const { unchecked } = checkTemplates([{ stack: 'Stack', template }]);
  expect(unchecked.map(({ rule }) => rule.id)).toContain('EfaSecurityGroupMissing');
});
