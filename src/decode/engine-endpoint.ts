import { aws_ec2 as ec2, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { BedrockModel } from './bedrock-model';
import { KvConnector } from './kv-connector';

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
 * A pool of engines that speak OpenAI's API. They are reached at `url` or found with `discoverySrvName`.
 */
export interface OpenAiEndpointOptions {
  /** Name of the pool, unique within a service: up to 63 letters, digits, `-` and `_`. */
  readonly name: string;

  /**
   * What the engines do.
   *
   * @default EngineRole.AGGREGATED
   */
  readonly role?: EngineRole;

  /**
   * The name of the model in requests to the engines.
   *
   * @default - the name that the client used
   */
  readonly modelName?: string;

  /**
   * Base URL, without the path of an operation and without a trailing slash, such as `http://engine.example:8000`.
   *
   * @default - the engines are found with `discoverySrvName`
   */
  readonly url?: string;

  /**
   * DNS name whose SRV records list the engines with their ports.
   *
   * @default - the engines are reached at `url`
   */
  readonly discoverySrvName?: string;

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
   * How they give the KV cache on, or take it. Only pools with the same connector can be paired.
   *
   * @default - the engines neither give nor take a KV cache
   */
  readonly kvConnector?: KvConnector;

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
}

/**
 * Cerebras' inference API.
 */
export interface CerebrasEndpointOptions {
  /** Name among the engines of a service, unique: up to 63 letters, digits, `-` and `_`. */
  readonly name: string;

  /** Id of a model, such as `llama-3.3-70b`, or of a dedicated endpoint. */
  readonly modelName: string;

  /** Secret whose value is the API key. */
  readonly apiKeySecret: secretsmanager.ISecret;

  /**
   * Base URL, without a trailing slash.
   *
   * @default 'https://api.cerebras.ai'
   */
  readonly url?: string;

  /**
   * Longest answer, in tokens, to callers that set no limit: quotas count a request as its limit until it has ended.
   *
   * @default 8192
   */
  readonly defaultMaxTokens?: number;
}

/**
 * A model in Amazon Bedrock, in the region of the router's stack.
 */
export interface BedrockEndpointOptions {
  /** Name among the engines of a service, unique: up to 63 letters, digits, `-` and `_`. */
  readonly name: string;

  /** The model that is invoked; the router's tasks are allowed to. */
  readonly model: BedrockModel;

  /**
   * Base URL, without a trailing slash.
   *
   * @default - Bedrock's own endpoint of the region
   */
  readonly url?: string;
}

/**
 * How a router reaches a pool of engines. What is wrong with it, the router tells.
 */
export class EngineEndpoint {
  /**
   * Engines that speak OpenAI's API, such as those of vLLM and SGLang.
   *
   * @param options where they are, and what they do.
   */
  public static openai(options: OpenAiEndpointOptions): EngineEndpoint {
    return new EngineEndpoint(EngineProtocol.OPENAI, options);
  }

  /**
   * Cerebras' inference API, which reads prompts and writes tokens itself.
   *
   * @param options the model, and the key.
   */
  public static cerebras(options: CerebrasEndpointOptions): EngineEndpoint {
    return new EngineEndpoint(EngineProtocol.CEREBRAS, { ...options, url: options.url ?? 'https://api.cerebras.ai' });
  }

  /**
   * A model in Amazon Bedrock, which reads prompts and writes tokens itself.
   *
   * @param options the model.
   */
  public static bedrock(options: BedrockEndpointOptions): EngineEndpoint {
    const { name, model, url } = options;
    return new EngineEndpoint(EngineProtocol.BEDROCK, { name, url, modelName: model.invocationId }, model);
  }

  /** Name of the pool. */
  public readonly name: string;

  /** What the engines do. */
  public readonly role: EngineRole;

  /** The protocol that they speak. */
  public readonly protocol: EngineProtocol;

  /** The name of the model in requests to the engines; undefined for the name that the client used. */
  public readonly modelName?: string;

  /** The model that is invoked in Bedrock; undefined of others. */
  public readonly bedrockModel?: BedrockModel;

  /** DNS name whose SRV records list the engines; undefined if they are reached at `url`. */
  public readonly discoverySrvName?: string;

  /** Base URL; undefined if the engines are found with `discoverySrvName`, or at Bedrock's own endpoint. */
  public readonly url?: string;

  /** TCP port of the API; undefined for that of `url`. */
  public readonly port?: number;

  /** Secret whose value goes into the `authorization: Bearer` header. */
  public readonly apiKeySecret?: secretsmanager.ISecret;

  /** The engines' security groups, with the API's port as default port. */
  public readonly connections?: ec2.Connections;

  /** How they give the KV cache on, or take it. */
  public readonly kvConnector?: KvConnector;

  /** Tokens in a block of the KV cache. */
  public readonly kvBlockTokens?: number;

  /** Path of the Prometheus metrics at which the engines tell their load. */
  public readonly metricsPath?: string;

  /** Longest answer, in tokens, to callers that set no limit. */
  public readonly defaultMaxTokens?: number;

  private constructor(
    protocol: EngineProtocol, options: OpenAiEndpointOptions & Pick<CerebrasEndpointOptions, 'defaultMaxTokens'>, bedrockModel?: BedrockModel,
  ) {
    this.name = options.name;
    this.role = options.role ?? EngineRole.AGGREGATED;
    this.protocol = protocol;
    this.modelName = options.modelName;
    this.bedrockModel = bedrockModel;
    this.discoverySrvName = options.discoverySrvName;
    this.url = options.url;
    this.port = options.port;
    this.apiKeySecret = options.apiKeySecret;
    this.connections = options.connections;
    this.kvConnector = options.kvConnector;
    this.kvBlockTokens = options.kvBlockTokens;
    this.metricsPath = options.metricsPath;
    this.defaultMaxTokens = options.defaultMaxTokens;
  }
}
