import { Template } from '../../efa-fleet';

type Resources = Template['Resources'];

export const ref = (id: string) => ({ Ref: id });
export const att = (id: string, name: string) => ({ 'Fn::GetAtt': [id, name] });
export const latest = (id: string) => att(id, 'LatestVersionNumber');

export function assumedBy(service: string) {
  return { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' }] };
}

/** A VPC of two private subnets in two zones without a way out, and VPC endpoints for these services and Amazon S3. */
export function privateNetwork(services: readonly string[]): Resources {
  const subnet = (range: string, zone: string) => ({
    Type: 'AWS::EC2::Subnet', Properties: { VpcId: ref('Vpc'), CidrBlock: range, AvailabilityZone: zone },
  });
  const association = (id: string) => ({
    Type: 'AWS::EC2::SubnetRouteTableAssociation', Properties: { SubnetId: ref(id), RouteTableId: ref('Table') },
  });
  const endpoint = (service: string) => ({
    Type: 'AWS::EC2::VPCEndpoint',
    Properties: {
      VpcId: ref('Vpc'),
      ServiceName: `com.amazonaws.us-east-2.${service}`,
      VpcEndpointType: 'Interface',
      PrivateDnsEnabled: true,
      SubnetIds: [ref('Subnet'), ref('OtherZoneSubnet')],
      SecurityGroupIds: [att('EndpointSecurityGroup', 'GroupId')],
    },
  });
  return {
    Vpc: { Type: 'AWS::EC2::VPC', Properties: { CidrBlock: '10.0.0.0/16', EnableDnsSupport: true, EnableDnsHostnames: true } },
    Subnet: subnet('10.0.0.0/20', 'us-east-2b'),
    OtherZoneSubnet: subnet('10.0.16.0/20', 'us-east-2c'),
    Table: { Type: 'AWS::EC2::RouteTable', Properties: { VpcId: ref('Vpc') } },
    SubnetTable: association('Subnet'),
    OtherZoneSubnetTable: association('OtherZoneSubnet'),
    EndpointSecurityGroup: {
      Type: 'AWS::EC2::SecurityGroup',
      Properties: {
        GroupDescription: 'Callers in the VPC',
        VpcId: ref('Vpc'),
        SecurityGroupIngress: [{ IpProtocol: 'tcp', FromPort: 443, ToPort: 443, CidrIp: '10.0.0.0/16' }],
      },
    },
    ...Object.fromEntries(services.map((service) => [`Endpoint${service.replace(/\W/g, '')}`, endpoint(service)])),
    EndpointS3: {
      Type: 'AWS::EC2::VPCEndpoint',
      Properties: { VpcId: ref('Vpc'), ServiceName: 'com.amazonaws.us-east-2.s3', VpcEndpointType: 'Gateway', RouteTableIds: [ref('Table')] },
    },
  };
}

/** A security group that allows everything to and from itself. */
export function fabric(): Resources {
  const groupId = att('FabricSecurityGroup', 'GroupId');
  return {
    FabricSecurityGroup: {
      Type: 'AWS::EC2::SecurityGroup',
      Properties: {
        GroupDescription: 'EFA',
        VpcId: ref('Vpc'),
        SecurityGroupEgress: [{ IpProtocol: 'tcp', FromPort: 443, ToPort: 443, CidrIp: '0.0.0.0/0' }],
      },
    },
    FabricIngress: { Type: 'AWS::EC2::SecurityGroupIngress', Properties: { GroupId: groupId, IpProtocol: '-1', SourceSecurityGroupId: groupId } },
    FabricEgress: { Type: 'AWS::EC2::SecurityGroupEgress', Properties: { GroupId: groupId, IpProtocol: '-1', DestinationSecurityGroupId: groupId } },
  };
}

/** An ordinary primary interface, and an EFA-only interface on each of so many network cards. */
export function efaOnlyInterfaces(cards: number) {
  const nic = (card: number, device: number, type: string) => ({
    NetworkCardIndex: card, DeviceIndex: device, InterfaceType: type, Groups: [att('FabricSecurityGroup', 'GroupId')], DeleteOnTermination: true,
  });
  return [nic(0, 0, 'interface'), ...Array.from({ length: cards }, (_, card) => nic(card, 1, 'efa-only'))];
}
