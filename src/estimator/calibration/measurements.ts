import { ClosedLoopSteps } from './closed-loop';
import { Coefficients } from '../phases/coefficients';
import { decodeStepSeconds } from '../phases/decode';
import { prefillSeconds, promptSeconds } from '../phases/prefill';
import { EngineShape, ModelShape, compiledFor, kvReadBytes } from '../phases/shapes';
import { MixedEngine, MixedEngineLimits } from '../simulation/mixed-engine';
import { MixedRequest, replay } from '../simulation/replay';

/** A prompt that an idle engine read: its time to first token, with everything before and after the engine. */
export interface UnloadedPrompt {
  readonly inputTokens: number;
  /** Prompts of this length that it read at once; 1 if undefined, and where it reads one in segments. */
  readonly prompts?: number;
  /** Tokens that it read of one prompt at once; all of them if undefined. */
  readonly segmentTokens?: number;
  readonly ttftSeconds: number;
}

/** Steps of an engine that only wrote tokens. */
export interface DecodeStep {
  readonly sequences: number;
  /** Tokens in each sequence's cache, on average. */
  readonly contextTokens: number;
  readonly stepSeconds: number;
}

/** A run in which clients each sent the next request when the last was answered; means over its requests. */
export interface ClosedLoop {
  readonly concurrency: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly ttftSeconds: number;
  /** After the first token; undefined where no other is written. */
  readonly tpotSeconds?: number;
  /** Lengths are drawn evenly from this share of the named ones up to all of them; they vary a little around the named ones if undefined. */
  readonly shortestShare?: number;
  /** Steps that the engine lets a prompt wait for others to read with it; 0 if undefined. */
  readonly promptWaitSteps?: number;
  /** Requests that the engine leaves waiting whatever room it has; 0 if undefined. */
  readonly heldBack?: number;
}

/** A request of a run in which requests came on their own; one whose times are not known is load to the others. */
export interface LoggedRequest {
  readonly arrivalSeconds: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly ttftSeconds?: number;
  readonly endToEndSeconds?: number;
}

/** What was measured of one engine. */
export interface Measurements {
  readonly prompts: readonly UnloadedPrompt[];
  readonly steps: readonly DecodeStep[];
  readonly loops: readonly ClosedLoop[];
  /** Runs, each in order of arrival. */
  readonly logs: readonly (readonly LoggedRequest[])[];
}

/** The engine that was measured. */
export interface MeasuredEngine {
  readonly model: ModelShape;
  readonly engine: EngineShape;
  readonly limits: MixedEngineLimits;
  /** Whether steps that read prompts write nothing, and come before those that do, as SGLang's; steps do both if undefined. */
  readonly promptsAlone?: boolean;
  /** Whether a sequence is let in when all that it will write fits the KV cache, as by TensorRT-LLM; when its prompt does if undefined. */
  readonly reservesOutput?: boolean;
}

/** One measured time beside what coefficients say of it, in seconds. */
export interface Compared {
  readonly metric: 'ttft' | 'tpot';
  readonly measured: number;
  readonly predicted: number;
}

/** Measurements of one engine, and what of them does not depend on coefficients, worked out once. */
export class MeasuredConfiguration {
  private readonly steps: readonly { readonly step: DecodeStep; readonly engine: EngineShape }[];
  private readonly loops: readonly { readonly loop: ClosedLoop; readonly steps: ClosedLoopSteps }[];

  /**
   * @param measured the engine.
   * @param measurements what was measured.
   */
  constructor(public readonly measured: MeasuredEngine, public readonly measurements: Measurements) {
    this.steps = measurements.steps.map((step) => ({ step, engine: compiledFor(measured.engine, measured.model, step.contextTokens) }));
    this.loops = measurements.loops.map((loop) => ({ loop, steps: new ClosedLoopSteps(measured, loop) }));
  }

  /** Every time that was measured, beside what the coefficients say of it. */
  public compare(k: Coefficients): Compared[] {
    const { model, engine } = this.measured;
    const { prompts, logs } = this.measurements;
    return [
      ...prompts.map(({ inputTokens, ttftSeconds, segmentTokens, prompts: together = 1 }): Compared => ({
        metric: 'ttft',
        measured: ttftSeconds,
        predicted: k.gatewaySeconds + (segmentTokens === undefined
          ? prefillSeconds(model, engine, k, inputTokens, 0, together) : promptSeconds(model, engine, k, inputTokens, 0, segmentTokens)),
      })),
      ...this.steps.map(({ step: { sequences, contextTokens, stepSeconds }, engine: compiled }): Compared => (
        { metric: 'tpot', measured: stepSeconds, predicted: decodeStepSeconds(model, compiled, k, sequences, kvReadBytes(model, contextTokens)) })),
      ...this.loops.flatMap(({ loop, steps: laidOut }): Compared[] => [
        { metric: 'ttft', measured: loop.ttftSeconds, predicted: k.gatewaySeconds + laidOut.ttftSeconds(k) },
        ...loop.tpotSeconds === undefined || loop.outputTokens < 2 ? []
          : [{ metric: 'tpot' as const, measured: loop.tpotSeconds, predicted: laidOut.tpotSeconds(k) }],
      ]),
      ...logs.flatMap((log) => compareLog(this.measured, log, k)),
    ];
  }
}

function compareLog({ model, engine, limits }: MeasuredEngine, log: readonly LoggedRequest[], k: Coefficients): Compared[] {
  const requests = log.map(({ arrivalSeconds, inputTokens, outputTokens }): MixedRequest => (
    { arrivalSeconds, inputTokens, outputTokens, firstTokenSeconds: NaN, lastTokenSeconds: NaN }));
  replay(new MixedEngine(model, engine, k, limits), requests);
  return log.flatMap(({ ttftSeconds, endToEndSeconds, outputTokens }, i): Compared[] => [
    ...ttftSeconds === undefined ? [] : [{ metric: 'ttft' as const, measured: ttftSeconds, predicted: k.gatewaySeconds + firstTokenOf(requests[i]) }],
    ...ttftSeconds === undefined || endToEndSeconds === undefined || outputTokens < 2 ? []
      : [{ metric: 'tpot' as const, measured: (endToEndSeconds - ttftSeconds) / (outputTokens - 1), predicted: gapOf(requests[i]) }],
  ]);
}

function firstTokenOf({ arrivalSeconds, firstTokenSeconds }: MixedRequest): number {
  return firstTokenSeconds - arrivalSeconds;
}

function gapOf({ firstTokenSeconds, lastTokenSeconds, outputTokens }: MixedRequest): number {
  return (lastTokenSeconds - firstTokenSeconds) / (outputTokens - 1);
}
