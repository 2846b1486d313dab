import {
  Duration, RemovalPolicy, Token, aws_ec2 as ec2, aws_ecs as ecs, aws_kms as kms, aws_logs as logs, aws_servicediscovery as servicediscovery,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { EstimateAnnotation } from './annotation';
import { BedrockModel, BedrockTarget, IInferenceTarget } from './decode';
import { dnsLabel } from './dns-label';
import { CalibrationSpec, DeploymentSpec, FleetPlanner, HeadroomSpec, LinkSpec } from './estimator';
import { DEPLOYMENT_SCHEMA, specProblems } from './estimator/spec-check';
import { ITrainiumFleet, ModelArtifacts, TrainiumServingProps } from './fleet';
import { ModelArchitecture } from './model';
import { EfaPlacementGroup } from './network';
import { Problem, Problems, missingProperties } from './problems';
import { BedrockRouter, BedrockRouterOptions } from './router';
import { Decode, Prefill } from './serving-phases';
import { ServingVpc, siblingZoneProblems } from './serving-vpc';
import { InferenceRules } from './validation';
import { ObjectiveSpec, Workload } from './workload';

/** The version of the spec that the estimator is given. */

/**
 * What a service promises: each given latency holds at the percentile.
 */
export interface InferenceObjective {
  /**
   * Time to first token.
   *
   * @default - not promised
   */
  readonly timeToFirstToken?: Duration;

  /**
   * Time per output token after the first.
   *
   * @default - not promised
   */
  readonly timePerOutputToken?: Duration;

  /**
   * Time to the last token.
   *
   * @default - not promised
   */
  readonly endToEnd?: Duration;

  /**
   * Percentile of requests that each promise speaks of: 50, 90, 95 or 99.
   *
   * @default 95
   */
  readonly percentile?: number;
}

/**
 * Properties of `DisaggregatedInference`.
 */
export interface DisaggregatedInferenceProps {
  /** What is served. */
  readonly model: ModelArchitecture;

  /** What is asked. */
  readonly workload: Workload;

  /**
   * What is promised.
   *
   * @default - nothing: instance counts have to be given
   */
  readonly objective?: InferenceObjective;

  /**
   * What planned fleets can lose and grow by and still hold the objective.
   *
   * @default - none: the objective holds at the workload's rate with every instance there
   */
  readonly headroom?: HeadroomSpec;

  /**
   * Who reads the prompts.
   *
   * @default - aggregated serving: whoever writes the tokens reads the prompts too
   */
  readonly prefill?: Prefill;

  /** Who writes the tokens. */
  readonly decode: Decode;

  /**
   * A model in Amazon Bedrock that answers where no engine is up. What engines have no room for is refused all the same, as Bedrock is paid by the token.
   *
   * @default - callers are told that no engine is up
   */
  readonly fallback?: BedrockModel;

  /**
   * The model's files.
   *
   * @default - none, which only a service without instances of its own can do with
   */
  readonly artifacts?: ModelArtifacts;

  /**
   * The path of the KV cache from prefill to decode.
   *
   * @default - EFA of both fleets at the calibrated efficiency
   */
  readonly link?: LinkSpec;

  /**
   * Coefficients that you have measured, in place of the shipped ones.
   *
   * @default - the shipped calibration of each fleet's accelerator
   */
  readonly calibration?: CalibrationSpec;

  /**
   * The VPC. It needs private subnets with a way out in the zone of the capacity, and private subnets in two zones for the router.
   *
   * @default - a new one over two zones, with a NAT gateway, an S3 endpoint and flow logs
   */
  readonly vpc?: ec2.IVpc;

  /**
   * How the router runs.
   *
   * @default - the defaults of `BedrockRouter`
   */
  readonly router?: BedrockRouterOptions;

  /**
   * Key of volumes, logs and generated API keys.
   *
   * @default - keys of AWS
   */
  readonly encryptionKey?: kms.IKey;

  /**
   * How long logs are kept.
   *
   * @default logs.RetentionDays.ONE_MONTH
   */
  readonly logRetention?: logs.RetentionDays;

  /**
   * What becomes of logs and generated API keys when the service is removed.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;
}

/**
 * An LLM inference service: engines that read prompts, engines that write tokens, the EFA network between them, and a router in front.
 *
 * Counts that are not given are planned: the cheapest fleet that holds the objective. What to expect of the service is told as an INFO of the
 * construct, in the template's metadata and in `<stack>.inference-estimate.json` of the cloud assembly; `Estimates.fromStack` gives it to tests.
 * A missed objective is a warning, one that no fleet holds is an error, and so is every rule of EC2, EFA and Capacity Blocks that is broken.
 *
 * Throws a `ProblemsError` with everything that is wrong with its properties.
 */
export class DisaggregatedInference extends Construct implements ec2.IConnectable {
  /** The VPC. */
  public readonly vpc: ec2.IVpc;

  /** The cluster of engines and router. */
  public readonly cluster: ecs.Cluster;

  /**
   * Where engines exchange KV caches.
   *
   * @default - the service has no engines of its own
   */
  public readonly efa?: EfaPlacementGroup;

  /**
   * Who reads the prompts.
   *
   * @default - aggregated serving
   */
  public readonly prefill?: ITrainiumFleet;

  /** Who writes the tokens. */
  public readonly decode: IInferenceTarget;

  /** Who answers the callers. */
  public readonly router: BedrockRouter;

  /** The router's connections: whoever may call needs `connections.allowDefaultPortFrom`. */
  public readonly connections: ec2.Connections;

  constructor(scope: Construct, id: string, props: DisaggregatedInferenceProps) {
    super(scope, id);
    Problems.throwIfAny(missingProperties(props, ['model', 'workload', 'decode'], this.node.path));
    Problems.throwIfAny(problemsOf(props, this.node.path));
    const { model, encryptionKey, logRetention, removalPolicy } = props;
    const aggregated = props.prefill === undefined;
    const zone = props.prefill?._availabilityZone ?? props.decode._availabilityZone;

    const spec = deploymentSpec(props, this.node.path);
    // the estimator speaks of its spec; for whoever wrote the app its paths start at the construct.
    Problems.throwIfAny(spec ? specProblems(spec).map((problem) => ({ ...problem, path: `${this.node.path}.${problem.path}` })) : []);
    const plan = spec && FleetPlanner.plan(spec);
    const planned = plan?.outcome.estimate?.spec ?? spec;

    this.vpc = props.vpc ?? new ServingVpc(this, 'Vpc', { capacityZone: zone, logRetention, removalPolicy, encryptionKey });
    this.cluster = new ecs.Cluster(this, 'Cluster', { vpc: this.vpc, containerInsightsV2: ecs.ContainerInsights.ENABLED });
    let serving: TrainiumServingProps | undefined;
    if (planned !== undefined) {
      this.efa = new EfaPlacementGroup(this, 'Efa', { vpc: this.vpc, availabilityZone: zone });
      serving = {
        efa: this.efa,
        model,
        artifacts: props.artifacts!,
        cluster: this.cluster,
        discoveryNamespace: new servicediscovery.PrivateDnsNamespace(this, 'Namespace', { vpc: this.vpc, name: `${dnsLabel(this)}.internal` }),
        encryptionKey,
        logRetention,
        removalPolicy,
      };
    }
    // a service that cannot be estimated fails its synthesis below; one instance each lets every other problem be told too.
    this.prefill = serving && props.prefill?._define(this, serving, planned?.prefill?.instances ?? 1);
    this.decode = props.decode._define(this, serving, aggregated, planned?.decode.instances ?? 1);

    const fallback = props.fallback && new BedrockTarget(this, 'Fallback', { model: props.fallback });
    this.router = new BedrockRouter(this, 'Router', {
      ...props.router,
      logRetention: props.router?.logRetention ?? logRetention,
      encryptionKey: props.router?.encryptionKey ?? encryptionKey,
      removalPolicy: props.router?.removalPolicy ?? removalPolicy,
      vpc: this.vpc,
      cluster: this.cluster,
      engines: [this.decode, this.prefill, fallback].flatMap((target) => target?.endpoint ?? []),
      spec: planned,
      servedModelNames: props.router?.servedModelNames ?? [model.id],
    });
    this.connections = this.router.connections;

    if (spec && plan) {
      EstimateAnnotation.apply(this, spec, plan);
    } else {
      EstimateAnnotation.notEstimated(this, 'neither latency under load nor capacity of the Cerebras cloud is published', 'measure it with your own requests');
    }
    InferenceRules.checkOnSynth(this);
  }
}

function deploymentSpec(props: DisaggregatedInferenceProps, path: string): DeploymentSpec | undefined {
  const decode = props.decode._decodeSpec(props.model, props.prefill === undefined, `${path}/Decode`);
  return decode && {
    schema: DEPLOYMENT_SCHEMA,
    name: path,
    model: props.model.toSpec(),
    workload: props.workload.toSpec(),
    ...(props.objective === undefined ? {} : { objective: objectiveSpec(props.objective) }),
    ...(props.headroom === undefined ? {} : { headroom: props.headroom }),
    ...(props.prefill === undefined ? {} : { prefill: props.prefill._poolSpec(props.model, `${path}/Prefill`) }),
    decode,
    // what Trainium fleets run
    engine: 'vllm',
    ...(props.link === undefined ? {} : { link: props.link }),
    ...(props.calibration === undefined ? {} : { calibration: props.calibration }),
  };
}

function objectiveSpec(objective: InferenceObjective): ObjectiveSpec {
  const seconds = (duration?: Duration) => duration && duration.toMilliseconds({ integral: false }) / 1000;
  return {
    ttftSeconds: seconds(objective.timeToFirstToken),
    tpotSeconds: seconds(objective.timePerOutputToken),
    endToEndSeconds: seconds(objective.endToEnd),
    percentile: objective.percentile,
  };
}

function problemsOf(props: DisaggregatedInferenceProps, path: string): Problem[] {
  const { model, prefill, decode, objective = {} } = props;
  const aggregated = prefill === undefined;
  const problems = [
    ...(prefill?._problems(model, `${path}/Prefill`) ?? []),
    ...decode._problems(model, aggregated, `${path}/Decode`),
  ];
  const ownEngines = !aggregated || decode._decodeSpec(model, aggregated, path) !== undefined;
  if (ownEngines && props.artifacts === undefined) {
    problems.push({
      rule: 'ArtifactsMissing', path: `${path}.artifacts`, message: 'the engines do not know where the model is', mend: 'give ModelArtifacts.fromBucket(bucket, prefix)',
    });
  }
  for (const [name, duration] of Object.entries({ ...objective, percentile: undefined })) {
    if (duration?.isUnresolved()) {
      problems.push({
        rule: 'ObjectiveUnresolved', path: `${path}.objective.${name}`, message: 'the latency is a token, so nothing can be planned for it', mend: 'give a Duration of a number',
      });
    }
  }
  const zones = [prefill?._availabilityZone, decode._availabilityZone].filter((zone) => zone !== undefined);
  if (zones.length === 2 && zones[0] !== zones[1] && !zones.some((zone) => Token.isUnresolved(zone))) {
    problems.push({
      rule: 'CapacityZonesDiffer',
      path: `${path}.decode`,
      value: JSON.stringify(zones[1]),
      message: `EFA traffic cannot leave its Availability Zone, and prefill is in ${zones[0]}`,
      mend: 'use capacity of one Availability Zone for both',
    });
  }
  if (decode._attachment !== undefined && props.vpc === undefined) {
    problems.push({
      rule: 'AttachmentVpcMissing',
      path: `${path}.vpc`,
      message: `EFA traffic cannot leave its VPC, and the attachment is in ${decode._attachment.vpcId}`,
      mend: 'give the VPC of the attachment',
    });
  }
  if (props.vpc === undefined && zones[0] !== undefined) {
    problems.push(...siblingZoneProblems(zones[0], `${path}.vpc`));
  }
  return problems;
}
