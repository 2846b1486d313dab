import { fill } from './calibration/calibration';
import { Coefficients } from './phases/coefficients';
import { Step, StepParts, stepParts, writingStep } from './phases/mixed';
import { EngineShape } from './phases/shapes';
import { speculativeSteps } from './phases/speculation';
import { promptPool } from './plant';
import { ResolvedPool } from './resolve';
import { Service } from './service';

const NAMES: Record<keyof StepParts, string> = {
  computeSeconds: 'compute',
  memorySeconds: 'memory-bandwidth',
  layerSeconds: 'layer-latency',
  exchangeSeconds: 'interconnect',
  hostSeconds: 'host',
};

const PARTS = Object.keys(NAMES) as (keyof StepParts)[];

/**
 * What takes most of a stage's time at the counts that were solved for last, or the memory where that bounds the batch and the batch is full.
 */
export function bottleneckOf(service: Service, stage: string): string {
  const { form, resolved: { plant: { decode } } } = service;
  if (stage === 'kv-transfer') {
    return 'network';
  }
  if (stage !== 'prefill' && decode.slotsBoundByKv && form.batch > 0.8 * decode.slots) {
    return 'kv-capacity';
  }
  if (stage !== 'prefill' && decode.wafers !== undefined) {
    return 'layer-latency';
  }
  const parts = partsOfRequest(service, stage);
  return NAMES[PARTS.reduce((most, part) => (parts[part] > parts[most] ? part : most))];
}

/**
 * What the seconds are taken by that a request takes of one engine of a stage on average: those of its prompt, and its share of the steps of its
 * tokens.
 *
 * @param stage any but those of links and wafers.
 */
export function partsOfRequest({ form, resolved }: Service, stage: string): StepParts {
  const { model, classes, decode } = resolved.plant;
  const sum = { computeSeconds: 0, memorySeconds: 0, layerSeconds: 0, exchangeSeconds: 0, hostSeconds: 0 };
  const adder = (engine: EngineShape, { set }: ResolvedPool) => {
    const k = fill(new Coefficients(), set);
    return (step: Step, times: number) => {
      const parts = stepParts(model, engine, k, step);
      PARTS.forEach((part) => { sum[part] += times * parts[part]; });
    };
  };
  if (stage !== 'decode') {
    const add = adder(promptPool(resolved.plant).engine, resolved.prefill ?? resolved.decode);
    form.reading.steps.forEach((steps, i) => steps.forEach((step) => add(step, classes.weights[i])));
  }
  if (stage !== 'prefill') {
    const add = adder(decode.engine!, resolved.decode);
    const batch = Math.min(form.fullBatch, 1 + form.batch);
    const { decodedTokens, meanKvBytes, pace } = form.requests;
    const steps = decode.speculation === undefined
      ? [{ step: writingStep(batch, batch * meanKvBytes), times: 1 }] : speculativeSteps(batch, meanKvBytes, decode.speculation);
    steps.forEach(({ step, times }) => add(step, times * decodedTokens / (batch * pace)));
  }
  return sum;
}
