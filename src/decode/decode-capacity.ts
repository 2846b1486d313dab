import { aws_iam as iam } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { DecodeSpec } from '../estimator';
import { EngineEndpoint } from './engine-endpoint';

/**
 * Something that answers inference requests, and that a router can be pointed at.
 */
export interface IInferenceTarget extends IConstruct {
  /** How a router reaches it. */
  readonly endpoint: EngineEndpoint;

  /**
   * Gives the permissions that a call needs: to read the API key, or to invoke the model. Where the network alone decides, nothing is granted.
   *
   * @param grantee who calls, usually the router's task role.
   */
  grantInvoke(grantee: iam.IGrantable): iam.Grant;
}

/**
 * Capacity that writes tokens, and that can be estimated.
 */
export interface IDecodeCapacity extends IInferenceTarget {
  /** The capacity, as the estimator reads it. */
  readonly decodeSpec: DecodeSpec;
}
