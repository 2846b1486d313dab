import { Token, aws_iam as iam, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { Problem, Problems } from '../problems';
import { IInferenceTarget } from './decode-capacity';
import { urlProblems } from './endpoint-url';
import { EngineEndpoint } from './engine-endpoint';

/**
 * Properties of `CerebrasCloudTarget`.
 */
export interface CerebrasCloudTargetProps {
  /** Secret with the API key. */
  readonly apiKey: secretsmanager.ISecret;

  /** Id of a model, such as `llama-3.3-70b`, or of a dedicated endpoint. */
  readonly modelId: string;

  /**
   * Base URL, without a trailing slash.
   *
   * @default 'https://api.cerebras.ai'
   */
  readonly baseUrl?: string;

  /**
   * Longest answer, in tokens, that the router asks for callers that set no limit.
   *
   * @default 8192
   */
  readonly defaultMaxTokens?: number;
}

/**
 * Cerebras' inference cloud: it reads the prompt and writes the tokens itself, so it is an aggregated target.
 *
 * Its quotas count a request as the longest answer that it allows until it has ended, so the router sets one for callers that set
 * none.
 *
 * Throws a `ProblemsError` if the URL is none (`EndpointUrl`), the model id is empty (`ModelIdEmpty`) or the longest answer is none (`MaxTokens`).
 *
 * @see https://inference-docs.cerebras.ai/
 */
export class CerebrasCloudTarget extends Construct implements IInferenceTarget {
  public readonly endpoint: EngineEndpoint;
  private readonly apiKey: secretsmanager.ISecret;

  constructor(scope: Construct, id: string, props: CerebrasCloudTargetProps) {
    super(scope, id);
    const empty: Problem = {
      rule: 'ModelIdEmpty', path: `${this.node.path}.modelId`, value: '""', message: 'the model id is empty', mend: 'name a model of your account',
    };
    const { defaultMaxTokens } = props;
    const isLength = defaultMaxTokens === undefined || Token.isUnresolved(defaultMaxTokens)
      || (Number.isInteger(defaultMaxTokens) && defaultMaxTokens >= 1);
    const none: Problem = {
      rule: 'MaxTokens',
      path: `${this.node.path}.defaultMaxTokens`,
      value: String(defaultMaxTokens),
      message: 'the longest answer is not a whole number of tokens above 0',
      mend: 'give a whole number from 1 on, or leave it out for the default',
    };
    Problems.throwIfAny([
      ...(props.baseUrl === undefined ? [] : urlProblems(props.baseUrl, `${this.node.path}.baseUrl`)),
      ...(props.modelId === '' ? [empty] : []),
      ...(isLength ? [] : [none]),
    ]);
    this.apiKey = props.apiKey;
    this.endpoint = EngineEndpoint.cerebras({
      name: this.node.id,
      modelName: props.modelId,
      url: props.baseUrl,
      apiKeySecret: props.apiKey,
      defaultMaxTokens,
    });
  }

  public grantInvoke(grantee: iam.IGrantable): iam.Grant {
    return this.apiKey.grantRead(grantee);
  }
}
