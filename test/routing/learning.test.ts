import * as fc from 'fast-check';
import { PathRates, PromptTokens, Recalibration } from '../../src/routing';

const RATES: PathRates = {
  fixedSeconds: 0.02,
  secondsPerPromptToken: 1e-4,
  transferSecondsPerToken: 0,
  stepSeconds: 0.01,
  stepSecondsPerSequence: 0,
  stallSecondsPerPromptToken: 0,
};
const any = fc.oneof(fc.double(), fc.constantFrom(0, -1, Infinity, -Infinity, NaN));
const times = (count: number, act: () => void) => Array.from({ length: count }).forEach(act);

describe('bytes of a token', () => {
  test('are what they were set to until an engine tells otherwise, and then come to be what it says', () => {
    const prompts = new PromptTokens(4);
    expect(prompts.estimate(1000)).toBe(250);
    times(200, () => prompts.learn(3000, 1000));
    expect(prompts.estimate(3000)).toBeCloseTo(1000, 0);
  });

  test('stay possible whatever is told', () => {
    fc.assert(fc.property(fc.array(fc.tuple(any, any)), (told) => {
      const prompts = new PromptTokens(4);
      told.forEach(([bytes, tokens]) => prompts.learn(bytes, tokens));
      expect(prompts.bytesPerToken).toBeGreaterThanOrEqual(1);
      expect(prompts.bytesPerToken).toBeLessThanOrEqual(16);
    }));
  });
});

describe('a path whose rates are wrong', () => {
  test('heals: what is predicted comes to be what is measured, of each latency by itself', () => {
    const path = new Recalibration(RATES);
    times(100, () => path.learnTtft(0.3, 0.1));
    times(100, () => path.learnTpot(0.005, 0.01));
    expect(path.ttftFactor).toBeCloseTo(3, 2);
    expect(path.tpotFactor).toBeCloseTo(0.5, 2);
    times(100, () => path.learnTtft(0.1, 0.1));
    expect(path.ttftFactor).toBeCloseTo(1, 2);
  });

  test('is not judged by one mishap', () => {
    const path = new Recalibration(RATES);
    path.learnTtft(120, 0.1);
    expect(path.ttftFactor).toBeLessThan(2);
  });

  test('is tried again though it was slow: others are measured, and it is thought better of, within reason', () => {
    const path = new Recalibration(RATES);
    times(100, () => path.learnTtft(0.8, 0.1));
    times(100, () => path.learnTpot(0.001, 0.01));
    times(500, () => path.doubt());
    expect(path.ttftFactor).toBeLessThan(4);
    times(5000, () => path.doubt());
    expect(path.ttftFactor).toBe(0.5);
    // what was measured to be fast is not doubted.
    expect(path.tpotFactor).toBeLessThan(0.13);
  });

  test('stays within bounds whatever is measured', () => {
    fc.assert(fc.property(fc.array(fc.tuple(any, any)), (measured) => {
      const path = new Recalibration(RATES);
      measured.forEach(([seconds, predicted]) => {
        path.learnTtft(seconds, predicted);
        path.learnTpot(seconds, predicted);
        path.doubt();
      });
      for (const factor of [path.ttftFactor, path.tpotFactor]) {
        expect(factor).toBeGreaterThanOrEqual(1 / 8);
        expect(factor).toBeLessThanOrEqual(8);
      }
    }));
  });
});
