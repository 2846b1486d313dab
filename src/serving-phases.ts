import { Construct } from 'constructs';
import {
  CerebrasCloudTarget, CerebrasCloudTargetProps, Cs3Attachment, Cs3CapacityOptions, Cs3DecodeCapacity, EngineRole, IInferenceTarget,
} from './decode';
import { cs3CountProblems } from './decode/cs3-decode-capacity';
import { DecodeSpec, PoolSpec } from './estimator';
import {
  ITrainiumFleet, TrainiumAggregatedFleet, TrainiumDecodeFleet, TrainiumPoolOptions, TrainiumPrefillFleet, TrainiumServingProps,
} from './fleet';
import { countProblems } from './fleet/engine/engine-problems';
import { poolProblems } from './fleet/fleet-problems';
import { trainiumPoolSpec } from './fleet/pool-spec';
import { ModelArchitecture } from './model';
import { Problem, Problems, missingProperties } from './problems';

/**
 * Trainium instances for one phase of a service.
 */
export interface TrainiumPhaseOptions extends TrainiumPoolOptions {
  /**
   * Number of instances.
   *
   * @default - planned: the cheapest fleet that holds the objective
   */
  readonly instanceCount?: number;
}

/**
 * Who reads the prompts.
 */
export class Prefill {
  /**
   * A fleet of Trainium instances that hand the KV cache on.
   *
   * @param options instance type, purchase option and engine.
   */
  public static trainium(options: TrainiumPhaseOptions): Prefill {
    Problems.throwIfAny(optionProblems(options, 'Prefill.trainium'));
    return new Prefill(options);
  }

  /** @internal */
  public readonly _availabilityZone?: string;

  private readonly options: TrainiumPhaseOptions;

  private constructor(options: TrainiumPhaseOptions) {
    this.options = options;
    this._availabilityZone = options.purchase.availabilityZone;
  }

  /** @internal */
  public _problems(model: ModelArchitecture, path: string): Problem[] {
    return [...countProblems('instanceCount', this.options.instanceCount, path), ...poolProblems(this.options, model, EngineRole.PREFILL, path)];
  }

  /** @internal */
  public _poolSpec(model: ModelArchitecture, path: string): PoolSpec {
    return trainiumPoolSpec(EngineRole.PREFILL, model, this.options, this.options.instanceCount, path);
  }

  /** @internal */
  public _define(scope: Construct, serving: TrainiumServingProps, instanceCount: number): ITrainiumFleet {
    return new TrainiumPrefillFleet(scope, 'Prefill', { ...serving, ...this.options, instanceCount });
  }
}

/**
 * Who writes the tokens.
 */
export abstract class Decode {
  /**
   * A fleet of Trainium instances; without prefill it reads the prompts too.
   *
   * @param options instance type, purchase option and engine.
   */
  public static trainium(options: TrainiumPhaseOptions): Decode {
    Problems.throwIfAny(optionProblems(options, 'Decode.trainium'));
    return new TrainiumDecode(options);
  }

  /**
   * Cerebras CS-3 capacity that is attached to the VPC, **modelled**: it is estimated and addressed, nothing is deployed for it, and no KV cache is
   * handed to it, because no interface for that is public.
   *
   * @param options the attachment, and what is contracted or measured of it.
   */
  public static cs3(options: Cs3CapacityOptions): Decode {
    return new Cs3Decode(options);
  }

  /**
   * Cerebras' inference cloud, which reads the prompts too. It is not estimated: neither latency under load nor capacity is published.
   *
   * @param options the key and the model.
   */
  public static cerebrasCloud(options: CerebrasCloudTargetProps): Decode {
    return new CerebrasCloudDecode(options);
  }

  /**
   * Zone that the capacity is in.
   *
   * @internal
   */
  public abstract readonly _availabilityZone?: string;

  /**
   * The attachment, whose VPC the service has to be in.
   *
   * @internal
   */
  public readonly _attachment?: Cs3Attachment;

  /** @internal */
  public abstract _problems(model: ModelArchitecture, aggregated: boolean, path: string): Problem[];

