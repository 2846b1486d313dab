import { Link, Resource, TemplateGraph, Value, asInteger, isTrue, valueAt } from '../graph/template-graph';
import { Rule, found } from '../rule';
import { largestSizeOf } from '../views/group-sizes';
import { Launch, LaunchUse, launchesOf } from '../views/launches';

const FAMILY = 'addresses';

/** Addresses of every subnet that AWS keeps: the first four and the last. */
const RESERVED_ADDRESSES = 5;

/** Groups that launch into the same subnets, and the addresses that they may need together. */
interface Demand {
  readonly subnets: Resource[];
  readonly uses: LaunchUse[];
  needed: number;
}

export const ADDRESSES_RULES: Rule[] = [
  {
    id: 'PublicIpWithSeveralInterfaces',
    family: FAMILY,
    severity: 'error',
    title: 'With several interfaces none asks for a public IP address',
    why: 'the launch fails with "The associatePublicIPAddress parameter cannot be specified when launching with multiple network interfaces"',
    mend: 'drop AssociatePublicIpAddress and reach the internet through a NAT gateway or VPC endpoints',
    source: 'https://github.com/aws/karpenter-provider-aws/issues/5666',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(({ interfaces }) => interfaces.length > 1)) {
        for (const nic of launch.interfaces.filter(({ values }) => isTrue(valueAt(values, 'AssociatePublicIpAddress')))) {
          yield found(launch.template, `${nic.property}.AssociatePublicIpAddress`, true,
            `an instance with ${launch.interfaces.length} interfaces cannot ask for a public IP address`);
        }
      }
    },
  },
  {
    id: 'SeveralInterfacesInPublicSubnet',
    family: FAMILY,
    severity: 'warning',
    title: 'An instance with several interfaces does not rely on a public IP address of its subnet',
    why: 'EC2 assigns no public IP address to an instance with several interfaces, so in a public subnet it reaches nothing and never joins its cluster',
    mend: 'use a private subnet with a route to a NAT gateway or with VPC endpoints',
    source: 'https://github.com/aws/aws-parallelcluster/pull/7457',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(({ interfaces }) => interfaces.length > 1)) {
        for (const use of launch.uses) {
          for (const subnet of Array.isArray(use.subnets) ? use.subnets : []) {
            if (subnet instanceof Link && isTrue(subnet.resource.get('MapPublicIpOnLaunch'))) {
              yield found(use.resource, use.subnetsProperty, subnet, 'the subnet assigns public IP addresses, which an instance with several interfaces does not get');
            }
          }
        }
      }
    },
  },
  {
    id: 'SubnetTooSmall',
    family: FAMILY,
    severity: 'warning',
    title: 'The subnets have an address for every interface of the largest group',
    why: 'the group stops growing with "InsufficientFreeAddressesInSubnet"; an "efa" interface takes an address, an "efa-only" interface takes none',
    mend: 'use a larger subnet, lower MaxSize, or make every EFA interface but the first "efa-only"',
    source: 'https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html',
    *check(graph) {
      const demands = new Map<string, Demand>();
      for (const launch of launchesOf(graph)) {
        for (const use of launch.uses) {
          addDemand(graph, demands, launch, use);
        }
      }
      for (const { subnets, uses, needed } of demands.values()) {
        const sizes = subnets.map(addressesOf);
        const available = sizes.reduce<number>((sum, size) => sum + (size ?? Infinity), 0);
        if (needed > available) {
          yield found(uses[0].resource, uses[0].subnetsProperty, uses[0].subnets as Value[],
            `the subnets have ${available} addresses, and ${uses.map(({ resource }) => resource.logicalId).join(' and ')} may need ${needed}`);
        }
      }
    },
  },
];

function addDemand(graph: TemplateGraph, demands: Map<string, Demand>, launch: Launch, use: LaunchUse): void {
  const subnets = Array.isArray(use.subnets) ? use.subnets : [];
  const size = largestSizeOf(use, graph)?.instances;
  if (size === undefined || launch.unknownInterfaces || subnets.length === 0 || !subnets.every(isSubnet)) {
    return;
  }
  const resources = subnets.map(({ resource }) => resource);
  const key = resources.map(({ stack, logicalId }) => `${stack} ${logicalId}`).sort().join(', ');
  const demand: Demand = demands.get(key) ?? { subnets: [...new Set(resources)], uses: [], needed: 0 };
  demand.needed += size * addressesOfInstance(launch);
  demand.uses.push(use);
  demands.set(key, demand);
}

/** The least addresses that an instance takes; a launch without a list of interfaces has one interface. */
function addressesOfInstance({ interfaces }: Launch): number {
  const counts = interfaces.filter(({ type, values }) => type !== 'efa-only' && valueAt(values, 'NetworkInterfaceId') === undefined)
    .map(({ values }) => 1 + (asInteger(valueAt(values, 'SecondaryPrivateIpAddressCount')) ?? 0));
  return interfaces.length === 0 ? 1 : counts.reduce((sum, count) => sum + count, 0);
}

function isSubnet(subnet: Value): subnet is Link {
  return subnet instanceof Link && subnet.resource.type === 'AWS::EC2::Subnet';
}

/** Undefined where the range is not known or none of a subnet, or the subnet has no IPv4 addresses. */
function addressesOf(subnet: Resource): number | undefined {
  const range = subnet.get('CidrBlock');
  const prefix = typeof range === 'string' ? Number(/^[\d.]+\/(\d+)$/.exec(range)?.[1]) : NaN;
  return prefix >= 16 && prefix <= 28 ? 2 ** (32 - prefix) - RESERVED_ADDRESSES : undefined;
}
