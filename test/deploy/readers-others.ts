import { Aws } from './emulators';
import { Reader } from './reader';

/** The `[{ Key, Value }]` of one API is the `{ key: value }` of another. */
async function attributes(aws: Aws, operation: string, parameters: object): Promise<unknown> {
  return (await aws.boto('elbv2', operation, parameters)).Attributes;
}

export const otherReaders: Record<string, Reader> = {
  'AWS::IAM::Role': async (aws, RoleName) => {
    const { Role } = await aws.boto('iam', 'get_role', { RoleName });
    const { AttachedPolicies } = await aws.boto('iam', 'list_attached_role_policies', { RoleName });
    const { PolicyNames } = await aws.boto('iam', 'list_role_policies', { RoleName });
    return [{
      ...Role,
      ManagedPolicyArns: AttachedPolicies.map((policy: any) => policy.PolicyArn),
      Policies: await Promise.all(PolicyNames.map(async (PolicyName: string) => aws.boto('iam', 'get_role_policy', { RoleName, PolicyName }))),
    }];
  },
  'AWS::IAM::Policy': async (aws, _id, { PolicyName, Roles }) => Promise.all(Roles.map(async (RoleName: string) =>
    ({ ...await aws.boto('iam', 'get_role_policy', { RoleName, PolicyName }), Roles }))),
  'AWS::IAM::ManagedPolicy': async (aws, PolicyArn) => {
    const { Policy } = await aws.boto('iam', 'get_policy', { PolicyArn });
    const { PolicyVersion } = await aws.boto('iam', 'get_policy_version', { PolicyArn, VersionId: Policy.DefaultVersionId });
    const { PolicyRoles } = await aws.boto('iam', 'list_entities_for_policy', { PolicyArn });
    return [{ ...Policy, PolicyDocument: PolicyVersion.Document, Roles: PolicyRoles.map((role: any) => role.RoleName) }];
  },
  'AWS::IAM::InstanceProfile': async (aws, id) => {
    const { InstanceProfile } = await aws.boto('iam', 'get_instance_profile', { InstanceProfileName: id.split('/').pop() });
    return [{ ...InstanceProfile, Roles: InstanceProfile.Roles.map((role: any) => role.RoleName) }];
  },
  'AWS::Logs::LogGroup': async (aws, logGroupName) => {
    const [group] = (await aws.boto('logs', 'describe_log_groups', { logGroupNamePrefix: logGroupName })).logGroups;
    const { tags } = await aws.boto('logs', 'list_tags_log_group', { logGroupName });
    return [{ ...group, Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) }];
  },
  'AWS::SSM::Parameter': async (aws, Name) => {
    const [described] = (await aws.boto('ssm', 'describe_parameters', { ParameterFilters: [{ Key: 'Name', Values: [Name] }] })).Parameters;
    return [{ ...described, Value: (await aws.boto('ssm', 'get_parameter', { Name })).Parameter.Value }];
  },
  'AWS::SecretsManager::Secret': async (aws, SecretId) => [await aws.boto('secretsmanager', 'describe_secret', { SecretId })],
  'AWS::ServiceDiscovery::PrivateDnsNamespace': async (aws, namespaceId) => {
    const { Namespace } = await aws.boto('servicediscovery', 'get_namespace', { Id: namespaceId });
    const { VPCs } = await aws.boto('route53', 'get_hosted_zone', { Id: Namespace.Properties.DnsProperties.HostedZoneId });
    return [{ ...Namespace, Vpc: VPCs[0].VPCId }];
  },
  'AWS::ServiceDiscovery::Service': async (aws, Id) => [(await aws.boto('servicediscovery', 'get_service', { Id })).Service],
  'AWS::ElasticLoadBalancingV2::LoadBalancer': async (aws, LoadBalancerArn) => {
    const [balancer] = (await aws.boto('elbv2', 'describe_load_balancers', { LoadBalancerArns: [LoadBalancerArn] })).LoadBalancers;
    return [{
      ...balancer,
      Subnets: balancer.AvailabilityZones.map((zone: any) => zone.SubnetId),
      LoadBalancerAttributes: await attributes(aws, 'describe_load_balancer_attributes', { LoadBalancerArn }),
    }];
  },
  'AWS::ElasticLoadBalancingV2::TargetGroup': async (aws, TargetGroupArn) => {
    const [group] = (await aws.boto('elbv2', 'describe_target_groups', { TargetGroupArns: [TargetGroupArn] })).TargetGroups;
    return [{ ...group, TargetGroupAttributes: await attributes(aws, 'describe_target_group_attributes', { TargetGroupArn }) }];
  },
  'AWS::ElasticLoadBalancingV2::Listener': async (aws, arn) => (await aws.boto('elbv2', 'describe_listeners', { ListenerArns: [arn] })).Listeners,
  'AWS::ElasticLoadBalancingV2::ListenerRule': async (aws, arn, { ListenerArn }) =>
    (await aws.boto('elbv2', 'describe_rules', { RuleArns: [arn] })).Rules.map((rule: any) => ({ ...rule, ListenerArn })),
  'AWS::ApplicationAutoScaling::ScalableTarget': async (aws, _id, { ServiceNamespace }) =>
    (await aws.boto('application-autoscaling', 'describe_scalable_targets', { ServiceNamespace })).ScalableTargets,
  'AWS::ApplicationAutoScaling::ScalingPolicy': async (aws, _id, { PolicyName, ScalingTargetId }) => {
    const ServiceNamespace = ScalingTargetId.split('|')[2];
    const { ScalingPolicies } = await aws.boto('application-autoscaling', 'describe_scaling_policies', { ServiceNamespace, PolicyNames: [PolicyName] });
    return ScalingPolicies.map((policy: any) => ({ ...policy, ScalingTargetId: [policy.ResourceId, policy.ScalableDimension, ServiceNamespace].join('|') }));
  },
};
