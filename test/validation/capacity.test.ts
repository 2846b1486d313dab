import { efaFleet, Template } from './efa-fleet';
import { checkTemplates } from '../../src/validation/check-templates';

type Properties = { [name: string]: any };

interface Case {
  readonly name: string;
  readonly rules: string[];
  readonly make: (parts: { template: Template; block: Properties; data: Properties; group: Properties; reservation: Properties }) => void;
}

const onlyReserved = (...ids: unknown[]) => ({
  CapacityReservationPreference: 'capacity-reservations-only',
  CapacityReservationTarget: { CapacityReservationIds: ids },
});

// `block` is the data of the launch template with a Capacity Block; the rest belongs to the fleet with a reservation.
const CASES: Case[] = [
  { name: 'nothing', rules: [], make: () => {} },
  {
    name: 'a target of the group instead of the launch template',
    rules: ['ReservationTooSmall'],
    make: ({ data, group }) => {
      delete data.CapacityReservationSpecification;
      group.CapacityReservationSpecification = onlyReserved({ Ref: 'Reservation' });
      group.MaxSize = 3;
    },
  },
  {
    name: 'a group that a scheduled action makes larger than its reservation',
    rules: ['ReservationTooSmall'],
    make: ({ template }) => {
      template.Resources.Morning = {
        Type: 'AWS::AutoScaling::ScheduledAction',
        Properties: { AutoScalingGroupName: { Ref: 'ReservedGroup' }, Recurrence: '0 6 * * *', MaxSize: 3 },
      };
    },
  },
  {
    name: 'a scheduled action of another group',
    rules: [],
    make: ({ template }) => {
      template.Resources.Morning = {
        Type: 'AWS::AutoScaling::ScheduledAction',
        Properties: { AutoScalingGroupName: 'another', Recurrence: '0 6 * * *', MaxSize: 3 },
      };
    },
  },
  {
    name: 'a group that goes on On-Demand when its reservation is full',
    rules: [],
    make: ({ data, group }) => {
      delete data.CapacityReservationSpecification;
      group.CapacityReservationSpecification = { ...onlyReserved({ Ref: 'Reservation' }), CapacityReservationPreference: 'capacity-reservations-first' };
      group.MaxSize = '3';
    },
  },
  {
    name: 'a group with several reservations',
    rules: [],
    make: ({ data, group }) => {
      delete data.CapacityReservationSpecification;
      group.CapacityReservationSpecification = onlyReserved({ Ref: 'Reservation' }, 'cr-0123456789abcdef1');
      group.MaxSize = '3';
    },
  },
  {
    name: 'a group whose preference goes before the target of its launch template',
    rules: [],
    make: ({ group, reservation }) => {
      group.CapacityReservationSpecification = { CapacityReservationPreference: 'none' };
      group.MaxSize = '1';
      reservation.InstanceCount = 1;
      reservation.InstanceType = 'trn1n.32xlarge';
    },
  },
  {
    name: 'a group with a target beside the preference "none"',
    rules: ['ReservationPreferenceConflict'],
    make: ({ group }) => { group.CapacityReservationSpecification = { ...onlyReserved('cr-0123456789abcdef1'), CapacityReservationPreference: 'none' }; },
  },
  {
    name: 'a shared tenancy in a VPC of dedicated instances',
    rules: ['ReservationTenancyMismatch'],
    make: ({ template, data }) => {
      template.Resources.Vpc.Properties.InstanceTenancy = 'dedicated';
      data.Placement = { Tenancy: 'default' };
    },
  },
  {
    name: 'a tenancy that the VPC, a parameter, may set',
    rules: [],
    make: ({ template, reservation }) => {
      template.Parameters = { Vpc: { Type: 'String' } };
      delete (template.Resources as Properties).Vpc;
      reservation.Tenancy = 'dedicated';
    },
  },
  {
    name: 'a reservation of a placement group, launched into none',
    rules: ['ReservationOutsidePlacementGroup'],
    make: ({ reservation }) => { reservation.PlacementGroupArn = { 'Fn::Sub': 'arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:placement-group/p' }; },
  },
  {
    name: 'a reservation whose placement group, and a launch whose placement group, may be none',
    rules: [],
    make: ({ template, data, reservation }) => {
      template.Conditions = { Near: { 'Fn::Equals': [{ 'Fn::ImportValue': 'near' }, 'yes'] } };
      const optional = (value: unknown) => ({ 'Fn::If': ['Near', value, { Ref: 'AWS::NoValue' }] });
      reservation.PlacementGroupArn = optional('arn:aws:ec2:us-east-2:111122223333:placement-group/p');
      data.Placement = optional({ GroupName: 'p' });
    },
  },
  {
    name: 'a reservation that a policy names in a text',
    rules: [],
    make: ({ template, data }) => {
      delete data.CapacityReservationSpecification;
      template.Resources.Share = {
        Type: 'AWS::RAM::ResourceShare',
        Properties: { Name: 'share', ResourceArns: [{ 'Fn::Sub': 'arn:aws:ec2:${AWS::Region}:${AWS::AccountId}:capacity-reservation/${Reservation}' }] },
      };
      template.Resources.ReservedGroup.Properties.MaxSize = '0';
    },
  },
  {
    name: 'a pool of reservations that takes other resources as well',
    rules: ['ReservationGroupConfiguration'],
    make: ({ template, data }) => {
      template.Resources.Pool = {
        Type: 'AWS::ResourceGroups::Group',
        Properties: {
          Name: 'pool',
          Configuration: [
            { Type: 'AWS::EC2::CapacityReservationPool' },
            { Type: 'AWS::ResourceGroups::Generic', Parameters: [{ Name: 'allowed-resource-types', Values: ['AWS::EC2::Host'] }] },
          ],
        },
      };
      data.CapacityReservationSpecification = { CapacityReservationTarget: { CapacityReservationResourceGroupArn: { 'Fn::GetAtt': ['Pool', 'Arn'] } } };
      // the reservation is in the pool.
      template.Resources.Pool.Properties.Resources = [{ 'Fn::Sub': 'arn:aws:ec2:us-east-2:111122223333:capacity-reservation/${Reservation}' }];
    },
  },
  {
    name: 'an empty target of a Capacity Block',
    rules: ['CapacityBlockWithoutTarget'],
    make: ({ block }) => { block.CapacityReservationSpecification = { CapacityReservationTarget: {} }; },
  },
  {
    name: 'a Capacity Block that the group targets',
    rules: [],
    make: ({ template, block }) => {
      delete block.CapacityReservationSpecification;
      template.Resources.Group.Properties.CapacityReservationSpecification = onlyReserved('cr-0123456789abcdef0');
    },
  },
  {
    name: 'an interruptible reservation with a warm pool',
    rules: ['CapacityBlockWarmPool'],
    make: ({ template, block }) => {
      block.InstanceMarketOptions.MarketType = 'interruptible-capacity-reservation';
      template.Resources.WarmPool = { Type: 'AWS::AutoScaling::WarmPool', Properties: { AutoScalingGroupName: { Ref: 'Group' } } };
    },
  },
  {
    name: 'a group of UltraServer blocks, which may be many',
    rules: [],
    make: ({ template, block }) => {
      block.InstanceType = 'trn2u.48xlarge';
      block.CapacityReservationSpecification.CapacityReservationTarget = { CapacityReservationResourceGroupArn: 'arn:aws:resource-groups:us-east-2:111122223333:group/g' };
      template.Resources.Group.Properties.MaxSize = '100';
    },
  },
  {
    name: 'an UltraServer member on Spot',
    rules: ['Trainium2WithoutCapacity'],
    make: ({ block }) => {
      block.InstanceType = 'trn2u.48xlarge';
      block.InstanceMarketOptions.MarketType = 'spot';
      delete block.CapacityReservationSpecification;
    },
  },
  {
    name: 'Trainium2 whose block a parameter names',
    rules: ['CapacityBlockMarketTypeMissing'],
    make: ({ template, block }) => {
      template.Parameters = { Block: { Type: 'String' } };
      delete block.InstanceMarketOptions;
      block.CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId = { Ref: 'Block' };
    },
  },
  {
    name: 'Spot Trainium2 beyond the quota',
    rules: ['TrainiumVcpuQuota'],
    make: ({ block }) => {
      block.InstanceMarketOptions.MarketType = 'spot';
      delete block.CapacityReservationSpecification;
    },
  },
  {
    name: 'a reservation beyond the quota, which launches into it do not use up again',
    rules: ['TrainiumVcpuQuota'],
    make: ({ group, reservation }) => {
      reservation.InstanceCount = 3;
      group.MaxSize = '3';
    },
  },
  {
    name: 'a maintenance policy of a group that leaves room in its reservation',
    rules: [],
    make: ({ group }) => {
      group.MaxSize = '1';
      group.InstanceMaintenancePolicy = { MinHealthyPercentage: 100, MaxHealthyPercentage: 200 };
    },
  },
  {
    name: 'a desired capacity below the minimum, as text',
    rules: ['GroupDesiredCapacityOutOfRange'],
    make: ({ group }) => { Object.assign(group, { MinSize: 1, DesiredCapacity: '0' }); },
  },
  {
    name: 'a desired capacity that is a parameter',
    rules: [],
    make: ({ template, group }) => {
      template.Parameters = { Desired: { Type: 'Number' } };
      group.DesiredCapacity = { Ref: 'Desired' };
    },
  },
];

