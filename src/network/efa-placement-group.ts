import { Annotations, IResource, Resource, Token, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { Problem, Problems } from '../problems';
import { InferenceRules } from '../validation';

/**
 * How the instances of an `EfaPlacementGroup` are placed within their Availability Zone.
 */
export class EfaPlacementStrategy {
  /**
   * Close together, in a cluster placement group, which is defined when the first launch template asks for it.
   */
  public static cluster(): EfaPlacementStrategy {
    return new EfaPlacementStrategy(true);
  }

  /**
   * Anywhere in the Availability Zone: EFA works, with a little more latency.
   */
  public static none(): EfaPlacementStrategy {
    return new EfaPlacementStrategy(false);
  }

  /** Whether instances share a cluster placement group. */
  public readonly usesPlacementGroup: boolean;

  private constructor(usesPlacementGroup: boolean) {
    this.usesPlacementGroup = usesPlacementGroup;
  }
}

/**
 * A place where instances reach each other over EFA: one VPC, one Availability Zone, one security group.
 */
export interface IEfaPlacementGroup extends IResource, ec2.IConnectable {
  /** The VPC: EFA traffic cannot leave it. */
  readonly vpc: ec2.IVpc;

  /** The Availability Zone: EFA traffic cannot leave it. */
  readonly availabilityZone: string;

  /** The subnets that instances are launched into, all in the Availability Zone. */
  readonly subnets: ec2.ISubnet[];

  /** The security group of every interface that carries EFA: it allows all traffic from itself and to itself. */
  readonly securityGroup: ec2.ISecurityGroup;

  /**
   * The cluster placement group, which is defined at the first call.
   *
   * @returns nothing if the instances are placed without one.
   */
  requirePlacementGroup(): ec2.IPlacementGroup | undefined;
}

/**
 * Properties of `EfaPlacementGroup`.
 */
export interface EfaPlacementGroupProps {
  /** The VPC. */
  readonly vpc: ec2.IVpc;

  /**
   * The Availability Zone. Give that of a Capacity Block or reservation.
   *
   * @default - that of `subnets`, else that of the VPC's first private subnet
   */
  readonly availabilityZone?: string;

  /**
   * The subnets to launch into. They have to be in one Availability Zone, and need a way out (NAT gateway or VPC endpoints): an instance with
   * several network interfaces gets no public IP address.
   *
   * @default - the VPC's private subnets in the Availability Zone
   */
  readonly subnets?: ec2.SubnetSelection;

  /**
   * How instances are placed.
   *
   * @default EfaPlacementStrategy.cluster()
   */
  readonly strategy?: EfaPlacementStrategy;
}

/**
 * Attributes of a place that exists already.
 */
export interface EfaPlacementGroupAttributes {
  /** The VPC. */
  readonly vpc: ec2.IVpc;

  /** The Availability Zone, a name such as `us-east-2b`. */
  readonly availabilityZone: string;

  /** The security group: it has to allow all traffic (protocol -1) from itself and to itself. */
  readonly securityGroup: ec2.ISecurityGroup;

  /**
   * The subnets to launch into, all in the Availability Zone.
   *
   * @default - the VPC's private subnets in the Availability Zone
   */
  readonly subnets?: ec2.SubnetSelection;

  /**
   * Name of the cluster placement group.
   *
   * @default - instances are placed without one
   */
  readonly placementGroupName?: string;
}

/** A zone that the CDK hands out until its lookup is answered. */
const LOOKUP_PENDING = /^dummy\d[a-z]$/;

abstract class EfaPlacementGroupBase extends Resource implements IEfaPlacementGroup {
  public abstract readonly vpc: ec2.IVpc;
  public abstract readonly availabilityZone: string;
  public abstract readonly subnets: ec2.ISubnet[];
  public abstract readonly securityGroup: ec2.ISecurityGroup;

  public get connections(): ec2.Connections {
    return this.securityGroup.connections;
  }

  public abstract requirePlacementGroup(): ec2.IPlacementGroup | undefined;
}

/**
 * A place where instances reach each other over EFA: subnets of one Availability Zone in one VPC, a security group that allows all traffic within
 * itself, and, where a launch template asks for it, a cluster placement group.
 *
 * Throws a `ProblemsError` if the subnets are in several Availability Zones (`EfaAvailabilityZones`) or public (`EfaSubnetsPublic`), or if there
 * is none in the zone asked for (`EfaSubnetsMissing`). An Availability Zone that is a token is compared with those of the VPC, and taken as given otherwise.
 *
 * @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa.html
 * @resource AWS::EC2::PlacementGroup
 */
export class EfaPlacementGroup extends EfaPlacementGroupBase {
  /**
   * Imports a place that exists already.
   *
   * Throws a `ProblemsError` as the constructor does.
   */
  public static fromEfaPlacementGroupAttributes(scope: Construct, id: string, attrs: EfaPlacementGroupAttributes): IEfaPlacementGroup {
    class Import extends EfaPlacementGroupBase {
      public readonly vpc = attrs.vpc;
      public readonly securityGroup = attrs.securityGroup;
      public readonly availabilityZone = attrs.availabilityZone;
      public readonly subnets = placed(attrs, `${scope.node.path}/${id}`).subnets;
      private readonly placementGroup = attrs.placementGroupName === undefined
        ? undefined
        : ec2.PlacementGroup.fromPlacementGroupName(this, 'PlacementGroup', attrs.placementGroupName);

      public requirePlacementGroup(): ec2.IPlacementGroup | undefined {
        return this.placementGroup;
      }
    }
    return new Import(scope, id);
  }

  public readonly vpc: ec2.IVpc;
  public readonly availabilityZone: string;
  public readonly subnets: ec2.ISubnet[];
  public readonly securityGroup: ec2.ISecurityGroup;
  private readonly strategy: EfaPlacementStrategy;
  private placementGroup?: ec2.IPlacementGroup;

  constructor(scope: Construct, id: string, props: EfaPlacementGroupProps) {
    super(scope, id);
    this.vpc = props.vpc;
    this.strategy = props.strategy ?? EfaPlacementStrategy.cluster();
    const { availabilityZone, subnets } = placed(props, this.node.path);
    this.availabilityZone = availabilityZone;
    this.subnets = subnets;

    const securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc: props.vpc,
      description: 'EFA: all traffic within this security group',
      // with allowAllOutbound the egress rule to itself, which EFA needs, would be left out of the template.
      allowAllOutbound: false,
    });
    // EFA needs a rule for all protocols from and to the group itself, and no narrower one counts:
    // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start.html#efa-start-security
    securityGroup.addIngressRule(securityGroup, ec2.Port.allTraffic(), 'EFA from this security group');
    securityGroup.addEgressRule(securityGroup, ec2.Port.allTraffic(), 'EFA to this security group');
    this.securityGroup = securityGroup;
    if (subnets.some((subnet) => props.vpc.isolatedSubnets.includes(subnet))) {
      Annotations.of(this).addWarningV2('cdk-disaggregated-inference:EfaSubnetsIsolated',
        'instances in isolated subnets join no cluster and pull no image by themselves '
        + '(launch into subnets with a NAT gateway, or define VPC endpoints for ecs, ecs-agent, ecs-telemetry, ecr.api, ecr.dkr, logs and s3, keep public images in a private repository, and acknowledge this)');
    }
    InferenceRules.checkOnSynth(this);
  }

  public requirePlacementGroup(): ec2.IPlacementGroup | undefined {
    if (this.strategy.usesPlacementGroup && this.placementGroup === undefined) {
      this.placementGroup = new ec2.PlacementGroup(this, 'PlacementGroup', { strategy: ec2.PlacementGroupStrategy.CLUSTER });
    }
    return this.placementGroup;
  }
}

