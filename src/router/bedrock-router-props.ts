import {
  Duration, RemovalPolicy, aws_ec2 as ec2, aws_ecs as ecs, aws_kms as kms, aws_logs as logs, aws_s3 as s3, aws_secretsmanager as secretsmanager,
} from 'aws-cdk-lib';
import { RouterBedrockRates } from './router-bedrock-rates';
import { RouterListener } from './router-listener';
import { RouterQueue } from './router-queue';
import { RouterTokenIssuer } from './router-token-issuer';
import { RouterValkey } from './router-valkey';
import { EngineEndpoint } from '../decode';
import { DeploymentSpec } from '../estimator';

/**
 * How a router runs, whatever engines it stands in front of.
 */
export interface BedrockRouterOptions {
  /**
   * Values of `model` in a request that are served.
   *
   * @default - the id of the spec's model
   */
  readonly servedModelNames?: string[];

  /**
   * How callers connect.
   *
   * @default - plain HTTP within the VPC, with a warning
   */
  readonly listener?: RouterListener;

  /**
   * The service's image. It is told its configuration in the variable `ROUTER_CONFIG` and listens on port 8080.
   *
   * @default - the one that comes with this library, built for X86_64 at deployment
   */
  readonly image?: ecs.ContainerImage;

  /**
   * API keys that callers present as bearer tokens: a JSON list of keys or of `{"name", "key"}`, or one a line. Tasks read them when they start, and every five
   * minutes.
   *
   * @default - a new secret with one generated key, unless there is a `tokenIssuer`
   */
  readonly apiKeysSecret?: secretsmanager.ISecret;

  /**
   * Whose JSON Web Tokens callers present as bearer tokens, instead of API keys. Each subject has limits and a share of its own.
   *
   * @default - callers present API keys
   */
  readonly tokenIssuer?: RouterTokenIssuer;

  /**
   * Whether the model reads images; callers that send one, a sound or a video are refused if not.
   *
   * @default false
   */
  readonly images?: boolean;

  /**
   * Namespace of the metrics that the tasks tell CloudWatch: up to 255 letters, digits and `. - _ / # :`, not AWS' own.
   *
   * @default 'DisaggregatedInference'
   */
  readonly metricsNamespace?: string;

  /**
   * Subnets of the tasks, and of the load balancer, which takes one in each zone, unless it faces the internet.
   *
   * @default - the private subnets of the VPC
   */
  readonly vpcSubnets?: ec2.SubnetSelection;

  /**
   * Fewest tasks.
   *
   * @default 2
   */
  readonly minTasks?: number;

  /**
   * Most tasks.
   *
   * @default 10
   */
  readonly maxTasks?: number;

  /**
   * Requests per minute and task above which tasks are added. A choice of this library, not a measured limit.
   *
   * @default 6000
   */
  readonly requestsPerTaskPerMinute?: number;

  /**
   * Requests that one task gives one engine at once; others wait, and are answered 429 if too many do, or for too long. A prompt that no prefill engine has
   * room for is read by the decode engine.
   *
   * @default - the spec's `decode.maxConcurrentSequences`, or 256
   */
  readonly maxRequestsPerEngine?: number;

  /**
   * Requests in a minute that one task, or all that share a `valkey`, takes of one caller, all at once if they come so; it answers 429 beyond.
   * A caller is the name of an API key, or the subject of a token.
   *
   * @default - no limit
   */
  readonly requestsPerMinutePerCaller?: number;

  /**
   * Tokens in a minute, of prompts and answers, that one task, or all that share a `valkey`, takes of one caller, all at once if they come so; it answers 429
   * beyond.
   *
   * @default - no limit
   */
  readonly tokensPerMinutePerCaller?: number;

  /**
   * Where the tasks share the limits of callers.
   *
   * @default - each task limits by itself
   */
  readonly valkey?: RouterValkey;

  /**
   * What waits while every engine is full.
   *
   * @default - the defaults of `RouterQueue`
   */
  readonly queue?: RouterQueue;

