import { Token, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { IEfaPlacementGroup } from '../network';
import { Problem, Problems } from '../problems';
import { urlProblems } from './endpoint-url';

/**
 * Attributes of a Cerebras CS-3 attachment.
 */
export interface Cs3AttachmentAttributes {
  /** Base URL of the attachment's OpenAI-compatible API, without a trailing slash. */
  readonly endpointUrl: string;

  /** Id of the VPC that the attachment has its EFA interfaces in. */
  readonly vpcId: string;

  /** Availability Zone of the attachment, a name such as `us-east-2b`. */
  readonly availabilityZone: string;

  /**
   * The attachment's security group.
   *
   * @default - no rule is added for traffic to the attachment
   */
  readonly securityGroup?: ec2.ISecurityGroup;
}

/**
 * CS-3 capacity that somebody has attached to a VPC: known by its attributes alone.
 *
 * No API to order, define or feed such an attachment is public, so nothing is deployed for it.
 */
export class Cs3Attachment {
  /**
   * An attachment that exists.
   *
   * Throws a `ProblemsError` (`EndpointUrl`) if the URL is none.
   */
  public static fromAttributes(attrs: Cs3AttachmentAttributes): Cs3Attachment {
    return new Cs3Attachment(attrs);
  }

  /** Base URL of the OpenAI-compatible API. */
  public readonly endpointUrl: string;

  /** Id of the VPC. */
  public readonly vpcId: string;

  /** Availability Zone. */
  public readonly availabilityZone: string;

  /**
   * The security group.
   *
   * @default - unknown
   */
  public readonly securityGroup?: ec2.ISecurityGroup;

  private constructor(attrs: Cs3AttachmentAttributes) {
    Problems.throwIfAny(urlProblems(attrs.endpointUrl, 'endpointUrl'));
    this.endpointUrl = attrs.endpointUrl;
    this.vpcId = attrs.vpcId;
    this.availabilityZone = attrs.availabilityZone;
    this.securityGroup = attrs.securityGroup;
  }

  /**
   * Why EFA traffic of the group cannot reach the attachment: it crosses neither VPCs nor Availability Zones.
   *
   * @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa.html
   * @internal
   */
  public _reachProblems(efa: IEfaPlacementGroup, path: string): Problem[] {
    const problems: Problem[] = [];
    if (comparable(this.vpcId, efa.vpc.vpcId) && this.vpcId !== efa.vpc.vpcId) {
      problems.push({
        rule: 'Cs3AttachmentVpc',
        path: `${path}.attachment.vpcId`,
        value: JSON.stringify(this.vpcId),
        message: `EFA traffic cannot leave its VPC, and the fleet is in ${efa.vpc.vpcId}`,
        mend: 'use the VPC of the attachment for the fleet',
      });
    }
    if (comparable(this.availabilityZone, efa.availabilityZone) && this.availabilityZone !== efa.availabilityZone) {
      problems.push({
        rule: 'Cs3AttachmentAvailabilityZone',
        path: `${path}.attachment.availabilityZone`,
        value: JSON.stringify(this.availabilityZone),
        message: `EFA traffic cannot leave its Availability Zone, and the fleet is in ${efa.availabilityZone}`,
        mend: 'launch the fleet in the Availability Zone of the attachment',
      });
    }
    return problems;
  }

  /**
   * What of the reach could not be checked, because one side is known at deployment only.
   *
   * @internal
   */
  public _unchecked(efa: IEfaPlacementGroup): string[] {
    return [
      ...(comparable(this.vpcId, efa.vpc.vpcId) ? [] : ['VPC']),
      ...(comparable(this.availabilityZone, efa.availabilityZone) ? [] : ['Availability Zone']),
    ];
  }
}

function comparable(one: string, other: string): boolean {
  return one === other || [one, other].every((value) => !Token.isUnresolved(value) && !LOOKUP_PENDING.test(value));
}

/** A VPC or zone that the CDK hands out until its lookup is answered. */
const LOOKUP_PENDING = /^(vpc-12345|dummy\d[a-z])$/;