interface Place {
  readonly availabilityZone: string;
  readonly subnets: ec2.ISubnet[];
}

function placed(props: EfaPlacementGroupProps, path: string): Place {
  const { vpc } = props;
  const candidates = vpc.selectSubnets(props.subnets).subnets;
  const availabilityZone = props.availabilityZone ?? candidates[0]?.availabilityZone;
  if (candidates.some((subnet) => LOOKUP_PENDING.test(subnet.availabilityZone))) {
    // the VPC or its zones are being looked up: this pass only has to get as far as saying so.
    return { availabilityZone, subnets: candidates.slice(0, 1) };
  }
  // without a selection the zone chooses among the private subnets; with one, every subnet has to fit.
  const subnets = props.subnets === undefined
    ? candidates.filter((subnet) => subnet.availabilityZone === availabilityZone)
    : candidates;
  const problems: Problem[] = [];
  if (subnets.length === 0) {
    const zones = [...new Set(candidates.map((subnet) => subnet.availabilityZone))];
    const unknown = zones.length === 0 || zones.some((zone) => Token.isUnresolved(zone));
    problems.push({
      rule: 'EfaSubnetsMissing',
      path,
      value: Token.isUnresolved(availabilityZone) ? undefined : JSON.stringify(availabilityZone),
      message: 'the VPC has no private subnet that is known to be in this Availability Zone',
      mend: unknown
        ? 'give the Vpc availabilityZones, or pass the subnets to launch into'
        : `use one of ${zones.join(', ')}, or pass the subnets to launch into`,
    });
  }
  const outside = subnets.filter((subnet) => differ(vpc, subnet.availabilityZone, availabilityZone));
  if (outside.length > 0) {
    problems.push({
      rule: 'EfaAvailabilityZones',
      path,
      value: JSON.stringify(outside.map((subnet) => Token.isUnresolved(subnet.availabilityZone) ? subnet.node.path : subnet.availabilityZone)),
      message: 'EFA traffic cannot cross Availability Zones, and these subnets are in another one than the first',
      mend: 'select the subnets of one Availability Zone, for example with { availabilityZones: [vpc.availabilityZones[0]] }',
    });
  }
  const open = subnets.filter((subnet) => vpc.publicSubnets.includes(subnet));
  if (open.length > 0) {
    problems.push({
      rule: 'EfaSubnetsPublic',
      path,
      value: JSON.stringify(open.map((subnet) => subnet.node.path)),
      message: 'instances with several network interfaces get no public IP address, so they reach nothing from a public subnet',
      mend: 'launch into private subnets with a NAT gateway or VPC endpoints',
    });
  }
  Problems.throwIfAny(problems);
  return { availabilityZone, subnets };
}

/**
 * Whether two zones are known to differ: both are names, or both are entries of the VPC's own list, which names each zone once.
 */
function differ(vpc: ec2.IVpc, one: string, other: string): boolean {
  const known = [one, other].every((zone) => !Token.isUnresolved(zone)) || [one, other].every((zone) => vpc.availabilityZones.includes(zone));
  return known && one !== other;
}
