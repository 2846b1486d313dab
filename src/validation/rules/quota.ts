import { Resource, TemplateGraph, Value, asInteger } from '../graph/template-graph';
import { Rule, found } from '../rule';
import { largestSizeOf } from '../views/group-sizes';
import { instanceFacts, isTrainiumType } from '../views/instance-facts';
import { launchesOf, typesOfUse } from '../views/launches';
import { purchaseOf } from '../views/purchases';

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
  readonly instances: number;
  /** Of all instances. */
  readonly vcpus: number;
}

export const QUOTA_RULES: Rule[] = [
  {
    id: 'TrainiumVcpuQuota',
    family: 'quota',
    severity: 'warning',
    title: `On-Demand or Spot Trainium instances of an account and region fit in ${COMMON_QUOTA_VCPUS} vCPUs, the quota that accounts commonly have in a region`,
    why: 'launches beyond the quota fail with VcpuLimitExceeded or MaxSpotInstanceCountExceeded',
    mend: 'lower the sizes, use Capacity Blocks, which do not count, or have the quota raised before the deployment and acknowledge this rule',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits',
    *check(graph) {
      const byQuota = new Map<string, Demand[]>();
      for (const demand of demandsOf(graph)) {
        const key = `${demand.resource.place} ${demand.purchase}`;
        const demands = byQuota.get(key) ?? [];
        demands.push(demand);
        byQuota.set(key, demands);
      }
      for (const demands of byQuota.values()) {
        const vcpus = demands.reduce((sum, demand) => sum + demand.vcpus, 0);
        if (vcpus > COMMON_QUOTA_VCPUS) {
          const most = demands.reduce((largest, demand) => demand.vcpus > largest.vcpus ? demand : largest);
          const { name, code } = QUOTAS[most.purchase];
          const parts = demands.map(({ resource, instances, vcpus: each }) => `${resource.logicalId} ${instances} x ${each / instances}`).join(', ');
          yield found(most.resource, most.property, most.resource.get(...most.property.split('.')),
            `${vcpus} vCPUs are needed in all (${parts}), of the quota ${JSON.stringify(name)} (${code})`);
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
      const types = typesOfUse(launch, use);
      // of several types, the least that the instances may need.
      const vcpus = types.length === 0 ? 0 : Math.min(...types.map((type) => vcpusOf(type, purchase)));
      if (vcpus > 0) {
        counted.add(use.resource);
        yield { resource: size.resource, property: size.property, purchase, instances: size.instances, vcpus: size.instances * vcpus };
      }
    }
  }
  // what is reserved counts, used or not; launches into it do not count again.
  for (const reservation of graph.ofType('AWS::EC2::CapacityReservation')) {
    const instances = asInteger(reservation.get('InstanceCount')) ?? 0;
    const vcpus = vcpusOf(reservation.get('InstanceType') ?? '', 'on-demand') * instances;
    if (vcpus > 0) {
      yield { resource: reservation, property: 'InstanceCount', purchase: 'on-demand', instances, vcpus };
    }
  }
}

// of what is not Trainium, or is not bought that way, nothing is counted.
function vcpusOf(type: Value, purchase: keyof typeof QUOTAS): number {
  const trainium = isTrainiumType(type) ? instanceFacts(type) : undefined;
  return trainium?.purchaseOptions.includes(purchase) ? trainium.vcpus ?? 0 : 0;
}
