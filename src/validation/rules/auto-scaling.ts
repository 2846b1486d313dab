import { Link, Resource, Unknown, Value, asInteger, isTrue, linked } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import { largestSizeOf } from '../views/group-sizes';
import { reservedLaunchesOf } from '../views/reserved-launches';

const FAMILY = 'auto-scaling';
const GROUP_TYPE = 'AWS::AutoScaling::AutoScalingGroup';
const PROVIDER_TYPE = 'AWS::ECS::CapacityProvider';
const PROVIDER = 'AutoScalingGroupProvider';

/** Sizes of a group or a scheduled action, none above the next. */
const SIZES = ['MinSize', 'DesiredCapacity', 'MaxSize'];

export const AUTO_SCALING_RULES: Rule[] = [
  {
    id: 'GroupDesiredCapacityOutOfRange',
    family: FAMILY,
    severity: 'error',
    title: 'DesiredCapacity of an Auto Scaling group is between MinSize and MaxSize',
    why: 'the group is refused: "Desired capacity must be between the specified min size and max size"',
    mend: 'set DesiredCapacity to a number from MinSize to MaxSize, or drop it',
    source: 'npm:cdk-preflight@0.0.143 docs/rules.md (pf-asg-desired-capacity-range)',
    *check(graph) {
      for (const group of graph.ofType(GROUP_TYPE)) {
        const [min, desired, max] = sizesOf(group);
        // a minimum above the maximum is another mistake, which other checks find.
        if (desired !== undefined && !(min !== undefined && max !== undefined && min > max) && (desired < (min ?? 0) || desired > (max ?? desired))) {
          yield found(group, 'DesiredCapacity', desired, desired < (min ?? 0) ? `the desired capacity is below MinSize, ${min ?? 0}` : `the desired capacity is above MaxSize, ${max}`);
        }
      }
    },
  },
  {
    id: 'ScheduledActionSizes',
    family: FAMILY,
    severity: 'error',
    title: 'MinSize of a scheduled action is not above its DesiredCapacity, nor that above its MaxSize',
    why: 'PutScheduledUpdateGroupAction is refused',
    mend: 'set MinSize no greater than DesiredCapacity, and DesiredCapacity no greater than MaxSize',
    source: 'npm:cdk-preflight@0.0.143 docs/rules.md (pf-asg-sched-capacity-fields-ordering)',
    *check(graph) {
      for (const action of graph.ofType('AWS::AutoScaling::ScheduledAction')) {
        const sizes = SIZES.map((name) => ({ name, size: asInteger(action.get(name))! })).filter(({ size }) => size !== undefined);
        const at = sizes.findIndex(({ size }, index) => index > 0 && sizes[index - 1].size > size);
        if (at > 0) {
          yield found(action, sizes[at].name, sizes[at].size, `the size is below ${sizes[at - 1].name}, ${sizes[at - 1].size}`);
        }
      }
    },
  },
  {
    id: 'ScheduledActionEndsBeforeStart',
    family: FAMILY,
    severity: 'error',
    title: 'A scheduled action ends after it starts',
    why: 'PutScheduledUpdateGroupAction is refused',
    mend: 'set EndTime later than StartTime, or drop it',
    source: 'npm:cdk-preflight@0.0.143 docs/rules.md (pf-asg-sched-endtime-not-before-starttime)',
    *check(graph) {
      for (const action of graph.ofType('AWS::AutoScaling::ScheduledAction')) {
        const [start, end] = [instantOf(action.get('StartTime')), instantOf(action.get('EndTime'))];
        if (start !== undefined && end !== undefined && end < start) {
          yield found(action, 'EndTime', action.get('EndTime'), `the action ends before it starts, at ${String(action.get('StartTime'))}`);
        }
      }
    },
  },
  {
    id: 'MaintenancePolicyWithoutHeadroom',
    family: FAMILY,
    severity: 'warning',
    title: 'A group that fills its Capacity Reservation replaces instances by terminating them first',
    why: 'with MinHealthyPercentage 100 an instance is replaced only after another has launched, for which a full reservation has no room: '
      + 'instance refreshes and replacements never finish',
    mend: 'set InstanceMaintenancePolicy to a MinHealthyPercentage below 100 and a MaxHealthyPercentage of 100, or reserve an instance more',
    source: 'https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-maintenance-policy-overview-and-considerations.html',
    *check(graph) {
      for (const { uses, reservation } of reservedLaunchesOf(graph)) {
        const count = asInteger(reservation.get('InstanceCount'));
        for (const { resource } of uses.filter((use) => use.kind === 'AutoScalingGroup' && largestSizeOf(use, graph)?.instances === count)) {
          const healthy = resource.get('InstanceMaintenancePolicy', 'MinHealthyPercentage');
          if (asInteger(healthy) === 100) {
            yield found(resource, 'InstanceMaintenancePolicy.MinHealthyPercentage', healthy,
              `the group may grow to all ${count} instances of the reservation ${reservation.logicalId}`);
          }
        }
      }
    },
  },
  {
    id: 'ManagedTerminationProtection',
    family: FAMILY,
    severity: 'error',
    title: 'Managed termination protection of a capacity provider has managed scaling, and a group that protects new instances from scale-in',
    why: 'the capacity provider is refused, "To enable managed termination protection for a capacity provider, the Auto Scaling group must have '
      + 'instance protection from scale in enabled"; without managed scaling the protection does not work',
    mend: 'set NewInstancesProtectedFromScaleIn of the group to true and ManagedScaling.Status to "ENABLED", or ManagedTerminationProtection to "DISABLED"',
    source: 'https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_AutoScalingGroupProvider.html',
    *check(graph) {
      for (const provider of graph.ofType(PROVIDER_TYPE)) {
        if (provider.get(PROVIDER, 'ManagedTerminationProtection') !== 'ENABLED') {
          continue;
        }
        const group = provider.get(PROVIDER, 'AutoScalingGroupArn');
        const known = linked(group, GROUP_TYPE);
        const isProtected = known?.get('NewInstancesProtectedFromScaleIn');
        if (known && isProtected instanceof Unknown) {
          yield notChecked(known, 'NewInstancesProtectedFromScaleIn', isProtected);
        } else if (known && !isTrue(isProtected)) {
          yield found(known, 'NewInstancesProtectedFromScaleIn', isProtected, `the capacity provider ${provider.logicalId} manages termination protection`);
        }
        const status = provider.get(PROVIDER, 'ManagedScaling', 'Status');
        if (status === 'DISABLED') {
          yield found(provider, `${PROVIDER}.ManagedScaling.Status`, status, 'the capacity provider manages termination protection');
        }
      }
    },
  },
  {
    id: 'CapacityProviderGroupShared',
    family: FAMILY,
    severity: 'error',
    title: 'An Auto Scaling group has one capacity provider',
    why: 'the second is refused: "The specified Auto Scaling group ARN is already being used by another capacity provider"',
    mend: 'give each capacity provider an Auto Scaling group of its own',
    source: 'https://github.com/aws/containers-roadmap/issues/632',
    *check(graph) {
      const owners = new Map<Resource | string, Resource>();
      for (const provider of graph.ofType(PROVIDER_TYPE)) {
        const group = provider.get(PROVIDER, 'AutoScalingGroupArn');
        const key = group instanceof Link ? group.resource : typeof group === 'string' ? `${provider.place} ${group}` : undefined;
        const owner = key === undefined ? undefined : owners.get(key);
        if (owner) {
          yield found(provider, `${PROVIDER}.AutoScalingGroupArn`, group, `it is the group of the capacity provider ${owner.logicalId}`);
        } else if (key !== undefined) {
          owners.set(key, provider);
        }
      }
    },
  },
];

/** MinSize, DesiredCapacity and MaxSize; undefined where they are not known. */
function sizesOf(resource: Resource): (number | undefined)[] {
  return SIZES.map((name) => asInteger(resource.get(name)));
}

function instantOf(value: Value | undefined): number | undefined {
  const instant = typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : NaN;
  return Number.isNaN(instant) ? undefined : instant;
}
