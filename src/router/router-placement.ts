import { Token, aws_ec2 as ec2, aws_ecs as ecs } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { BedrockRouterProps } from './bedrock-router-props';
import { Problem } from '../problems';

const PUBLIC: ec2.SubnetSelection = { subnetType: ec2.SubnetType.PUBLIC };

/** Fewest and most tasks. */
export function tasksOf({ minTasks = 2, maxTasks = 10 }: BedrockRouterProps): { minTasks: number; maxTasks: number } {
  return { minTasks, maxTasks };
}

/** Subnets of the load balancer: one in each zone, as it takes no two of the same. */
export function balancerSubnets({ vpc, vpcSubnets, listener }: BedrockRouterProps): ec2.SubnetSelection {
  const zones = new Set<string>();
  const { subnets } = vpc.selectSubnets(listener?.internetFacing ? PUBLIC : vpcSubnets);
  return {
    subnets: subnets.filter((subnet) => {
      const zone = zoneOf(subnet);
      const isFirst = zone === undefined || !zones.has(zone);
      if (zone !== undefined) {
        zones.add(zone);
      }
      return isFirst;
    }),
  };
}

/** The cluster as one of the router's VPC: ECS' clusters have none, and the CDK would place tasks in the one that it was defined or imported with. */
export function clusterIn(scope: Construct, { vpc, cluster }: BedrockRouterProps): ecs.ICluster {
  if (cluster === undefined) {
    return new ecs.Cluster(scope, 'Cluster', { vpc, containerInsightsV2: ecs.ContainerInsights.ENABLED });
  }
  if (vpcIdOf(cluster) === vpc.vpcId) {
    return cluster;
  }
  const { clusterName, clusterArn } = cluster;
  return ecs.Cluster.fromClusterAttributes(scope, 'ClusterInVpc', { clusterName, clusterArn, vpc });
}

/** What is wrong with where and how many tasks run. */
export function placeProblems(props: BedrockRouterProps, path: string): Problem[] {
  const { vpc, vpcSubnets, listener } = props;
  const problems = [
    ...(listener?.internetFacing ? zoneProblems(vpc, PUBLIC, 'public', `${path}.vpc`) : []),
    ...zoneProblems(vpc, vpcSubnets, 'private', `${path}.vpcSubnets`),
  ];
  const open = publicOnes(vpc, vpcSubnets);
  if (open.length > 0) {
    problems.push({
      rule: 'RouterSubnetsPublic',
      path: `${path}.vpcSubnets`,
      value: JSON.stringify(open.map((subnet) => subnet.node.path)),
      message: 'tasks have no public IP address, so in a public subnet they cannot pull their image',
      mend: 'use private subnets with a NAT gateway or VPC endpoints',
    });
  }
  return [...problems, ...taskProblems(props, path)];
}

/** What is wrong with a selection of subnets that a load balancer is in. */
function zoneProblems(vpc: ec2.IVpc, selection: ec2.SubnetSelection | undefined, kind: 'public' | 'private', path: string): Problem[] {
  const mend = `use a VPC with ${kind} subnets in two zones${kind === 'private' ? ', or select such subnets' : ''}`;
  let found: ec2.SelectedSubnets;
  try {
    found = vpc.selectSubnets(selection);
  } catch (e) {
    return [{ rule: 'RouterZones', path, message: (e as Error).message, mend }];
  }
  const { subnets, isPendingLookup } = found;
  // of a VPC that is being looked up nothing is known yet, nor how many subnets a list has that is settled at deployment.
  const isUnknown = isPendingLookup || subnets.some((subnet) => Token.isUnresolved([subnet.subnetId]));
  return isUnknown || mostZones(subnets) >= 2 ? [] : [{
    rule: 'RouterZones',
    path,
    value: JSON.stringify(subnets.map((subnet) => subnet.node.path)),
    message: 'an Application Load Balancer needs subnets in two Availability Zones',
    mend,
  }];
}

function taskProblems(props: BedrockRouterProps, path: string): Problem[] {
  const problems: Problem[] = [];
  const { minTasks, maxTasks } = tasksOf(props);
  for (const [name, count] of Object.entries({ minTasks, maxTasks })) {
    if (!Token.isUnresolved(count) && !(Number.isInteger(count) && count >= 1)) {
      problems.push({
        rule: 'RouterTasks', path: `${path}.${name}`, value: JSON.stringify(count), message: 'this is not a number of tasks', mend: 'give a whole number from 1',
      });
    }
  }
  if (![minTasks, maxTasks].some((count) => Token.isUnresolved(count)) && minTasks > maxTasks) {
    problems.push({
      rule: 'RouterTasks',
      path: `${path}.minTasks`,
      value: JSON.stringify(minTasks),
      message: `the fewest tasks are more than the most, ${maxTasks}`,
      mend: 'lower minTasks or raise maxTasks',
    });
  }
  return problems;
}

/** The public subnets of a selection; none where the VPC has no subnets like it, which it throws for. */
function publicOnes(vpc: ec2.IVpc, selection: ec2.SubnetSelection | undefined): ec2.ISubnet[] {
  try {
    return vpc.selectSubnets(selection).subnets.filter((subnet) => vpc.publicSubnets.includes(subnet));
  } catch {
    return [];
  }
}

/** In how many zones subnets are at most: one that was imported without its zone may be in any. */
function mostZones(subnets: ec2.ISubnet[]): number {
  const zones = subnets.map(zoneOf);
  return new Set(zones.filter((zone) => zone !== undefined)).size + zones.filter((zone) => zone === undefined).length;
}

/** Zone of a subnet; undefined of one that was imported without it, which throws if it is asked. */
function zoneOf(subnet: ec2.ISubnet): string | undefined {
  try {
    return subnet.availabilityZone;
  } catch {
    return undefined;
  }
}

/** Id of the VPC that a cluster is said to be in; undefined of one that was imported by its ARN, which throws if it is asked. */
function vpcIdOf(cluster: ecs.ICluster): string | undefined {
  try {
    return cluster.vpc.vpcId;
  } catch {
    return undefined;
  }
}
