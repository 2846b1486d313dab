import * as fc from 'fast-check';
import { decide, PathRates, PromptTokens, Recalibration } from '../../src/routing';

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

describe('tokens of a prompt', () => {
  test('are as many as its bytes were set to be until an engine tells otherwise, and then come to be what it says', () => {
    const prompts = new PromptTokens(4);
    expect(prompts.estimate(1000)).toBe(250);
    times(200, () => prompts.learn(3000, 1000));
    expect(prompts.estimate(3000)).toBeCloseTo(1000, -1);
    expect(prompts.estimate(0)).toBe(0);
  });

  test('are those of a template and those of the text: many short chats say little of a long prompt', () => {
    const prompts = new PromptTokens(4);
    times(90, () => prompts.learn(50, 48));
    expect(prompts.estimate(50)).toBeCloseTo(48, 0);
    expect(prompts.estimate(1000)).toBeLessThan(330);
  });

  test('are found for every length where engines were given several', () => {
    const prompts = new PromptTokens(4);
    times(50, () => [30, 400, 2_000, 60_000].forEach((bytes) => prompts.learn(bytes, 70 + bytes / 3)));
    for (const bytes of [30, 1_000, 100_000]) {
      expect(prompts.estimate(bytes) / (70 + bytes / 3)).toBeCloseTo(1, 1);
    }
  });

  test('of one caller that sends blanks say nothing of what others send', () => {
    const prompts = new PromptTokens(4);
    times(90, () => prompts.learn(6_000, 20));
    expect(prompts.estimate(6_000)).toBe(1_500);
  });

  test('stay possible whatever is told', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.oneof(any, fc.nat()), fc.oneof(any, fc.nat()))), fc.integer({ min: 1, max: 1e8 }), (told, bytes) => {
      const prompts = new PromptTokens(4);
      told.forEach((one) => prompts.learn(...one));
      expect(prompts.estimate(bytes)).toBeGreaterThanOrEqual(bytes / 8);
      expect(prompts.estimate(bytes)).toBeLessThanOrEqual(bytes + 500);
    }));
  });
});

describe('a path whose rates are wrong', () => {
  test('heals: what is predicted comes to be what is measured, of each latency by itself', () => {
    const path = new Recalibration(RATES, 0);
    times(100, () => path.learnTtft(0.3, 0.1, 0));
    times(100, () => path.learnTpot(0.005, 0.01, 0));
    path.asOf(0);
    expect(path.ttftFactor).toBeCloseTo(3, 2);
    expect(path.tpotFactor).toBeCloseTo(0.5, 2);
    times(100, () => path.learnTtft(0.1, 0.1, 0));
    path.asOf(0);
    expect(path.ttftFactor).toBeCloseTo(1, 2);
  });

  test('is believed to be as slow as it is, however slow', () => {
    const path = new Recalibration(RATES, 0);
    times(100, () => path.learnTtft(40, 0.1, 0));
    path.asOf(0);
    expect(path.ttftFactor).toBeCloseTo(400, -1);
  });

  test('is not judged by one mishap', () => {
    const path = new Recalibration(RATES, 0);
    path.learnTtft(120, 0.1, 0);
    path.asOf(0);
    expect(path.ttftFactor).toBeLessThan(2);
  });

  test('is thought better of, within reason, once it was not measured for long, and others were', () => {
    const path = new Recalibration(RATES, 0);
    times(100, () => path.learnTtft(0.8, 0.1, 0));
    times(100, () => path.learnTpot(0.001, 0.01, 0));
    const factorAt = (now: number) => {
      path.asOf(now);
      return path.ttftFactor;
    };
    expect(factorAt(1000)).toBeCloseTo(8, 2);
    times(200, () => path.doubt());
    expect(factorAt(30)).toBeCloseTo(8, 2);
    expect(factorAt(60)).toBeCloseTo(4, 2);
    expect(factorAt(1000)).toBeCloseTo(4, 2);
    times(1000, () => path.doubt());
    expect(factorAt(1000)).toBe(0.5);
    // what was measured to be fast is not doubted.
    expect(path.tpotFactor).toBeLessThan(0.13);
  });

  test('is tried by one request at a time, and believed again by what that one tells', () => {
    const path = new Recalibration(RATES, 0);
    times(100, () => path.learnTtft(0.8, 0.1, 0));
    times(300, () => path.doubt());
    const factorAt = (now: number) => {
      path.asOf(now);
      return path.ttftFactor;
    };
    expect(factorAt(90)).toBeCloseTo(2, 2);
    path.chosen(90);
    expect(factorAt(100)).toBeCloseTo(8, 2);
    // it was never measured: its caller left
    expect(factorAt(121)).toBeLessThan(2.1);
    path.chosen(121);
    path.learnTtft(0.1, 0.1, 122);
    expect(factorAt(122)).toBeLessThan(2);
  });

  test.each([1, 20, 200])('is sent few of %p requests a second while it is slow, and all again soon after it is not', (perSecond) => {
    const policy = { minPromptTokens: 100, ttftSeconds: 0.3, disaggregated: new Recalibration(RATES, 0), aggregated: new Recalibration(RATES, 0) };
    const free = { isUp: true, freeSlots: 1, queuedPromptTokens: 0, sequences: 0 };
    const healedAt = 1200;
    const handedOff = { slow: 0, well: 0 };
    const from = { slow: 60, well: healedAt + 400 };
    const seconds = { disaggregated: 3, aggregated: 0.1 };
    // of each path, when answers are there
    const answers = { disaggregated: [] as number[], aggregated: [] as number[] };
    for (let i = 0; i < 2_000 * perSecond; i++) {
      const now = i / perSecond;
      if (now > healedAt) {
        seconds.disaggregated = 0.1;
      }
      for (const [path, other] of [['disaggregated', 'aggregated'], ['aggregated', 'disaggregated']] as const) {
        while (answers[path][0] <= now) {
          policy[path].learnTtft(seconds[path], 0.1, answers[path].shift()!);
          policy[other].doubt();
        }
        policy[path].asOf(now);
      }
      const { path } = decide({ promptTokens: 700, isEligible: true, tier: 'default' }, { disaggregated: free, aggregated: free }, policy);
      const taken = path === 'disaggregated' ? path : 'aggregated';
      policy[taken].chosen(now);
      answers[taken].push(now + seconds[taken]);
      if (taken === 'disaggregated') {
        handedOff.slow += now > from.slow && now <= healedAt ? 1 : 0;
        handedOff.well += now > from.well ? 1 : 0;
      }
    }
    expect(handedOff.slow / ((healedAt - from.slow) * perSecond)).toBeLessThan(0.01);
    expect(handedOff.slow).toBeGreaterThan(0);
    expect(handedOff.well / ((2_000 - from.well) * perSecond)).toBeGreaterThan(0.99);
  });

  test('stays within bounds whatever is measured', () => {
    fc.assert(fc.property(fc.array(fc.tuple(any, any, fc.nat())), (measured) => {
      const path = new Recalibration(RATES, 0);
      measured.forEach(([seconds, predicted, now]) => {
        path.asOf(now);
        path.chosen(now);
        path.learnTtft(seconds, predicted, now);
        path.learnTpot(seconds, predicted, now);
        path.doubt();
      });
      path.asOf(1e9);
      for (const factor of [path.ttftFactor, path.tpotFactor]) {
        expect(factor).toBeGreaterThanOrEqual(1e-4);
        expect(factor).toBeLessThanOrEqual(1e4);
      }
    }));
  });
});
