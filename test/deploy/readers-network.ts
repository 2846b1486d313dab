import {
  DescribeAddressesCommand, DescribeFlowLogsCommand, DescribeInternetGatewaysCommand, DescribeNatGatewaysCommand, DescribeRouteTablesCommand,
  DescribeSecurityGroupsCommand, DescribeSubnetsCommand, DescribeVpcAttributeCommand, DescribeVpcEndpointsCommand, DescribeVpcsCommand,
  IpPermission,
} from '@aws-sdk/client-ec2';
import { Aws } from './emulators';
import { Reader } from './reader';

/** One rule an entry, as a template writes them; `end` is the word for the other side's group. */
function rules(permissions: IpPermission[] | undefined, end: 'Source' | 'Destination', groupId: string): object[] {
  return (permissions ?? []).flatMap((permission) => {
    const { IpProtocol, FromPort, ToPort } = permission;
    const rule = { GroupId: groupId, IpProtocol, FromPort, ToPort };
    return [
      ...(permission.IpRanges ?? []).map(({ CidrIp, Description }) => ({ ...rule, CidrIp, Description })),
      ...(permission.Ipv6Ranges ?? []).map(({ CidrIpv6, Description }) => ({ ...rule, CidrIpv6, Description })),
      ...(permission.UserIdGroupPairs ?? []).map(({ GroupId, Description }) => ({ ...rule, [`${end}SecurityGroupId`]: GroupId, Description })),
    ];
  });
}

async function securityGroup(aws: Aws, groupId: string) {
  const [group] = (await aws.ec2.send(new DescribeSecurityGroupsCommand({ GroupIds: [groupId] }))).SecurityGroups!;
  return {
    ...group,
    GroupDescription: group.Description,
    SecurityGroupIngress: rules(group.IpPermissions, 'Source', groupId),
    SecurityGroupEgress: rules(group.IpPermissionsEgress, 'Destination', groupId),
  };
}

async function routeTable(aws: Aws, id: string) {
  return (await aws.ec2.send(new DescribeRouteTablesCommand({ RouteTableIds: [id] }))).RouteTables![0];
}

export const networkReaders: Record<string, Reader> = {
  'AWS::EC2::VPC': async ({ ec2 }, id) => {
    const attribute = async (Attribute: 'enableDnsHostnames' | 'enableDnsSupport') => ec2.send(new DescribeVpcAttributeCommand({ VpcId: id, Attribute }));
    return [{
      ...(await ec2.send(new DescribeVpcsCommand({ VpcIds: [id] }))).Vpcs![0],
      EnableDnsHostnames: (await attribute('enableDnsHostnames')).EnableDnsHostnames?.Value,
      EnableDnsSupport: (await attribute('enableDnsSupport')).EnableDnsSupport?.Value,
    }];
  },
  'AWS::EC2::Subnet': async ({ ec2 }, id) => (await ec2.send(new DescribeSubnetsCommand({ SubnetIds: [id] }))).Subnets!,
  'AWS::EC2::RouteTable': async (aws, id) => [await routeTable(aws, id)],
  'AWS::EC2::SubnetRouteTableAssociation': async (aws, _id, { RouteTableId }) => (await routeTable(aws, RouteTableId)).Associations!,
  'AWS::EC2::Route': async (aws, _id, { RouteTableId }) => (await routeTable(aws, RouteTableId)).Routes!.map((route) => ({ ...route, RouteTableId })),
  'AWS::EC2::InternetGateway': async ({ ec2 }, id) =>
    (await ec2.send(new DescribeInternetGatewaysCommand({ InternetGatewayIds: [id] }))).InternetGateways!,
  'AWS::EC2::VPCGatewayAttachment': async ({ ec2 }, _id, { InternetGatewayId }) =>
    (await ec2.send(new DescribeInternetGatewaysCommand({ InternetGatewayIds: [InternetGatewayId] }))).InternetGateways![0]
      .Attachments!.map(({ VpcId }) => ({ VpcId, InternetGatewayId })),
  'AWS::EC2::EIP': async ({ ec2 }, id) => (await ec2.send(new DescribeAddressesCommand({ PublicIps: [id] }))).Addresses!,
  'AWS::EC2::NatGateway': async ({ ec2 }, id) => {
    const [gateway] = (await ec2.send(new DescribeNatGatewaysCommand({ NatGatewayIds: [id] }))).NatGateways!;
    return [{ ...gateway, AllocationId: gateway.NatGatewayAddresses?.[0].AllocationId }];
  },
  'AWS::EC2::VPCEndpoint': async ({ ec2 }, id) => {
    const [endpoint] = (await ec2.send(new DescribeVpcEndpointsCommand({ VpcEndpointIds: [id] }))).VpcEndpoints!;
    return [{ ...endpoint, SecurityGroupIds: endpoint.Groups?.map(({ GroupId }) => GroupId) }];
  },
  'AWS::EC2::FlowLog': async ({ ec2 }, id) => {
    const [log] = (await ec2.send(new DescribeFlowLogsCommand({ FlowLogIds: [id] }))).FlowLogs!;
    return [{ ...log, ResourceType: log.ResourceId?.startsWith('vpc-') ? 'VPC' : undefined }];
  },
  'AWS::EC2::SecurityGroup': async (aws, id) => [await securityGroup(aws, id)],
  'AWS::EC2::SecurityGroupIngress': async (aws, _id, { GroupId }) => (await securityGroup(aws, GroupId)).SecurityGroupIngress,
  'AWS::EC2::SecurityGroupEgress': async (aws, _id, { GroupId }) => (await securityGroup(aws, GroupId)).SecurityGroupEgress,
};
