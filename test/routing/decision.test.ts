import * as fc from 'fast-check';
import {
  decide, PathExpectation, PathRates, PathState, predictedTpotSeconds, predictedTtftSeconds, RoutedRequest, RoutingPolicy, RoutingState,
} from '../../src/routing';

const RATES: PathRates = {
  fixedSeconds: 0.02,
  secondsPerPromptToken: 1e-4,
  transferSecondsPerToken: 0,
  stepSeconds: 0.01,
  stepSecondsPerSequence: 1e-4,
  stallSecondsPerPromptToken: 0,
};
const expected = (rates: Partial<PathRates> = {}): PathExpectation => ({ rates: { ...RATES, ...rates }, ttftFactor: 1, tpotFactor: 1 });
const IDLE: PathState = { isUp: true, freeSlots: 8, queuedPromptTokens: 0, sequences: 0 };
const DOWN: PathState = { isUp: false, freeSlots: 0, queuedPromptTokens: 0, sequences: 0 };
const FULL: PathState = { ...IDLE, freeSlots: 0 };
const request = (promptTokens: number, more: Partial<RoutedRequest> = {}): RoutedRequest => ({ promptTokens, isEligible: true, tier: 'default', ...more });
const state = (more: Partial<RoutingState> = {}): RoutingState => ({ disaggregated: IDLE, aggregated: IDLE, bedrock: DOWN, ...more });
const PLAIN: RoutingPolicy = { minPromptTokens: 512 };
const JUDGING: RoutingPolicy = {
  ...PLAIN,
  ttftSeconds: 0.5,
  tpotSeconds: 0.03,
  disaggregated: expected({ transferSecondsPerToken: 1e-5 }),
  aggregated: expected({ stallSecondsPerPromptToken: 5e-6 }),
};
const told = (...asked: Parameters<typeof decide>) => {
  const { path, reason } = decide(...asked);
  return `${path} ${reason}`;
};

test('predictions are sums of what a request meets on its way', () => {
  const rates = {
    fixedSeconds: 1, secondsPerPromptToken: 2, transferSecondsPerToken: 3, stepSeconds: 5, stepSecondsPerSequence: 7, stallSecondsPerPromptToken: 11,
  };
  expect(predictedTtftSeconds(rates, 10, 100, 2)).toBe(1 + 2 * 110 + 3 * 10 + 5 + 7 * 2);
  expect(predictedTpotSeconds(rates, 10, 100, 2)).toBe(5 + 7 * 2 + 11 * 110);
});

describe('without an objective', () => {
  test.each<[string, RoutedRequest, RoutingState]>([
    ['disaggregated long_prompt', request(512), state()],
    ['aggregated short_prompt', request(511), state()],
    ['aggregated not_eligible', request(9999, { isEligible: false }), state()],
    ['aggregated no_pair', request(9999), state({ disaggregated: DOWN })],
    ['aggregated only_path', request(9999, { isEligible: false }), state({ disaggregated: undefined })],
    ['aggregated pair_full', request(9999), state({ disaggregated: FULL })],
    ['disaggregated only_path', request(1), state({ aggregated: DOWN })],
    ['bedrock only_path', request(1), state({ aggregated: DOWN, disaggregated: DOWN, bedrock: IDLE })],
    ['refuse no_slot', request(1), state({ aggregated: FULL, disaggregated: DOWN, bedrock: IDLE })],
    ['refuse no_slot', request(1), state({ aggregated: DOWN, disaggregated: DOWN, bedrock: FULL })],
    ['refuse no_slot', request(9999), state({ disaggregated: FULL, aggregated: FULL })],
    ['refuse nothing_available', request(9999), state({ disaggregated: DOWN, aggregated: DOWN })],
    ['refuse nothing_available', request(9999), {}],
    ['bedrock only_path', request(9999), { bedrock: IDLE }],
    ['aggregated only_path', request(9999), { aggregated: IDLE }],
    ['aggregated no_pair', request(9999), { disaggregated: { ...DOWN }, aggregated: IDLE }],
    ['refuse nothing_available', request(9999, { isEligible: false }), state({ aggregated: DOWN })],
  ])('%s', (expectation, asked, at) => {
    expect(told(asked, at, PLAIN)).toBe(expectation);
    // neither an objective without rates nor rates without an objective are a prediction to judge.
    expect(told(asked, at, { ...PLAIN, ttftSeconds: 1e-9 })).toBe(expectation);
    expect(told(asked, at, { ...JUDGING, ttftSeconds: undefined, tpotSeconds: undefined })).toBe(expectation);
  });
});

