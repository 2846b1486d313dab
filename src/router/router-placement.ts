import { Token } from 'aws-cdk-lib';
import { BedrockRouterProps } from './bedrock-router-props';
import { Problem } from '../problems';

/** Fewest and most tasks. */
export function tasksOf({ minTasks = 2, maxTasks = 10 }: BedrockRouterProps): { minTasks: number; maxTasks: number } {
  return { minTasks, maxTasks };
}

/** What is wrong with where and how many tasks run. */
export function placeProblems(props: BedrockRouterProps, path: string): Problem[] {
  const problems: Problem[] = [];
  const { subnets } = props.vpc.selectSubnets(props.vpcSubnets);
  const zones = new Set(subnets.map((subnet) => subnet.availabilityZone));
  if (zones.size < 2) {
    problems.push({
      rule: 'RouterZones',
      path: `${path}.vpcSubnets`,
      value: JSON.stringify(subnets.map((subnet) => subnet.node.path)),
      message: 'an Application Load Balancer needs subnets in two Availability Zones',
      mend: 'use a VPC with private subnets in two zones, or select such subnets',
    });
  }
  const open = subnets.filter((subnet) => props.vpc.publicSubnets.includes(subnet));
  if (open.length > 0) {
    problems.push({
      rule: 'RouterSubnetsPublic',
      path: `${path}.vpcSubnets`,
      value: JSON.stringify(open.map((subnet) => subnet.node.path)),
      message: 'tasks have no public IP address, so in a public subnet they cannot pull their image',
      mend: 'use private subnets with a NAT gateway or VPC endpoints',
    });
  }
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
