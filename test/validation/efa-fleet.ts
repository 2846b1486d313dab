/** A template of plain data, to be changed in tests. */
export interface Template {
  Resources: { [logicalId: string]: { Type: string; Condition?: string; Properties: { [name: string]: any } } };
  [section: string]: any;
}

const groupId = { 'Fn::GetAtt': ['FabricSecurityGroup', 'GroupId'] };

/**
 * A fleet of trn2.48xlarge on a Capacity Block in us-east-2, by hand as a careful engineer writes it: 16 EFA interfaces, a fabric security
 * group with both self rules, one zone. Beside it a reservation of trn1.32xlarge with a fleet of its own.
 */
export function efaFleet(): Template {
  const groupOf = (template: string, maxSize: string) => ({
    Type: 'AWS::AutoScaling::AutoScalingGroup',
    Properties: {
      MinSize: '0',
      MaxSize: maxSize,
      VPCZoneIdentifier: [{ Ref: 'Subnet' }],
      LaunchTemplate: { LaunchTemplateId: { Ref: template }, Version: { 'Fn::GetAtt': [template, 'LatestVersionNumber'] } },
    },
  });
  const selfRule = (type: string, peer: string) => ({
    Type: type,
    Properties: { GroupId: groupId, IpProtocol: '-1', [peer]: groupId },
  });
  return {
    Resources: {
      Vpc: { Type: 'AWS::EC2::VPC', Properties: { CidrBlock: '10.0.0.0/16' } },
      Subnet: {
        Type: 'AWS::EC2::Subnet',
        Properties: { VpcId: { Ref: 'Vpc' }, CidrBlock: '10.0.0.0/20', AvailabilityZone: 'us-east-2b' },
      },
      OtherZoneSubnet: {
        Type: 'AWS::EC2::Subnet',
        Properties: { VpcId: { Ref: 'Vpc' }, CidrBlock: '10.0.16.0/20', AvailabilityZone: 'us-east-2c' },
      },
      FabricSecurityGroup: {
        Type: 'AWS::EC2::SecurityGroup',
        Properties: {
          GroupDescription: 'EFA',
          VpcId: { Ref: 'Vpc' },
          SecurityGroupEgress: [{ IpProtocol: 'tcp', FromPort: 443, ToPort: 443, CidrIp: '0.0.0.0/0' }],
        },
      },
      FabricIngress: selfRule('AWS::EC2::SecurityGroupIngress', 'SourceSecurityGroupId'),
      FabricEgress: selfRule('AWS::EC2::SecurityGroupEgress', 'DestinationSecurityGroupId'),
      LaunchTemplate: {
        Type: 'AWS::EC2::LaunchTemplate',
        Properties: {
          LaunchTemplateData: {
            InstanceType: 'trn2.48xlarge',
            ImageId: 'ami-0123456789abcdef0',
            InstanceMarketOptions: { MarketType: 'capacity-block' },
            CapacityReservationSpecification: { CapacityReservationTarget: { CapacityReservationId: 'cr-0123456789abcdef0' } },
            MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 2 },
            NetworkInterfaces: Array.from({ length: 16 }, (_, card) => ({
              NetworkCardIndex: card,
              DeviceIndex: card === 0 ? 0 : 1,
              InterfaceType: card === 0 ? 'efa' : 'efa-only',
              Groups: [groupId],
              DeleteOnTermination: true,
            })),
          },
        },
      },
      Group: groupOf('LaunchTemplate', '4'),
      Reservation: {
        Type: 'AWS::EC2::CapacityReservation',
        Properties: {
          InstanceType: 'trn1.32xlarge',
          InstancePlatform: 'Linux/UNIX',
          AvailabilityZone: 'us-east-2b',
          InstanceCount: 2,
          InstanceMatchCriteria: 'targeted',
          EndDateType: 'unlimited',
        },
      },
      ReservedLaunchTemplate: {
        Type: 'AWS::EC2::LaunchTemplate',
        Properties: {
          LaunchTemplateData: {
            InstanceType: 'trn1.32xlarge',
            CapacityReservationSpecification: { CapacityReservationTarget: { CapacityReservationId: { Ref: 'Reservation' } } },
            NetworkInterfaces: [
              { DeviceIndex: 0, Groups: [groupId] },
              { DeviceIndex: 1, InterfaceType: 'efa-only', Groups: [groupId] },
            ],
          },
        },
      },
      ReservedGroup: groupOf('ReservedLaunchTemplate', '2'),
    },
  };
}