describe('with an objective', () => {
  const queue = (queuedPromptTokens: number) => ({ ...IDLE, queuedPromptTokens });

  test.each<[string, RoutedRequest, RoutingState]>([
    ['disaggregated long_prompt', request(1000), state()],
    ['aggregated short_prompt', request(100), state()],
    ['aggregated prefill_queue', request(1000), state({ disaggregated: queue(4000) })],
    // no queue is to blame, and what is only a little less late is not worth the answers that would wait.
    ['disaggregated least_late', request(4600), state({ disaggregated: queue(1) })],
    ['disaggregated least_late', request(9000), state()],
    ['aggregated least_late', request(4600), state({ disaggregated: queue(9000) })],
    ['disaggregated meets_objective', request(100), state({ aggregated: queue(9000) })],
    ['aggregated no_pair', request(9000), state({ disaggregated: DOWN })],
    // a tier without haste waits for the pair; one with haste goes where it is answered first.
    ['disaggregated long_prompt', request(1000, { tier: 'flex' }), state({ disaggregated: queue(9000) })],
    ['disaggregated faster', request(100, { tier: 'priority' }), state({ aggregated: queue(1000) })],
    ['aggregated faster', request(1000, { tier: 'priority' }), state({ disaggregated: queue(2000) })],
  ])('%s', (expectation, asked, at) => expect(told(asked, at, JUDGING)).toBe(expectation));

  test('where the hand-off itself is too slow, the engine alone meets it', () => {
    expect(told(request(1000), state(), { ...JUDGING, disaggregated: expected({ fixedSeconds: 2 }) })).toBe('aggregated meets_objective');
  });

  test('Bedrock is asked where it alone meets it, once it is known how fast it is', () => {
    const busy = state({ disaggregated: queue(90_000), aggregated: queue(90_000), bedrock: IDLE });
    expect(told(request(1000), busy, JUDGING)).toBe('disaggregated least_late');
    expect(told(request(1000), busy, { ...JUDGING, bedrock: expected() })).toBe('bedrock meets_objective');
    expect(told(request(1000), busy, { ...JUDGING, bedrock: expected({ fixedSeconds: 0.45 }) })).toBe('bedrock least_late');
    expect(told(request(1000), busy, { ...JUDGING, bedrock: expected({ fixedSeconds: 99 }) })).toBe('disaggregated least_late');
    expect(told(request(1000), state({ disaggregated: FULL, aggregated: FULL, bedrock: IDLE }), { ...JUDGING, bedrock: expected() })).toBe('bedrock only_path');
    expect(told(request(1000, { isEligible: false }), busy, { ...JUDGING, bedrock: expected() })).toBe('bedrock meets_objective');
  });

  test('what was measured counts, not what was predicted', () => {
    expect(told(request(1000), state(), { ...JUDGING, disaggregated: { ...JUDGING.disaggregated!, ttftFactor: 5 } })).toBe('aggregated meets_objective');
    expect(told(request(1000), state(), { ...JUDGING, disaggregated: { ...JUDGING.disaggregated!, tpotFactor: 4 } })).toBe('aggregated meets_objective');
  });
});

