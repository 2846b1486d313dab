import { estimateOf, steady, trn2 } from './specs';
import { DeploymentSpec, Estimate } from '../../src/estimator';
import { routingRates } from '../../src/estimator/routing-rates';
import { ModelArchitecture } from '../../src/model';
import { predictedTpotSeconds, predictedTtftSeconds } from '../../src/routing';

/** So few requests that none meets another. */
const alone = (spec: DeploymentSpec): Estimate => estimateOf({ ...spec, workload: { ...spec.workload, requestsPerSecond: 1e-9 } });
/** Six digits are kept of each rate. */
const expectNear = (value: number, expected: number) => expect(value / expected).toBeCloseTo(1, 4);

test.each<[string, DeploymentSpec]>([
  ['on Trainium2', trn2({ workload: steady(1e-9, 8000, 200) })],
  ['on H200', trn2({ workload: steady(1e-9, 3000, 100), prefill: { hardware: 'p5en.48xlarge', instances: 1 }, decode: { hardware: 'p5en.48xlarge', instances: 1 } })],
])('of a prompt of the workload\'s length, alone %s, the rates predict what the estimate says', (_, spec) => {
  const [{ inputTokens, outputTokens }] = spec.workload.lengthClasses;
  const { disaggregated, aggregated } = routingRates(spec)!;
  const pair = alone(spec);
  expectNear(predictedTtftSeconds(disaggregated, inputTokens, 0, 0), pair.ttftSeconds.mean.value);
  expectNear(predictedTpotSeconds(disaggregated, inputTokens, 0, 0), pair.tpotSeconds.mean.value);
  const one = alone({ ...spec, prefill: undefined });
  // there the step that reads the prompt writes the first token; a request that does not come alone waits for the step that is running.
  expectNear(predictedTtftSeconds(aggregated!, inputTokens, 0, 0) - aggregated!.stepSeconds, one.ttftSeconds.mean.value);
  expect(aggregated!.stallSecondsPerPromptToken).toBeCloseTo(aggregated!.secondsPerPromptToken / outputTokens, 9);
  expect([aggregated!.transferSecondsPerToken, disaggregated.stallSecondsPerPromptToken]).toEqual([0, 0]);
});

test('the more an engine has to write, the longer a step, up to what it holds', () => {
  const spec = trn2();
  const { disaggregated: { stepSeconds, stepSecondsPerSequence } } = routingRates(spec)!;
  const { tpotSeconds: { mean: { value } }, stages } = estimateOf({ ...spec, workload: steady(5, 1000, 200) });
  expect(stages.at(-1)!.utilisation.value).toBeGreaterThan(0.1);
  expect(value).toBeGreaterThan(stepSeconds);
  expect(value).toBeLessThan(stepSeconds + 64 * stepSecondsPerSequence);
});

describe('a hand-off is worth it', () => {
  const h100 = { hardware: 'p5.48xlarge', instances: 1 };
  const least = (overrides: Partial<DeploymentSpec>) => routingRates(trn2({ workload: steady(1, 4000, 200), ...overrides }))!.minPromptTokens;

  test('for every prompt where the shortest keeps an engine busy for longer than a hand-off takes', () => {
    expect(least({})).toBe(0);
  });

  test('from a length on that a small model on fast engines reaches later', () => {
    const [small, large] = ['llama-3.1-8b', 'llama-3.3-70b'].map((id) => least({ model: { id }, prefill: h100, decode: h100 })!);
    expect(small).toBeGreaterThan(100);
    expect(large).toBeLessThan(small);
  });

  test('for no prompt where it takes longer than the engine that answers is spared', () => {
    const beyondContext = ModelArchitecture.LLAMA_3_3_70B.spec.maxContextTokens + 1;
    expect(least({ link: { bytesPerSecond: 1e8 } })).toBe(beyondContext);
    expect(least({ prefill: { hardware: 'trn1.32xlarge', instances: 1 }, decode: h100 })).toBe(beyondContext);
  });
});

test('nothing is said where nothing is handed on, and nothing of what has no basis', () => {
  expect(routingRates(trn2({ prefill: undefined }))).toBeUndefined();
  const cs3 = routingRates(trn2({ decode: { hardware: 'cs-3', instances: 1 } }))!;
  expect([cs3.aggregated, cs3.minPromptTokens]).toEqual([undefined, undefined]);
  expect(cs3.disaggregated.stepSeconds).toBeGreaterThan(0);
});