  /**
   * What a request takes that Bedrock answers. With it, and a spec with an objective, Bedrock answers what the engines are too full for or would answer too late.
   *
   * @default - Bedrock answers only where no engine is up
   */
  readonly bedrockRates?: RouterBedrockRates;

  /**
   * Callers that may ask for Bedrock's service tier `priority`, which is served before all others: names of API keys, or subjects of tokens; `*` is everybody.
   * Others are refused it.
   *
   * @default - none
   */
  readonly priorityCallers?: string[];

  /**
   * Tokens of the shortest prompt that is rather handed from a prefill to a decode engine than read by the engine that answers; 0 for every prompt.
   *
   * @default - what the estimator says of `spec`: the shortest that costs its caller no more time than it spares the decode engine; 512 where it says nothing
   */
  readonly minPromptTokens?: number;

  /**
   * CPU units of a task, 1024 for one vCPU: the service is one process, which has little use for more than that.
   *
   * @default 1024
   */
  readonly cpu?: number;

  /**
   * Memory of a task, in MiB. The bodies of requests have at most an eighth of it, or 256 MiB where it is a token.
   *
   * @default 2048
   */
  readonly memoryLimitMiB?: number;

  /**
   * Longest time from a request to the last byte of its answer, at most 3940 seconds.
   *
   * @default Duration.minutes(15)
   */
  readonly requestTimeout?: Duration;

  /**
   * Longest wait for the first token of a streamed answer.
   *
   * @default Duration.minutes(2)
   */
  readonly firstTokenTimeout?: Duration;

  /**
   * How long a task that is stopped may take to finish its requests, a whole number of seconds, at most 115.
   *
   * @default Duration.seconds(100)
   */
  readonly drainTimeout?: Duration;

  /**
   * How long the load balancer leaves a task that is to go the requests that it has, before ECS stops it and `drainTimeout` begins: a whole number of seconds, at
   * most 3600. An answer that takes longer is cut off by a deployment, which in return may take as long.
   *
   * @default - `drainTimeout`
   */
  readonly deregistrationDelay?: Duration;

  /**
   * Bucket for the load balancer's access logs, with keys that S3 manages. The stack needs a concrete region.
   *
   * @default - no access logs
   */
  readonly accessLogsBucket?: s3.IBucket;

  /**
   * How long the tasks' logs are kept. They hold neither prompts nor answers.
   *
   * @default logs.RetentionDays.ONE_MONTH
   */
  readonly logRetention?: logs.RetentionDays;

  /**
   * Key that encrypts logs and generated API keys. CloudWatch Logs is allowed to use it if the key's policy can be changed here.
   *
   * @default - keys that AWS owns
   */
  readonly encryptionKey?: kms.IKey;

  /**
   * Whether the load balancer refuses to be deleted.
   *
   * @default false
   */
  readonly deletionProtection?: boolean;

  /**
   * What becomes of logs and generated API keys when the router is deleted.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;
}

/**
 * Properties of `BedrockRouter`.
 */
export interface BedrockRouterProps extends BedrockRouterOptions {
  /** The VPC of load balancer and tasks, from which the engines can be reached. */
  readonly vpc: ec2.IVpc;

  /**
   * The engines, of equal ones the preferred first; which of them gets a request is decided by its prompt and by how busy they are.
   * A prefill engine reads prompts for the decode engines of the same `kvConnector`.
   */
  readonly engines: EngineEndpoint[];

  /**
   * The deployment that the router stands in front of: names the model, bounds requests per engine, makes its
   * objective a boundary of the latency histograms, and says what a request takes with a hand-off and without, by which its path is chosen.
   *
   * @default - `servedModelNames` is needed
   */
  readonly spec?: DeploymentSpec;

  /**
   * The cluster that the tasks run in, in the subnets of `vpc`, whatever VPC the cluster was defined or imported with.
   *
   * @default - a new one with container insights
   */
  readonly cluster?: ecs.ICluster;
}
