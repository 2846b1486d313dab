import { Resource, TemplateGraph, Value, asInteger } from '../graph/template-graph';
import { Rule, found } from '../rule';
import { largestSizeOf } from '../views/group-sizes';
import { instanceFacts, isTrainiumType } from '../views/instance-facts';
import { launchesOf } from '../views/launches';
import { purchaseOf } from '../views/purchases';
import { typesOf } from '../views/reserved-launches';

/** What accounts were seen to have in each region, for On-Demand and for Spot; EC2's guide has listed a default of 0. */
const COMMON_QUOTA_VCPUS = 256;

const QUOTAS = {
  'on-demand': { name: 'Running On-Demand Trn instances', code: 'L-2C3B7624' },
  'spot': { name: 'All Trn Spot Instance Requests', code: 'L-6B0D517C' },
};

interface Demand {
  readonly resource: Resource;
  readonly property: string;
  readonly purchase: keyof typeof QUOTAS;
  readonly vcpus: number;
}

export const QUOTA_RULES: Rule[] = [
  {
    id: 'TrainiumVcpuQuota',
    family: 'quota',
    severity: 'warning',
    title: `On-Demand or Spot Trainium instances of a stack fit in ${COMMON_QUOTA_VCPUS} vCPUs, the quota that accounts commonly have in a region`,
    why: 'launches beyond the quota fail with VcpuLimitExceeded or MaxSpotInstanceCountExceeded',
    mend: 'lower the sizes, use Capacity Blocks, which do not count, or have the quota raised before the deployment and acknowledge this rule',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits',
    *check(graph) {
      const byQuota = new Map<string, Demand[]>();
      for (const demand of demandsOf(graph)) {
        const key = `${demand.resource.region ?? demand.resource.stack} ${demand.purchase}`;
        const demands = byQuota.get(key) ?? [];
        demands.push(demand);
        byQuota.set(key, demands);
      }
      for (const demands of byQuota.values()) {
        const vcpus = demands.reduce((sum, demand) => sum + demand.vcpus, 0);
        if (vcpus > COMMON_QUOTA_VCPUS) {
          const most = demands.reduce((largest, demand) => demand.vcpus > largest.vcpus ? demand : largest);
          const { name, code } = QUOTAS[most.purchase];
          yield found(most.resource, most.property, most.resource.get(...most.property.split('.')),
            `${vcpus} vCPUs are needed in all, of the quota ${JSON.stringify(name)} (${code})`);
        }
      }
    },
  },
];

function* demandsOf(graph: TemplateGraph): Iterable<Demand> {
  const counted = new Set<Resource>();
  for (const launch of launchesOf(graph)) {
    for (const use of launch.uses) {
      const purchase = purchaseOf(launch, use);
      const size = largestSizeOf(use, graph);
      if ((purchase !== 'on-demand' && purchase !== 'spot') || !size || counted.has(use.resource)) {
        continue;
      }
      const vcpus = Math.min(...typesOf(launch, use).map((type) => vcpusOf(type, purchase)));
      if (Number.isFinite(vcpus) && vcpus > 0) {
        counted.add(use.resource);
        yield { resource: size.resource, property: size.property, purchase, vcpus: size.instances * vcpus };
      }
    }
  }
  // what is reserved counts, used or not; launches into it do not count again.
  for (const reservation of graph.ofType('AWS::EC2::CapacityReservation')) {
    const vcpus = vcpusOf(reservation.get('InstanceType') ?? '', 'on-demand') * (asInteger(reservation.get('InstanceCount')) ?? 0);
    if (vcpus > 0) {
      yield { resource: reservation, property: 'InstanceCount', purchase: 'on-demand', vcpus };
    }
  }
}

// of what is not Trainium, or is not bought that way, nothing is counted.
function vcpusOf(type: Value, purchase: keyof typeof QUOTAS): number {
  const trainium = isTrainiumType(type) ? instanceFacts(type) : undefined;
  return trainium?.purchaseOptions.includes(purchase) ? trainium.vcpus ?? 0 : 0;
}