  /**
   * The pool as the estimator reads it; undefined where nothing is published to estimate it with.
   *
   * @internal
   */
  public abstract _decodeSpec(model: ModelArchitecture, aggregated: boolean, path: string): DecodeSpec | undefined;

  /**
   * Defines it; `serving` is given if there is a `_decodeSpec`.
   *
   * @internal
   */
  public abstract _define(scope: Construct, serving: TrainiumServingProps | undefined, aggregated: boolean, instanceCount: number): IInferenceTarget;
}

class TrainiumDecode extends Decode {
  public readonly _availabilityZone?: string;

  constructor(private readonly options: TrainiumPhaseOptions) {
    super();
    this._availabilityZone = options.purchase.availabilityZone;
  }

  public _problems(model: ModelArchitecture, aggregated: boolean, path: string): Problem[] {
    return [...countProblems('instanceCount', this.options.instanceCount, path), ...poolProblems(this.options, model, roleOf(aggregated), path)];
  }

  public _decodeSpec(model: ModelArchitecture, aggregated: boolean, path: string): DecodeSpec {
    return trainiumPoolSpec(roleOf(aggregated), model, this.options, this.options.instanceCount, path);
  }

  public _define(scope: Construct, serving: TrainiumServingProps, aggregated: boolean, instanceCount: number): IInferenceTarget {
    const props = { ...serving, ...this.options, instanceCount };
    return aggregated ? new TrainiumAggregatedFleet(scope, 'Engines', props) : new TrainiumDecodeFleet(scope, 'Decode', props);
  }
}

class Cs3Decode extends Decode {
  public readonly _availabilityZone: string;
  public readonly _attachment: Cs3Attachment;

  constructor(private readonly options: Cs3CapacityOptions) {
    super();
    this._attachment = options.attachment;
    this._availabilityZone = options.attachment.availabilityZone;
  }

  public _problems(_model: ModelArchitecture, aggregated: boolean, path: string): Problem[] {
    const withoutPrefill: Problem = {
      rule: 'Cs3WithoutPrefill',
      path,
      message: 'CS-3 decode is modelled behind a prefill fleet only',
      mend: 'give prefill, or use Decode.cerebrasCloud, which reads prompts itself',
    };
    return [...cs3CountProblems(this.options, path), ...(aggregated ? [withoutPrefill] : [])];
  }

  public _decodeSpec(_model: ModelArchitecture, _aggregated: boolean, path: string): DecodeSpec {
    return Cs3DecodeCapacity._decodeSpec(this.options, path);
  }

  public _define(scope: Construct, serving: TrainiumServingProps, _aggregated: boolean, replicas: number): IInferenceTarget {
    return new Cs3DecodeCapacity(scope, 'Decode', { ...this.options, replicas, efa: serving.efa });
  }
}

class CerebrasCloudDecode extends Decode {
  public readonly _availabilityZone = undefined;

  constructor(private readonly options: CerebrasCloudTargetProps) {
    super();
  }

  public _problems(_model: ModelArchitecture, aggregated: boolean, path: string): Problem[] {
    return aggregated ? [] : [{
      rule: 'PrefillWithoutHandOff',
      path,
      message: 'the Cerebras cloud reads prompts itself and takes no KV cache',
      mend: 'leave prefill out, or use Decode.trainium or Decode.cs3',
    }];
  }

  public _decodeSpec(): undefined {
    return undefined;
  }

  public _define(scope: Construct): IInferenceTarget {
    return new CerebrasCloudTarget(scope, 'Engines', this.options);
  }
}

function roleOf(aggregated: boolean): EngineRole {
  return aggregated ? EngineRole.AGGREGATED : EngineRole.DECODE;
}

function optionProblems(options: TrainiumPhaseOptions, path: string): Problem[] {
  const { instanceType } = options;
  return [
    ...missingProperties(options, ['instanceType', 'purchase'], path),
    ...(typeof instanceType === 'string' ? [{
      rule: 'InstanceTypeText',
      path: `${path}.instanceType`,
      value: JSON.stringify(instanceType),
      message: 'the instance type is a text',
      mend: `use NeuronInstanceType.of(${JSON.stringify(instanceType)})`,
    }] : []),
  ];
}
