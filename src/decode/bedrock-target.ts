import { aws_iam as iam } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { BedrockModel } from './bedrock-model';
import { IInferenceTarget } from './decode-capacity';
import { EngineEndpoint } from './engine-endpoint';

/**
 * Properties of `BedrockTarget`.
 */
export interface BedrockTargetProps {
  /** The model. */
  readonly model: BedrockModel;
}

/**
 * A model in Amazon Bedrock: an aggregated target, and the usual fallback. Among a router's `engines` it answers where no other is up, not where
 * they are full.
 */
export class BedrockTarget extends Construct implements IInferenceTarget {
  public readonly endpoint: EngineEndpoint;
  private readonly model: BedrockModel;

  constructor(scope: Construct, id: string, props: BedrockTargetProps) {
    super(scope, id);
    this.model = props.model;
    this.endpoint = EngineEndpoint.bedrock({ name: this.node.id, model: props.model });
  }

  /**
   * Grants `bedrock:InvokeModel`, `bedrock:InvokeModelWithResponseStream` and `bedrock:CountTokens` on the model, or on the profile and, through it alone, on the
   * foundation model in each destination region.
   */
  public grantInvoke(grantee: iam.IGrantable): iam.Grant {
    return this.model._grantInvoke(this, grantee);
  }
}
