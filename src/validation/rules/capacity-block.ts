import { instanceFacts } from '../instance-facts';
import { isCapacityBlock, launchData, launchProperty, launchesOf, reservationTarget } from '../launches';
import { Rule, found, notChecked } from '../rule';
import { Link, Unknown } from '../template-graph';

const FAMILY = 'capacity-block';
const AUTO_SCALING_GUIDE = 'https://docs.aws.amazon.com/autoscaling/ec2/userguide/launch-template-capacity-blocks.html';
const EKS_GUIDE = 'https://docs.aws.amazon.com/eks/latest/userguide/capacity-blocks-mng.html';
const MARKET_TYPES = ['spot', 'capacity-block', 'interruptible-capacity-reservation'];

export const CAPACITY_BLOCK_RULES: Rule[] = [
  {
    id: 'CapacityBlockWithoutTarget',
    family: FAMILY,
    severity: 'error',
    title: 'A launch template with market type "capacity-block" names the Capacity Block',
    why: 'without the reservation no instance launches',
    mend: 'set CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId to the id of the Capacity Block, cr-…',
    source: AUTO_SCALING_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph).filter(isCapacityBlock)) {
        const groupsTarget = launch.uses.some(({ resource }) => resource.get('CapacityReservationSpecification', 'CapacityReservationTarget') !== undefined);
        if (reservationTarget(launch) === undefined && !groupsTarget) {
          yield found(launch.template, launchProperty('CapacityReservationSpecification'), undefined, 'the launch template asks for a Capacity Block, but names none');
        }
      }
    },
  },
  {
    id: 'CapacityBlockMarketTypeMissing',
    family: FAMILY,
    severity: 'warning',
    title: 'A launch into a Capacity Block has market type "capacity-block"',
    why: 'EC2 lists no On-Demand price for the instance type, so the reservation is most likely a Capacity Block, '
      + 'and the launch fails with "The market type (purchasing) option is not valid"',
    mend: 'set InstanceMarketOptions.MarketType to "capacity-block"',
    source: AUTO_SCALING_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const target = reservationTarget(launch);
        const onDemandReservation = target instanceof Link && target.resource.type === 'AWS::EC2::CapacityReservation';
        const noOnDemand = launch.instanceTypes.length > 0 && launch.instanceTypes.every((type) => instanceFacts(type)?.hasOnDemand === false);
        if (target !== undefined && !onDemandReservation && noOnDemand && launchData(launch, 'InstanceMarketOptions', 'MarketType') === undefined) {
          yield found(launch.template, launchProperty('InstanceMarketOptions'), undefined, 'the launch template targets a reservation, but has no market type');
        }
      }
    },
  },
  {
    id: 'MarketTypeUnknown',
    family: FAMILY,
    severity: 'error',
    title: `MarketType of a launch template is ${MARKET_TYPES.join(', ')}`,
    why: 'CreateLaunchTemplate is refused',
    mend: `use ${MARKET_TYPES.map((type) => JSON.stringify(type)).join(' or ')}; for On-Demand drop InstanceMarketOptions`,
    source: 'https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-ec2-launchtemplate-instancemarketoptions.html',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const type = launchData(launch, 'InstanceMarketOptions', 'MarketType');
        if (typeof type === 'string' && !MARKET_TYPES.includes(type)) {
          yield found(launch.template, launchProperty('InstanceMarketOptions', 'MarketType'), type, 'a launch template has no such market type');
        }
      }
    },
  },
  {
    id: 'CapacityBlockMixedInstances',
    family: FAMILY,
    severity: 'error',
    title: 'A group on a Capacity Block has no mixed instances policy',
    why: 'CreateAutoScalingGroup is refused: a mixed instances policy takes no launch template with a market type',
    mend: 'name the launch template in LaunchTemplate instead of MixedInstancesPolicy',
    source: AUTO_SCALING_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph).filter(isCapacityBlock)) {
        for (const { resource } of launch.uses) {
          if (resource.get('MixedInstancesPolicy') !== undefined) {
            yield found(resource, 'MixedInstancesPolicy', resource.get('MixedInstancesPolicy'), 'the group launches into a Capacity Block');
          }
        }
      }
    },
  },
  {
    id: 'CapacityBlockWarmPool',
    family: FAMILY,
    severity: 'error',
    title: 'A group on a Capacity Block has no warm pool',
    why: 'Auto Scaling supports no warm pool for Capacity Blocks',
    mend: 'drop the warm pool',
    source: AUTO_SCALING_GUIDE,
    *check(graph) {
      const blocks = new Set(launchesOf(graph).filter(isCapacityBlock).flatMap(({ uses }) => uses.map(({ resource }) => resource)));
      for (const pool of graph.ofType('AWS::AutoScaling::WarmPool')) {
        const group = pool.get('AutoScalingGroupName');
        if (group instanceof Link && blocks.has(group.resource)) {
          yield found(pool, 'AutoScalingGroupName', group, 'the group launches into a Capacity Block');
        }
      }
    },
  },
  {
    id: 'CapacityBlockInstanceTypeMissing',
    family: FAMILY,
    severity: 'error',
    title: 'A launch template for a Capacity Block names the instance type',
    why: 'the launch is refused; a managed node group on a block takes the type from the launch template only',
    mend: 'set InstanceType of the launch template to the type of the Capacity Block',
    source: EKS_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph).filter(isCapacityBlock)) {
        const launched = launch.uses.some(({ kind }) => kind === 'AutoScalingGroup' || kind === 'Nodegroup');
        if (launched && launchData(launch, 'InstanceType') === undefined) {
          yield found(launch.template, launchProperty('InstanceType'), undefined, 'the launch template asks for a Capacity Block, but names no instance type');
        }
      }
    },
  },
  {
    id: 'NodegroupCapacityType',
    family: FAMILY,
    severity: 'error',
    title: 'A managed node group has capacity type CAPACITY_BLOCK if, and only if, its launch template asks for a Capacity Block',
    why: 'EKS rejects the node group',
    mend: 'set CapacityType to "CAPACITY_BLOCK" and InstanceMarketOptions.MarketType of the launch template to "capacity-block", or neither',
    source: EKS_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const market = launchData(launch, 'InstanceMarketOptions', 'MarketType');
        for (const { resource } of launch.uses.filter(({ kind }) => kind === 'Nodegroup')) {
          const capacity = resource.get('CapacityType');
          const unknown = [market, capacity].find((value) => value instanceof Unknown);
          if (unknown instanceof Unknown && (market === 'capacity-block' || capacity === 'CAPACITY_BLOCK')) {
            yield notChecked(resource, 'CapacityType', unknown);
          } else if (!unknown && (market === 'capacity-block') !== (capacity === 'CAPACITY_BLOCK')) {
            yield found(resource, 'CapacityType', capacity, market === 'capacity-block'
              ? 'the launch template asks for a Capacity Block' : 'the launch template does not ask for a Capacity Block');
          }
        }
      }
    },
  },
];
