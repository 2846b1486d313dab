import { fill, predictionSpreads } from './calibration';
import { MeasuredEngine } from './measurements';
import { ModelArchitecture, Precision } from '../../model';
import { DeploymentSpec } from '../deployment-spec';
import { chipOf } from '../machine';
import { Coefficients } from '../phases/coefficients';
import { kvTokens } from '../phases/memory';
import { weightReadSeconds } from '../phases/roofline';
import { Refused } from '../refused';
import { resolve } from '../resolve';

/** What a token takes at least of the time in which the weights are read at the peak bandwidth: drafts save no more. */
const LEAST_SHARE = 0.1;

/** Which pool of a deployment is measured. */
export type MeasuredPool = 'prefill' | 'decode';

/** An engine of a deployment, as it was measured, and what is known of it before. */
export interface EngineOfSpec extends MeasuredEngine {
  readonly hardware: string;
  readonly accelerator: string;
  readonly modelId: string;
  /** Number format of its weights. */
  readonly weights: string;
  readonly tensorParallelDegree: number;
  /** Name of the coefficient set that it starts from. */
  readonly coefficientSet: string;
  readonly start: Coefficients;
  /** Spread of what the set predicts of measurements that were left out; undefined where nobody knows. */
  readonly spread: { readonly ttft?: number; readonly tpot?: number };
}

/**
 * The engine of a pool of a deployment.
 *
 * @param spec the deployment; without a prefill pool, its decode pool reads prompts too.
 * @param pool the pool that was measured.
 * @param stepTokens tokens of a step of the engine, `max_num_batched_tokens`.
 * @throws Refused where nothing is known of the engine.
 */
export function engineOfSpec(spec: DeploymentSpec, pool: MeasuredPool, stepTokens: number): EngineOfSpec {
  const { plant, prefill, decode } = resolve(spec);
  const [machine, resolved] = pool === 'prefill' ? [plant.prefill, prefill] : [plant.decode, decode];
  const engine = machine?.engine;
  if (machine === undefined || resolved === undefined || engine === undefined) {
    throw new Refused({
      kind: 'unknown',
      stage: pool,
      reason: machine === undefined ? 'the spec has no prefill pool' : 'the model of wafers is of published figures, not of an engine',
      mend: 'measure the pool that the spec has, of Trainium or GPU instances',
    });
  }
  const { ttft, tpot } = predictionSpreads(resolved.set, plant.model);
  return {
    model: plant.model,
    engine,
    limits: {
      sequences: pool === 'prefill' ? 1 : plant.decode.maxSequences,
      stepTokens,
      blockTokens: machine.kvBlockTokens,
      kvTokens: pool === 'prefill' ? Infinity : kvTokens(plant.model, plant.decode.kvMemoryBytes / engine.kvCopies),
    },
    hardware: resolved.hardware,
    accelerator: chipOf(spec[pool]!)!,
    modelId: ModelArchitecture.fromSpec(spec.model).id,
    weights: spec.precision?.weights ?? Precision.BF16,
    tensorParallelDegree: resolved.tensorParallelDegree,
    coefficientSet: resolved.set.name,
    start: fill(new Coefficients(), resolved.set),
    spread: { ttft: ttft?.relativeSigma, tpot: tpot?.relativeSigma },
  };
}

/**
 * Seconds that an engine takes at least to write a token, and to the first one: a tenth of reading the weights that the token passes at peak bandwidth.
 */
export function leastTokenSeconds({ model, engine }: MeasuredEngine): number {
  return LEAST_SHARE * weightReadSeconds(model, engine, new Coefficients(), 1);
}
