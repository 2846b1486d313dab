import { EmulatedDecodePool, EmulatedPrefillPool } from './emulated-pools';
import { DeploymentSpec } from '../../estimator';
import { kvReadBytes } from '../../estimator/phases/shapes';
import { Service } from '../../estimator/service';
import { fleetTables } from '../../estimator/simulation/fleet-tables';
import { requestLengths } from '../../estimator/simulation/request-lengths';

/** Most sequences of one engine: an emulator has no more callers. */
const MAX_SEQUENCES = 4096;

/**
 * A fleet that does nothing but take the time that the estimator says: every figure is the simulation's.
 */
export class EmulatedFleet {
  /** Engines that read prompts; undefined in aggregated serving. */
  public readonly prefill?: EmulatedPrefillPool;
  /** Engines that write tokens. */
  public readonly decode: EmulatedDecodePool;
  /** Tokens of an answer whose length nobody bounds: the workload's mean. */
  public readonly meanOutputTokens: number;
  private readonly service: Service;

  /**
   * @param spec a deployment that the estimator has an estimate for, with its counts.
   */
  constructor(spec: DeploymentSpec) {
    this.service = new Service(spec);
    const { model } = this.service.resolved.plant;
    const tables = this.tablesFor(spec.workload.lengthClasses, MAX_SEQUENCES);
    this.meanOutputTokens = Math.round(this.service.form.requests.meanOutputTokens);
    this.prefill = spec.prefill && new EmulatedPrefillPool(tables.prefillEngines);
    this.decode = new EmulatedDecodePool(tables.decodeEngines, tables.slots, (sequences) => tables.stepSeconds[sequences.length]
      + tables.secondsPerKvByte * sequences.reduce((sum, { contextTokens }) => sum + kvReadBytes(model, contextTokens), 0));
  }

  /**
   * Tokens that a prompt and its answer may have together.
   *
   * @param stage whose engines take them.
   */
  public contextTokens(stage: 'prefill' | 'decode'): number {
    const { spec, resolved: { plant } } = this.service;
    return spec[stage]?.maxSequenceTokens ?? plant.model.maxContextTokens;
  }

  /**
   * What one prompt takes.
   *
   * @param inputTokens its length.
   */
  public timesOf(inputTokens: number): { readonly promptSeconds: number; readonly transferSeconds: number; readonly overheadSeconds: number } {
    const { kinds, overheadSeconds } = this.tablesFor([{ inputTokens, outputTokens: 1 }], 1);
    return { promptSeconds: kinds.promptSeconds[0], transferSeconds: kinds.setUpSeconds[0] + kinds.transferSeconds[0], overheadSeconds };
  }

  private tablesFor(lengths: readonly { readonly inputTokens: number; readonly outputTokens: number }[], requests: number) {
    const { prefill, decode } = this.service.spec;
    return fleetTables(this.service, prefill?.instances ?? 0, decode.instances!, requestLengths(lengths), requests, false);
  }
}
