import { Link, Unknown, asList, valueAt } from '../graph/template-graph';
import { Rule, found } from '../rule';
import { isNeuronType } from '../views/instance-facts';
import { launchData, launchesOf } from '../views/launches';

const FAMILY = 'pcs';
const LIMITATIONS = 'https://docs.aws.amazon.com/pcs/latest/userguide/capacity-blocks.html';

export const PCS_RULES: Rule[] = [
  {
    id: 'ComputeNodeGroupPurchaseOption',
    family: FAMILY,
    severity: 'error',
    title: 'A compute node group of AWS PCS has purchase option CAPACITY_BLOCK if, and only if, its launch template asks for a Capacity Block',
    why: 'AWS PCS launches no instance into the block',
    mend: 'set PurchaseOption to "CAPACITY_BLOCK" and InstanceMarketOptions.MarketType of the launch template to "capacity-block", or neither',
    source: 'https://docs.aws.amazon.com/pcs/latest/userguide/capacity-blocks-configure-cng.html',
    *check(graph) {
      for (const group of graph.ofType('AWS::PCS::ComputeNodeGroup')) {
        const id = group.get('CustomLaunchTemplate', 'TemplateId');
        const launch = id instanceof Link ? launchesOf(graph).find(({ template }) => template === id.resource) : undefined;
        const market = launch && launchData(launch, 'InstanceMarketOptions', 'MarketType');
        const option = group.get('PurchaseOption');
        if (launch && !(market instanceof Unknown) && !(option instanceof Unknown) && (market === 'capacity-block') !== (option === 'CAPACITY_BLOCK')) {
          yield found(group, 'PurchaseOption', option, market === 'capacity-block'
            ? 'the launch template asks for a Capacity Block' : 'the launch template does not ask for a Capacity Block');
        }
      }
    },
  },
  {
    id: 'ComputeNodeGroupCapacityBlockType',
    family: FAMILY,
    severity: 'warning',
    title: 'A compute node group of AWS PCS on a Capacity Block is of an instance type that AWS PCS supports there',
    why: 'AWS PCS says that it supports Capacity Blocks of P4d, P5, P5e, P5en and P6 instances only',
    mend: 'use On-Demand or Spot instances, or run a Capacity Block of Trainium with Amazon EKS or an Auto Scaling group',
    source: LIMITATIONS,
    *check(graph) {
      for (const group of graph.ofType('AWS::PCS::ComputeNodeGroup').filter((resource) => resource.get('PurchaseOption') === 'CAPACITY_BLOCK')) {
        const configs = asList(group.get('InstanceConfigs')) ?? [];
        for (const [index, config] of configs.entries()) {
          const type = valueAt(config, 'InstanceType');
          if (isNeuronType(type)) {
            yield found(group, `InstanceConfigs.${index}.InstanceType`, type, 'AWS PCS does not list the instance type for Capacity Blocks');
          }
        }
      }
    },
  },
];
