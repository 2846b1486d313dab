import { DescribeAutoScalingGroupsCommand, DescribeScheduledActionsCommand } from '@aws-sdk/client-auto-scaling';
import { DescribeLaunchTemplatesCommand, DescribeLaunchTemplateVersionsCommand, DescribePlacementGroupsCommand } from '@aws-sdk/client-ec2';
import {
  DescribeCapacityProvidersCommand, DescribeClustersCommand, DescribeServicesCommand, DescribeTaskDefinitionCommand,
} from '@aws-sdk/client-ecs';
import { DescribeClusterCommand, DescribeNodegroupCommand } from '@aws-sdk/client-eks';
import { Reader } from './reader';

/** `arn:…:cluster/name` -> `name`. */
function nameOf(arn: string | undefined): string | undefined {
  return arn?.split('/').pop();
}

export const computeReaders: Record<string, Reader> = {
  'AWS::EC2::LaunchTemplate': async ({ ec2 }, id) => {
    const [template] = (await ec2.send(new DescribeLaunchTemplatesCommand({ LaunchTemplateIds: [id] }))).LaunchTemplates!;
    const [version] = (await ec2.send(new DescribeLaunchTemplateVersionsCommand({ LaunchTemplateId: id, Versions: ['$Latest'] }))).LaunchTemplateVersions!;
    return [{ ...version, TagSpecifications: [{ ResourceType: 'launch-template', Tags: template.Tags }] }];
  },
  'AWS::AutoScaling::AutoScalingGroup': async ({ autoScaling }, id) => {
    const [group] = (await autoScaling.send(new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [id] }))).AutoScalingGroups!;
    const metrics = group.EnabledMetrics ?? [];
    return [{
      ...group,
      VPCZoneIdentifier: group.VPCZoneIdentifier?.split(','),
      MetricsCollection: metrics.length === 0 ? undefined : [{ Granularity: metrics[0].Granularity }],
    }];
  },
  'AWS::AutoScaling::ScheduledAction': async ({ autoScaling }, _id, { AutoScalingGroupName }) => {
    const { ScheduledUpdateGroupActions = [] } = await autoScaling.send(new DescribeScheduledActionsCommand({ AutoScalingGroupName }));
    return ScheduledUpdateGroupActions.map((action) => ({ ...action, StartTime: action.StartTime?.toISOString().replace('.000Z', 'Z') }));
  },
  'AWS::EC2::PlacementGroup': async ({ ec2 }, id) =>
    (await ec2.send(new DescribePlacementGroupsCommand({ GroupNames: [id] }))).PlacementGroups!,
  'AWS::ECS::Cluster': async ({ ecs }, id) => {
    const [cluster] = (await ecs.send(new DescribeClustersCommand({ clusters: [id], include: ['SETTINGS', 'TAGS', 'CONFIGURATIONS'] }))).clusters!;
    return [{ ...cluster, clusterSettings: cluster.settings }];
  },
  'AWS::ECS::CapacityProvider': async ({ ecs }, id) =>
    (await ecs.send(new DescribeCapacityProvidersCommand({ capacityProviders: [id], include: ['TAGS'] }))).capacityProviders!,
  'AWS::ECS::ClusterCapacityProviderAssociations': async ({ ecs }, _id, { Cluster }) => {
    const [cluster] = (await ecs.send(new DescribeClustersCommand({ clusters: [Cluster] }))).clusters!;
    return [{ ...cluster, cluster: cluster.clusterName }];
  },
  'AWS::ECS::TaskDefinition': async ({ ecs }, id) => {
    const { taskDefinition, tags } = await ecs.send(new DescribeTaskDefinitionCommand({ taskDefinition: id, include: ['TAGS'] }));
    return [{ ...taskDefinition, tags }];
  },
  'AWS::ECS::Service': async ({ ecs }, id, { Cluster }) => {
    const [service] = (await ecs.send(new DescribeServicesCommand({ cluster: Cluster, services: [id], include: ['TAGS'] }))).services!;
    return [{ ...service, cluster: nameOf(service.clusterArn) }];
  },
  'AWS::EKS::Cluster': async ({ eks }, id) => {
    const cluster = (await eks.send(new DescribeClusterCommand({ name: id }))).cluster!;
    return [{ ...cluster, logging: { clusterLogging: { enabledTypes: cluster.logging?.clusterLogging } } }];
  },
  'AWS::EKS::Nodegroup': async ({ eks }, id, { ClusterName }) => {
    const { nodegroup } = await eks.send(new DescribeNodegroupCommand({ clusterName: ClusterName, nodegroupName: nameOf(id) }));
    return [nodegroup];
  },
};