describe('what is cached', () => {
  const knowing = (cachedPromptTokens: number) => ({ ...IDLE, cachedPromptTokens });

  test('makes a prompt short where the engine that answers has it, and there alone', () => {
    expect(told(request(2000), state({ aggregated: knowing(1600) }), PLAIN)).toBe('aggregated short_prompt');
    expect(told(request(2000), state({ aggregated: knowing(1400) }), PLAIN)).toBe('disaggregated long_prompt');
    expect(told(request(2000), state({ disaggregated: knowing(2000) }), PLAIN)).toBe('disaggregated long_prompt');
    expect(told(request(2000), state({ aggregated: { ...FULL, cachedPromptTokens: 2000 } }), PLAIN)).toBe('disaggregated long_prompt');
  });

  test('need not be read, but is transferred', () => {
    expect(predictedTtftSeconds(JUDGING.disaggregated!.rates, 1000, 500, 0, 1000))
      .toBeCloseTo(RATES.fixedSeconds + 500 * RATES.secondsPerPromptToken + 1000 * 1e-5 + RATES.stepSeconds);
    expect(predictedTpotSeconds(JUDGING.aggregated!.rates, 1000, 500, 0, 1000)).toBeCloseTo(RATES.stepSeconds + 500 * 5e-6);
  });

  test('holds an objective that reading it would miss', () => {
    const queue = { ...IDLE, queuedPromptTokens: 20_000 };
    expect(told(request(6000), state({ disaggregated: queue }), JUDGING)).toBe('aggregated least_late');
    expect(told(request(6000), state({ disaggregated: queue, aggregated: knowing(5400) }), JUDGING)).toBe('aggregated meets_objective');
  });
});

const number = fc.oneof(fc.double({ min: 0, noNaN: true }), fc.constantFrom(0, Infinity, Number.MAX_VALUE, Number.MIN_VALUE));
const tokens = fc.oneof(fc.integer({ min: 0, max: 200_000 }), number);
const pathState = fc.record({ isUp: fc.boolean(), freeSlots: fc.integer({ min: 0, max: 3 }), queuedPromptTokens: tokens, sequences: tokens });
const rates = fc.oneof(
  fc.record({
    fixedSeconds: number,
    secondsPerPromptToken: number,
    transferSecondsPerToken: number,
    stepSeconds: number,
    stepSecondsPerSequence: number,
    stallSecondsPerPromptToken: number,
  }),
  fc.record({
    fixedSeconds: fc.double({ min: 0, max: 0.1, noNaN: true }),
    secondsPerPromptToken: fc.double({ min: 0, max: 1e-3, noNaN: true }),
    transferSecondsPerToken: fc.double({ min: 0, max: 1e-4, noNaN: true }),
    stepSeconds: fc.double({ min: 0, max: 0.1, noNaN: true }),
    stepSecondsPerSequence: fc.double({ min: 0, max: 1e-3, noNaN: true }),
    stallSecondsPerPromptToken: fc.double({ min: 0, max: 1e-5, noNaN: true }),
  }),
);
const factor = fc.double({ min: 0.125, max: 8, noNaN: true });
const expectation = fc.option(fc.record({ rates, ttftFactor: factor, tpotFactor: factor }), { nil: undefined });
const objective = fc.option(fc.oneof(number, fc.double({ min: 0.001, max: 10, noNaN: true })), { nil: undefined });
const policies = fc.record({
  minPromptTokens: tokens, ttftSeconds: objective, tpotSeconds: objective, disaggregated: expectation, aggregated: expectation, bedrock: expectation,
});
const requests = fc.record({ promptTokens: tokens, isEligible: fc.boolean(), tier: fc.constantFrom('priority' as const, 'default' as const, 'flex' as const) });
const states = fc.record({ disaggregated: pathState, aggregated: pathState, bedrock: pathState });
const RUNS = { numRuns: 2000 };

