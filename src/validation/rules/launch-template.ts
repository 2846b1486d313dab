import { launchData, launchProperty, launchesOf } from '../launches';
import { Rule, found, notChecked } from '../rule';
import { Unknown, asInteger, asList, same, valueAt } from '../template-graph';

const FAMILY = 'launch-template';
const EKS_GUIDE = 'https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html';
const METADATA_REFERENCE = 'https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-ec2-launchtemplate-metadataoptions.html';

export const LAUNCH_TEMPLATE_RULES: Rule[] = [
  {
    id: 'SecurityGroupsBesideInterfaces',
    family: FAMILY,
    severity: 'error',
    title: 'A launch template with network interfaces has no security groups of its own',
    why: 'the launch fails with "Network interfaces and an instance-level security groups may not be specified on the same request"',
    mend: 'move the security groups to Groups of each network interface',
    source: 'https://docs.aws.amazon.com/pcs/latest/userguide/working-with_networking_efa_create-lt.html',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(({ interfaces }) => interfaces.length > 0)) {
        for (const name of ['SecurityGroupIds', 'SecurityGroups']) {
          const groups = launchData(launch, name);
          if (asList(groups)?.length) {
            yield found(launch.template, launchProperty(name), groups, 'the launch template also lists network interfaces');
          }
        }
      }
    },
  },
  {
    id: 'InterfaceSubnetOutsideGroup',
    family: FAMILY,
    severity: 'error',
    title: 'A subnet of a network interface is one of the subnets of the Auto Scaling group',
    why: 'CreateAutoScalingGroup is refused, or the launch fails',
    mend: 'drop SubnetId from the network interfaces: the group chooses the subnet',
    source: 'https://docs.aws.amazon.com/autoscaling/ec2/userguide/create-launch-template.html',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        for (const { kind, resource, subnets } of launch.uses) {
          if (kind !== 'AutoScalingGroup' || !Array.isArray(subnets) || subnets.length === 0) {
            continue;
          }
          for (const nic of launch.interfaces) {
            const subnet = valueAt(nic.values, 'SubnetId');
            const among = subnet === undefined ? [] : subnets.map((other) => same(subnet, other));
            if (among.length > 0 && among.every((equal) => equal === false)) {
              yield found(launch.template, `${nic.property}.SubnetId`, subnet, `the subnet is not one of those of ${resource.logicalId}`);
            } else if (among.includes(undefined) && !among.includes(true)) {
              yield notChecked(launch.template, `${nic.property}.SubnetId`, 'the subnet or those of the group are not known');
            }
          }
        }
      }
    },
  },
  {
    id: 'NodegroupLaunchTemplateConflict',
    family: FAMILY,
    severity: 'error',
    title: 'A launch template of a managed node group leaves to EKS what the node group sets',
    why: 'EKS rejects the node group with InvalidRequestException',
    mend: 'drop the property from the launch template; set the instance type in one place only',
    source: EKS_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const nodegroups = launch.uses.filter(({ kind }) => kind === 'Nodegroup');
        if (nodegroups.length === 0) {
          continue;
        }
        const profile = launchData(launch, 'IamInstanceProfile');
        if (profile !== undefined && !(profile instanceof Unknown)) {
          yield found(launch.template, launchProperty('IamInstanceProfile'), profile, 'the node role of a managed node group makes the instance profile');
        }
        for (const nic of launch.interfaces) {
          const subnet = valueAt(nic.values, 'SubnetId');
          if (subnet !== undefined) {
            yield found(launch.template, `${nic.property}.SubnetId`, subnet, 'a managed node group takes its subnets from the node group only');
          }
        }
        const type = launchData(launch, 'InstanceType');
        for (const { resource, instanceTypes } of nodegroups) {
          if (type !== undefined && instanceTypes.length > 0) {
            yield found(resource, 'InstanceTypes', instanceTypes, 'the launch template has an instance type too');
          }
        }
      }
    },
  },
  {
    id: 'LaunchTemplateVersionInvalid',
    family: FAMILY,
    severity: 'error',
    title: 'A launch template version is a number, "$Latest" or "$Default"',
    why: 'the deployment fails: there is no such version',
    mend: 'use Fn::GetAtt LatestVersionNumber of the launch template, so that its changes reach the group',
    source: 'https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-autoscaling-autoscalinggroup-launchtemplatespecification.html',
    *check(graph) {
      for (const [type, paths] of Object.entries(VERSION_PATHS)) {
        for (const resource of graph.ofType(type)) {
          for (const path of paths) {
            const version = resource.get(...path, 'Version');
            if ((typeof version === 'string' && !/^([1-9]\d*|\$Latest|\$Default)$/.test(version)) || (typeof version === 'number' && version < 1)) {
              yield found(resource, [...path, 'Version'].join('.'), version, 'a launch template has no such version');
            }
          }
        }
      }
    },
  },
  {
    id: 'InstanceMetadataOptions',
    family: FAMILY,
    severity: 'error',
    title: 'The hop limit of instance metadata is 1 to 64, and HttpTokens is "required" or "optional"',
    why: 'CreateLaunchTemplate or the launch is refused',
    mend: 'use HttpTokens "required" and a hop limit of 2 where containers read instance metadata',
    source: METADATA_REFERENCE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const hops = launchData(launch, 'MetadataOptions', 'HttpPutResponseHopLimit');
        const limit = asInteger(hops);
        if (limit !== undefined && (limit < 1 || limit > 64)) {
          yield found(launch.template, launchProperty('MetadataOptions', 'HttpPutResponseHopLimit'), hops, 'the hop limit is out of range');
        }
        const tokens = launchData(launch, 'MetadataOptions', 'HttpTokens');
        if (typeof tokens === 'string' && tokens !== 'required' && tokens !== 'optional') {
          yield found(launch.template, launchProperty('MetadataOptions', 'HttpTokens'), tokens, 'HttpTokens has no such value');
        }
      }
    },
  },
];

/** Where a type names a version of a launch template. */
const VERSION_PATHS: { readonly [type: string]: readonly string[][] } = {
  'AWS::AutoScaling::AutoScalingGroup': [['LaunchTemplate'], ['MixedInstancesPolicy', 'LaunchTemplate', 'LaunchTemplateSpecification']],
  'AWS::EC2::Instance': [['LaunchTemplate']],
  'AWS::EKS::Nodegroup': [['LaunchTemplate']],
};
