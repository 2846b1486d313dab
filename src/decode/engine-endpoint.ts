import { aws_ec2 as ec2, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { BedrockModel } from './bedrock-model';

/**
 * What an engine does with a request.
 */
export enum EngineRole {
  /** Reads prompts, and hands the KV cache on. */
  PREFILL = 'prefill',

  /** Writes tokens from a KV cache that it is handed. */
  DECODE = 'decode',

  /** Reads the prompt and writes the tokens. */
  AGGREGATED = 'aggregated',
}

/**
 * The protocol that an engine speaks.
 */
export enum EngineProtocol {
  /** OpenAI's HTTP API: `/v1/chat/completions`, `/v1/completions`. */
  OPENAI = 'openai',

  /** Cerebras' inference API: OpenAI's, with quotas that count a request as the longest answer that it allows. */
  CEREBRAS = 'cerebras',

  /** Amazon Bedrock Runtime, called with the credentials of the router's tasks. */
  BEDROCK = 'bedrock',
}

/**
 * How a router reaches a pool of engines.
 */
export interface EngineEndpoint {
  /** Name of the pool, unique within a service. */
  readonly name: string;

  /** What the engines do. */
  readonly role: EngineRole;

  /** The protocol that they speak. */
  readonly protocol: EngineProtocol;

  /**
   * The name of the model in requests to the engines.
   *
   * @default - the name that the client used
   */
  readonly modelName?: string;

  /**
   * The model that is invoked in Bedrock, in the region of the router's stack; the router's tasks are allowed to. Refused with other protocols than `BEDROCK`.
   *
   * @default - the engines are not Bedrock
   */
  readonly bedrockModel?: BedrockModel;

  /**
   * DNS name whose SRV records list the engines with their ports.
   *
   * @default - the engines are reached at `url`
   */
  readonly discoverySrvName?: string;

  /**
   * Base URL, without the path of an operation and without a trailing slash, such as `https://api.cerebras.ai`.
   *
   * @default - the engines are found with `discoverySrvName`, or Bedrock's own endpoint of the region
   */
  readonly url?: string;

  /**
   * TCP port of the API.
   *
   * @default - the port of `url`
   */
  readonly port?: number;

  /**
   * Secret whose value goes into the `authorization: Bearer` header.
   *
   * @default - no key
   */
  readonly apiKeySecret?: secretsmanager.ISecret;

  /**
   * The engines' security groups, with the API's port as default port.
   *
   * @default - outside the VPC, or nothing is known of them
   */
  readonly connections?: ec2.Connections;

  /**
   * vLLM KV connector that takes or gives the KV cache: `NixlConnector`, `NixlPullConnector`, `NixlPushConnector`, `NeuronNixlConnector`, or
   * `MooncakeConnector` with bootstrap port 8998; `sglang` for engines of SGLang with bootstrap port 8998. Only pools with the same one can be paired.
   *
   * @default - the engines neither give nor take a KV cache
   */
  readonly kvConnector?: string;

  /**
   * Tokens in a block of the KV cache. With it, a router hands no KV cache on that has fewer blocks than its tokens fill, of which decode engines of vLLM die.
   *
   * @default - the lengths of KV caches are not checked
   */
  readonly kvBlockTokens?: number;

  /**
   * Path of the Prometheus metrics at which engines of vLLM or SGLang tell their load, so that a router knows what others than itself ask of them.
   *
   * @default - each engine is taken to have no requests but the router's own
   */
  readonly metricsPath?: string;

  /**
   * Longest answer, in tokens, to callers that set no limit. Refused with other protocols than `CEREBRAS`, whose quotas count a request as its limit until it has ended.
   *
   * @default 8192
   */
  readonly defaultMaxTokens?: number;
}