describe('for any numbers', () => {
  test('there is one answer, always the same, and never a path that is down, full, or a hand-off of what cannot be handed off', () => {
    fc.assert(fc.property(requests, states, policies, (asked, at, policy) => {
      const { path, reason } = decide(asked, at, policy);
      expect(decide(structuredClone(asked), structuredClone(at), structuredClone(policy))).toEqual({ path, reason });
      const isUp = (one: 'disaggregated' | 'aggregated' | 'bedrock') => at[one].isUp && (one !== 'disaggregated' || asked.isEligible);
      const isFull = isUp('disaggregated') || isUp('aggregated');
      const open = (['disaggregated', 'aggregated', 'bedrock'] as const).filter((one) => isUp(one) && at[one].freeSlots > 0);
      const own = open.filter((one) => one !== 'bedrock' || !isFull || policy.bedrock !== undefined);
      // refused only where nothing can take it, or nothing but Bedrock where that is not for engines that are full.
      expect(own.length === 0 ? ['refuse'] : open).toContain(path);
    }), RUNS);
  });

  test('more prompts before a prefill engine never make for a hand-off', () => {
    fc.assert(fc.property(requests, states, policies, tokens, (asked, at, policy, more) => {
      const longer = { ...at.disaggregated, queuedPromptTokens: at.disaggregated.queuedPromptTokens + more };
      if (decide(asked, at, policy).path !== 'disaggregated') {
        expect(decide(asked, { ...at, disaggregated: longer }, policy).path).not.toBe('disaggregated');
      }
    }), RUNS);
  });

  test('more prompts before an engine alone never keep it from being spared one', () => {
    fc.assert(fc.property(requests, states, policies, tokens, (asked, at, policy, more) => {
      const longer = { ...at.aggregated, queuedPromptTokens: at.aggregated.queuedPromptTokens + more };
      if (decide(asked, at, policy).path !== 'aggregated') {
        expect(decide(asked, { ...at, aggregated: longer }, policy).path).not.toBe('aggregated');
      }
    }), RUNS);
  });

  test('more of a prompt in the cache of an engine alone never makes for a hand-off', () => {
    fc.assert(fc.property(requests, states, policies, tokens, (asked, at, policy, cachedPromptTokens) => {
      fc.pre(cachedPromptTokens <= asked.promptTokens && asked.promptTokens < Infinity);
      if (decide(asked, at, policy).path !== 'disaggregated') {
        expect(decide(asked, { ...at, aggregated: { ...at.aggregated, cachedPromptTokens } }, policy).path).not.toBe('disaggregated');
      }
    }), RUNS);
  });

  test('between idle engines of equal rates a longer prompt is handed off where a shorter one is', () => {
    fc.assert(fc.property(requests, policies, rates, number, tokens, tokens, (asked, policy, equal, stall, sequences, more) => {
      const both = { rates: { ...equal, transferSecondsPerToken: 0, stallSecondsPerPromptToken: 0 }, ttftFactor: 1, tpotFactor: 1 };
      const same = { ...policy, disaggregated: both, aggregated: { ...both, rates: { ...both.rates, stallSecondsPerPromptToken: stall } } };
      const idle = state({ disaggregated: { ...IDLE, sequences }, aggregated: { ...IDLE, sequences } });
      if (decide(asked, idle, same).path === 'disaggregated') {
        expect(decide({ ...asked, promptTokens: asked.promptTokens + more }, idle, same).path).toBe('disaggregated');
      }
    }), RUNS);
  });

  test('a stricter objective is never said to be met where a looser one is not', () => {
    fc.assert(fc.property(requests, states, policies, fc.double({ min: 0, max: 1, noNaN: true }), (asked, at, policy, share) => {
      const { ttftSeconds, tpotSeconds } = policy;
      const stricter = { ...policy, ttftSeconds: ttftSeconds && ttftSeconds * share, tpotSeconds: tpotSeconds && tpotSeconds * share };
      if (decide(asked, at, policy).reason === 'least_late') {
        expect(decide(asked, at, stricter).reason).toBe('least_late');
      }
    }), RUNS);
  });
});