describe('capacity of a fleet that is in order', () => {
  test.each(CASES.map((testCase) => [testCase.name, testCase.rules, testCase] as const))('with %s breaks exactly %j', (_, rules, { make }) => {
    const template = efaFleet();
    const { LaunchTemplate: launch, ReservedLaunchTemplate: reserved, ReservedGroup: group, Reservation: reservation } = template.Resources;
    make({
      template,
      block: launch.Properties.LaunchTemplateData,
      data: reserved.Properties.LaunchTemplateData,
      group: group.Properties,
      reservation: reservation.Properties,
    });
    const { findings } = checkTemplates([{ stack: 'Fleet', template, region: 'us-east-2' }]);
    const families = ['topology', 'capacity-reservation', 'capacity-block', 'auto-scaling', 'quota'];
    expect(findings.filter(({ rule }) => families.includes(rule.family)).map(({ rule }) => rule.id)).toEqual(rules);
  });
});

test('a capacity provider without managed scaling protects nothing', () => {
  const template = efaFleet();
  template.Resources.Group.Properties.NewInstancesProtectedFromScaleIn = 'true';
  template.Resources.Capacity = {
    Type: 'AWS::ECS::CapacityProvider',
    Properties: {
      AutoScalingGroupProvider: { AutoScalingGroupArn: { Ref: 'Group' }, ManagedScaling: { Status: 'DISABLED' }, ManagedTerminationProtection: 'ENABLED' },
    },
  };
  const { findings } = checkTemplates([{ stack: 'Fleet', template, region: 'us-east-2' }]);
  expect(findings.filter(({ rule }) => rule.family === 'auto-scaling').map(({ property }) => property))
    .toEqual(['Properties.AutoScalingGroupProvider.ManagedScaling.Status']);
});
