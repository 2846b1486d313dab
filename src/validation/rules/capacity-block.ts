import { Link, Unknown, Value, linked } from '../graph/template-graph';
import { Rule, found } from '../rule';
import { largestSizeOf } from '../views/group-sizes';
import { instanceFacts } from '../views/instance-facts';
import { Launch, isCapacityBlock, launchData, launchProperty, launchesOf, reservationTarget, typesOfUse, zonesOfUse } from '../views/launches';
import { MARKETS, purchaseOf } from '../views/purchases';
import { severalZones } from '../views/zones';

const FAMILY = 'capacity-block';
const AUTO_SCALING_GUIDE = 'https://docs.aws.amazon.com/autoscaling/ec2/userguide/capacity-reservation-create-asg-procedure.html';
const EKS_GUIDE = 'https://docs.aws.amazon.com/eks/latest/userguide/capacity-blocks-mng.html';
/** Market types that launch into a reservation which the launch template targets. */
const RESERVED_MARKETS: readonly (Value | undefined)[] = ['capacity-block', 'interruptible-capacity-reservation'];
/** Instances of one Capacity Block at most. */
const BLOCK_INSTANCES = 64;

export const CAPACITY_BLOCK_RULES: Rule[] = [
  {
    id: 'CapacityBlockWithoutTarget',
    family: FAMILY,
    severity: 'error',
    title: 'A launch template with market type "capacity-block" names the Capacity Block',
    why: 'no instance launches: a Capacity Block is used only by launches that name it',
    mend: 'set CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId to the id of the Capacity Block, cr-…',
    source: AUTO_SCALING_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph).filter(isCapacityBlock)) {
        const groupsTarget = launch.uses.some(({ resource }) => resource.get('CapacityReservationSpecification', 'CapacityReservationTarget') !== undefined);
        if (reservationTarget(launch) === undefined && !groupsTarget) {
          yield found(launch.template, launchProperty(launch, 'CapacityReservationSpecification'), undefined, 'the launch template asks for a Capacity Block, but names none');
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
    source: 'https://github.com/terraform-aws-modules/terraform-aws-ec2-instance/pull/404',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const target = reservationTarget(launch);
        const onDemandReservation = linked(target, 'AWS::EC2::CapacityReservation') !== undefined;
        const noOnDemand = launch.instanceTypes.length > 0 && launch.instanceTypes.every((type) => instanceFacts(type)?.hasOnDemand === false);
        if (target !== undefined && !onDemandReservation && noOnDemand && launchData(launch, 'InstanceMarketOptions', 'MarketType') === undefined) {
          yield found(launch.template, launchProperty(launch, 'InstanceMarketOptions'), undefined, 'the launch template targets a reservation, but has no market type');
        }
      }
    },
  },
  {
    id: 'MarketTypeUnknown',
    family: FAMILY,
    severity: 'error',
    title: 'MarketType of a launch template is "spot", "capacity-block" or "interruptible-capacity-reservation"',
    why: 'CreateLaunchTemplate is refused',
    mend: 'use "spot", "capacity-block" or "interruptible-capacity-reservation", or drop InstanceMarketOptions for On-Demand',
    source: 'https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-ec2-launchtemplate-instancemarketoptions.html',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const type = launchData(launch, 'InstanceMarketOptions', 'MarketType');
        if (typeof type === 'string' && !MARKETS.includes(type)) {
          yield found(launch.template, launchProperty(launch, 'InstanceMarketOptions', 'MarketType'), type, 'a launch template has no such market type');
        }
      }
    },
  },
  {
    id: 'CapacityBlockMixedInstances',
    family: FAMILY,
    severity: 'error',
    title: 'A launch template with a Capacity Block, or an interruptible reservation, is in no mixed instances policy',
    why: 'Auto Scaling does not support a mixed instances policy with a launch template that targets such a reservation',
    mend: 'name the launch template in LaunchTemplate instead of MixedInstancesPolicy, or target the reservation with DistributionSegments of the policy',
    source: AUTO_SCALING_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph).filter(isReservedMarket)) {
        for (const { resource } of launch.uses) {
          const policy = resource.get('MixedInstancesPolicy');
          if (policy !== undefined && !(policy instanceof Unknown)) {
            yield found(resource, 'MixedInstancesPolicy', policy, `the launch template ${launch.template.logicalId} targets a reservation`);
          }
        }
      }
    },
  },
  {
    id: 'CapacityBlockWarmPool',
    family: FAMILY,
    severity: 'error',
    title: 'A group on a Capacity Block, or an interruptible reservation, has no warm pool',
    why: 'Auto Scaling does not support a warm pool with a launch template that targets such a reservation',
    mend: 'drop the warm pool',
    source: AUTO_SCALING_GUIDE,
    *check(graph) {
      const reserved = new Set(launchesOf(graph).filter(isReservedMarket).flatMap(({ uses }) => uses.map(({ resource }) => resource)));
      for (const pool of graph.ofType('AWS::AutoScaling::WarmPool')) {
        const group = pool.get('AutoScalingGroupName');
        if (group instanceof Link && reserved.has(group.resource)) {
          yield found(pool, 'AutoScalingGroupName', group, `the group ${group.resource.logicalId} launches into a reservation`);
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
          yield found(launch.template, launchProperty(launch, 'InstanceType'), undefined, 'the launch template asks for a Capacity Block, but names no instance type');
        }
      }
    },
  },
  {
    id: 'CapacityBlockSpansZones',
    family: FAMILY,
    severity: 'warning',
    title: 'A group on a Capacity Block launches in the zone of the block only',
    why: 'a block is in one Availability Zone, and launches in another fail',
    mend: 'give the group subnets of the Availability Zone of the block only',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-launch.html',
    *check(graph) {
      // of EFA instances in several zones the topology rules speak.
      const launches = launchesOf(graph).filter((launch) => isCapacityBlock(launch) && launch.unknownInterfaces === undefined
        && !launch.interfaces.some(({ isEfa, type }) => isEfa || type instanceof Unknown));
      for (const launch of launches) {
        for (const use of launch.uses) {
          const zones = zonesOfUse(use);
          if (severalZones(zones)) {
            yield found(use.resource, use.subnetsProperty, zones, 'the group launches into one Capacity Block, but in several Availability Zones');
          }
        }
      }
    },
  },
  {
    id: 'CapacityBlockTooLarge',
    family: FAMILY,
    severity: 'warning',
    title: `A group on one Capacity Block has ${BLOCK_INSTANCES} instances at most`,
    why: `a Capacity Block is of ${BLOCK_INSTANCES} instances at most, and launches beyond it fail for want of capacity`,
    mend: 'lower the maximum size of the group, and use another group with another block for the rest',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-how.html',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(isCapacityBlock)) {
        const oneBlock = launchData(launch, 'CapacityReservationSpecification', 'CapacityReservationTarget', 'CapacityReservationId') !== undefined;
        for (const use of launch.uses) {
          const size = largestSizeOf(use, graph);
          if (oneBlock && size && size.instances > BLOCK_INSTANCES && use.resource.get('CapacityReservationSpecification') === undefined) {
            yield found(size.resource, size.property, size.instances, `the group launches into one Capacity Block, of ${BLOCK_INSTANCES} instances at most`);
          }
        }
      }
    },
  },
  {
    id: 'Trainium2WithoutCapacity',
    family: FAMILY,
    severity: 'warning',
    title: 'Trainium2 is launched from a Capacity Block, or on Spot where the type has it',
    why: 'AWS lists no On-Demand price for trn2, and no Spot for trn2u; such launches are reported to fail with InsufficientInstanceCapacity in every zone',
    mend: 'buy a Capacity Block, set InstanceMarketOptions.MarketType to "capacity-block" and target the block in CapacityReservationSpecification; or use Spot for trn2',
    source: 'https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        for (const use of launch.uses) {
          const type = typesOfUse(launch, use).find((candidate) => typeof candidate === 'string' && candidate.startsWith('trn2'));
          const purchase = purchaseOf(launch, use);
          const offered = instanceFacts(type ?? '')?.purchaseOptions;
          if (type !== undefined && offered && (purchase === 'on-demand' || purchase === 'spot') && !offered.includes(purchase)) {
            yield found(launch.template, launchProperty(launch, 'InstanceMarketOptions'), launchData(launch, 'InstanceMarketOptions'),
              `${use.resource.logicalId} launches ${type} ${purchase === 'spot' ? 'on Spot' : 'On-Demand'}`);
            break;
          }
        }
      }
    },
  },
];

function isReservedMarket(launch: Launch): boolean {
  return RESERVED_MARKETS.includes(launchData(launch, 'InstanceMarketOptions', 'MarketType'));
}
