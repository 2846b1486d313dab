import { Coefficients } from '../phases/coefficients';
import { decodeStepSeconds } from '../phases/decode';
import { prefillSeconds } from '../phases/prefill';
import { EngineShape, ModelShape, kvReadBytes } from '../phases/shapes';
import { MixedEngine, MixedEngineLimits, MixedRequest } from '../simulation/mixed-engine';

/** A prompt that an idle engine read: its time to first token, with everything before and after the engine. */
export interface UnloadedPrompt {
  readonly inputTokens: number;
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
  /** After the first token. */
  readonly tpotSeconds: number;
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
}

/** One measured time beside what coefficients say of it, in seconds. */
export interface Compared {
  readonly metric: 'ttft' | 'tpot';
  readonly measured: number;
  readonly predicted: number;
}

/** Requests that each client of a closed loop is taken to have sent, in rounds: benchmarks of servers send ten for each of concurrency by custom. */
const ROUNDS = 10;

/** Rounds that are simulated: the first, in which all prompts come at once, one to settle, and one that stands for the rest. */
const SIMULATED_ROUNDS = 3;

/**
 * Every time that was measured, beside what the coefficients say of it.
 *
 * @param measured the engine.
 * @param measurements what was measured.
 * @param k the coefficients.
 */
export function compare(measured: MeasuredEngine, measurements: Measurements, k: Coefficients): Compared[] {
  const { model, engine } = measured;
  return [
    ...measurements.prompts.map(({ inputTokens, ttftSeconds }): Compared => (
      { metric: 'ttft', measured: ttftSeconds, predicted: k.gatewaySeconds + prefillSeconds(model, engine, k, inputTokens, 0, 1) })),
    ...measurements.steps.map(({ sequences, contextTokens, stepSeconds }): Compared => (
      { metric: 'tpot', measured: stepSeconds, predicted: decodeStepSeconds(model, engine, k, sequences, kvReadBytes(model, contextTokens)) })),
    ...measurements.loops.flatMap((loop) => compareLoop(measured, loop, k)),
    ...measurements.logs.flatMap((log) => compareLog(measured, log, k)),
  ];
}

function compareLoop({ model, engine, limits }: MeasuredEngine, loop: ClosedLoop, k: Coefficients): Compared[] {
  const { concurrency, inputTokens, outputTokens } = loop;
  const requests = new MixedEngine(model, engine, k, limits).closedLoop(concurrency, SIMULATED_ROUNDS * concurrency, inputTokens, outputTokens);
  const [first, last] = [requests.slice(0, concurrency), requests.slice((SIMULATED_ROUNDS - 1) * concurrency)];
  const overall = (time: (request: MixedRequest) => number) => mean(first.map(time)) / ROUNDS + mean(last.map(time)) * (1 - 1 / ROUNDS);
  const ttft: Compared = { metric: 'ttft', measured: loop.ttftSeconds, predicted: k.gatewaySeconds + overall(firstTokenOf) };
  return outputTokens < 2 ? [ttft] : [ttft, { metric: 'tpot', measured: loop.tpotSeconds, predicted: overall(gapOf) }];
}

function compareLog({ model, engine, limits }: MeasuredEngine, log: readonly LoggedRequest[], k: Coefficients): Compared[] {
  const requests = log.map(({ arrivalSeconds, inputTokens, outputTokens }): MixedRequest => (
    { arrivalSeconds, inputTokens, outputTokens, firstTokenSeconds: NaN, lastTokenSeconds: NaN }));
  new MixedEngine(model, engine, k, limits).replay(requests);
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

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
