import { Annotations, Token, aws_ec2 as ec2, aws_iam as iam, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { DecodeSpec } from '../estimator';
import { WaferScaleSystem } from '../hardware';
import { IEfaPlacementGroup } from '../network';
import { Problem, Problems } from '../problems';
import { Cs3Attachment } from './cs3-attachment';
import { IDecodeCapacity } from './decode-capacity';
import { EngineEndpoint, EngineRole } from './engine-endpoint';

/**
 * CS-3 capacity: where it is attached, and what is contracted or measured of it.
 */
export interface Cs3CapacityOptions {
  /** Where the capacity is attached. */
  readonly attachment: Cs3Attachment;

  /**
   * The wafer-scale system.
   *
   * @default WaferScaleSystem.CS3
   */
  readonly system?: WaferScaleSystem;

  /**
   * Replicas of the model.
   *
   * @default - planned: the fewest that hold the objective
   */
  readonly replicas?: number;

  /**
   * Wafers that one replica is laid over.
   *
   * @default - as many as weights and KV cache need
   */
  readonly wafersPerReplica?: number;

  /**
   * Sequences that one replica decodes at once.
   *
   * @default - the estimator's
   */
  readonly maxConcurrentSequences?: number;

  /**
   * Speed of one stream on an otherwise idle replica, in tokens per second, as measured or contracted.
   *
   * @default - the estimator's latency-per-layer model
   */
  readonly outputTokensPerSecondPerUser?: number;

  /**
   * Contracted price of one replica, in USD per hour. No price is public.
   *
   * @default - unknown: no cost is estimated
   */
  readonly usdPerReplicaHour?: number;

  /**
   * The model's name in requests to the attachment.
   *
   * @default - the name that the client used
   */
  readonly modelName?: string;

  /**
   * Secret with the API key of the attachment.
   *
   * @default - no key
   */
  readonly apiKey?: secretsmanager.ISecret;
}

/**
 * Properties of `Cs3DecodeCapacity`.
 */
export interface Cs3DecodeCapacityProps extends Cs3CapacityOptions {
  /** Where the prefill fleet runs: the attachment has to be in the same VPC and Availability Zone. */
  readonly efa: IEfaPlacementGroup;
}

/**
 * Decode on Cerebras CS-3, **modelled**: it is estimated and addressed, and nothing is deployed for it.
 *
 * AWS and Cerebras announced Trainium prefill with CS-3 decode over EFA on 2026-03-13; no interface by which a CS-3 takes a KV cache is public.
 * So this construct claims none: its endpoint has no KV connector, and a router sends it whole prompts. Its `decodeSpec` lets the estimator
 * answer what the announced path would give.
 *
 * Throws a `ProblemsError` if the attachment is in another VPC (`Cs3AttachmentVpc`) or Availability Zone (`Cs3AttachmentAvailabilityZone`) than
 * the fleet, or if a count is not positive (`Cs3Count`). What is known at deployment only is not checked, and an INFO says so.
 */
export class Cs3DecodeCapacity extends Construct implements IDecodeCapacity {
  /**
   * The capacity, as the estimator reads it.
   *
   * @internal
   */
  public static _decodeSpec(options: Cs3CapacityOptions, path: string): DecodeSpec {
    return {
      hardware: (options.system ?? WaferScaleSystem.CS3).name,
      instances: options.replicas,
      wafersPerReplica: options.wafersPerReplica,
      maxConcurrentSequences: options.maxConcurrentSequences,
      outputTokensPerSecondPerUser: options.outputTokensPerSecondPerUser,
      usdPerInstanceHour: options.usdPerReplicaHour,
      priceSource: options.usdPerReplicaHour === undefined ? undefined : `given at ${path}`,
    };
  }

  public readonly decodeSpec: DecodeSpec;
  public readonly endpoint: EngineEndpoint;

  constructor(scope: Construct, id: string, props: Cs3DecodeCapacityProps) {
    super(scope, id);
    const { attachment } = props;
    Problems.throwIfAny([
      ...attachment._reachProblems(props.efa, this.node.path),
      ...cs3CountProblems(props, this.node.path),
    ]);
    this.decodeSpec = Cs3DecodeCapacity._decodeSpec(props, this.node.path);
    this.endpoint = EngineEndpoint.openai({
      name: this.node.id,
      role: EngineRole.DECODE,
      modelName: props.modelName,
      url: attachment.endpointUrl,
      apiKeySecret: props.apiKey,
      connections: attachment.securityGroup && new ec2.Connections({
        securityGroups: [attachment.securityGroup],
        defaultPort: portOf(attachment.endpointUrl),
      }),
    });

    const unchecked = attachment._unchecked(props.efa);
    Annotations.of(this).addInfoV2('cdk-disaggregated-inference:Cs3DecodeCapacity.modelled', [
      'CS-3 decode is modelled: it is estimated, nothing is deployed for it, and no KV cache is handed to it',
      ...(unchecked.length > 0 ? [`its ${unchecked.join(' and ')} could not be compared with the fleet's at synthesis`] : []),
    ].join('; '));
  }

  public grantInvoke(grantee: iam.IGrantable): iam.Grant {
    return this.endpoint.apiKeySecret?.grantRead(grantee) ?? iam.Grant.drop(grantee, 'the attachment takes no key');
  }
}

/** What is wrong with the counts of CS-3 capacity. */
export function cs3CountProblems(props: Cs3CapacityOptions, path: string): Problem[] {
  const counts: [string, number | undefined, boolean][] = [
    ['replicas', props.replicas, true],
    ['wafersPerReplica', props.wafersPerReplica, true],
    ['maxConcurrentSequences', props.maxConcurrentSequences, true],
    ['outputTokensPerSecondPerUser', props.outputTokensPerSecondPerUser, false],
    ['usdPerReplicaHour', props.usdPerReplicaHour, false],
  ];
  return counts.filter(([, value, whole]) => value !== undefined
    && (Token.isUnresolved(value) || !(value > 0) || !Number.isFinite(value) || (whole && !Number.isInteger(value))))
    .map(([name, value, whole]) => ({
      rule: 'Cs3Count',
      path: `${path}.${name}`,
      value: Token.isUnresolved(value) ? undefined : JSON.stringify(value),
      message: Token.isUnresolved(value) ? `${name} is a token, so nothing can be estimated with it` : `${name} has to be above 0`,
      mend: `use a ${whole ? 'whole number' : 'number'} above 0, or leave it out`,
    }));
}

function portOf(url: string): ec2.Port | undefined {
  if (Token.isUnresolved(url)) {
    return undefined;
  }
  const { port, protocol } = new URL(url);
  return ec2.Port.tcp(port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port));
}
