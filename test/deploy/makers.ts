import { Aws } from './emulators';

/**
 * Makes a resource by the service's own API, with the template's properties, and returns what `Ref` of it says.
 *
 * For what the CloudFormation of no emulator makes, or makes without some of its properties. boto3 knows the API's model: it refuses
 * names, types and missing values that AWS would refuse, and the emulator refuses references to what is not there.
 */
export type Maker = (aws: Aws, logicalId: string, properties: any) => Promise<string>;

/** In the order in which they need each other. */
export const MAKERS: Record<string, Maker> = {
  'AWS::EC2::SecurityGroupEgress': async (aws, logicalId, { GroupId, IpProtocol, FromPort, ToPort, Description, DestinationSecurityGroupId }) => {
    const UserIdGroupPairs = [{ GroupId: DestinationSecurityGroupId, Description }];
    await aws.boto('ec2', 'authorize_security_group_egress', { GroupId, IpPermissions: [{ IpProtocol, FromPort, ToPort, UserIdGroupPairs }] });
    return logicalId;
  },
  'AWS::EC2::PlacementGroup': async (aws, logicalId, properties) => {
    await aws.boto('ec2', 'create_placement_group', { GroupName: logicalId, ...properties });
    return logicalId;
  },
  'AWS::ECS::CapacityProvider': async (aws, logicalId, properties) => {
    await aws.boto('ecs', 'create_capacity_provider', { name: logicalId, ...lowerFirst(properties) as object });
    return logicalId;
  },
  'AWS::ECS::ClusterCapacityProviderAssociations': async (aws, logicalId, properties) => {
    await aws.boto('ecs', 'put_cluster_capacity_providers', lowerFirst(properties) as object);
    return logicalId;
  },
  'AWS::ECS::TaskDefinition': async (aws, _logicalId, properties) =>
    (await aws.boto('ecs', 'register_task_definition', lowerFirst(properties) as object)).taskDefinition.taskDefinitionArn,
  'AWS::ECS::Service': async (aws, logicalId, properties) =>
    (await aws.boto('ecs', 'create_service', { serviceName: logicalId, ...lowerFirst(properties) as object })).service.serviceArn,
  'AWS::EKS::Nodegroup': async (aws, logicalId, { ForceUpdateEnabled, ...properties }) =>
    (await aws.boto('eks', 'create_nodegroup', { nodegroupName: logicalId, ...lowerFirst(properties) as object })).nodegroup.nodegroupName,
  'AWS::ApplicationAutoScaling::ScalableTarget': async (aws, _logicalId, properties) => {
    await aws.boto('application-autoscaling', 'register_scalable_target', properties);
    return [properties.ResourceId, properties.ScalableDimension, properties.ServiceNamespace].join('|');
  },
  'AWS::ApplicationAutoScaling::ScalingPolicy': async (aws, _logicalId, { ScalingTargetId, ...properties }) => {
    const [ResourceId, ScalableDimension, ServiceNamespace] = ScalingTargetId.split('|');
    const { PolicyARN } = await aws.boto('application-autoscaling', 'put_scaling_policy', { ...properties, ResourceId, ScalableDimension, ServiceNamespace });
    return PolicyARN;
  },
};

/** `{ AutoScalingGroupArn }` -> `{ autoScalingGroupArn }`, all the way down. */
function lowerFirst(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(lowerFirst);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key[0].toLowerCase() + key.slice(1), lowerFirst(item)]));
}
