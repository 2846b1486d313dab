import * as fc from 'fast-check';
import { DrainRate } from '../../../../src/router/runtime/admission/drain-rate';
import { RateLimits } from '../../../../src/router/runtime/admission/rate-limits';
import { RetryBudget } from '../../../../src/router/runtime/admission/retry-budget';

const pauses = fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 100 });

describe('rate limits', () => {
  test('a minute\'s requests at once, then as they come back; each caller has its own', () => {
    const limits = new RateLimits({ requestsPerMinute: 2 });
    const take = (caller: string, millis: number) => limits.take(caller, 1e9, millis);
    expect([take('a', 0), take('a', 0)]).toEqual([undefined, undefined]);
    expect(take('a', 0)).toEqual({ limit: 'requests_per_minute', afterSeconds: 30 });
    expect(take('b', 0)).toBeUndefined();
    expect(take('a', 20_000)?.afterSeconds).toBeCloseTo(10);
    expect(take('a', 30_000)).toBeUndefined();
    expect(take('a', 30_000)?.afterSeconds).toBeCloseTo(30);
    // whoever is forgotten is as if new.
    expect([take('b', 200_000), take('b', 200_000), take('b', 200_000)?.limit]).toEqual([undefined, undefined, 'requests_per_minute']);
  });

  test('tokens of an answer are owed, and what was estimated too high is given back', () => {
    const limits = new RateLimits({ tokensPerMinute: 600 });
    expect(limits.take('a', 100, 0)).toBeUndefined();
    limits.charge('a', 620, 0);
    expect(limits.take('a', 10, 0)).toEqual({ limit: 'tokens_per_minute', afterSeconds: 13 });
    expect(limits.take('a', 10, 13_000)).toBeUndefined();
    limits.charge('a', -10, 13_000);
    expect(limits.take('a', 11, 13_000)?.afterSeconds).toBeCloseTo(0.1);
  });

  test('a prompt longer than a minute\'s tokens passes alone', () => {
    const limits = new RateLimits({ tokensPerMinute: 600 });
    expect(limits.take('a', 1_000, 0)).toBeUndefined();
    expect(limits.take('a', 1_000, 0)?.afterSeconds).toBeCloseTo(100);
  });

  test('what was had counts against a limit that is changed; nobody comes to owe by it, and a debt stays', () => {
    const limits = new RateLimits({ requestsPerMinute: 4, tokensPerMinute: 600 });
    [limits.take('a', 100, 0), limits.take('a', 100, 0), limits.take('a', 100, 0)].forEach((reached) => expect(reached).toBeUndefined());
    limits.take('b', 100, 0);
    limits.charge('b', 520, 0);
    limits.limit({ requestsPerMinute: 2, tokensPerMinute: 300 }, 0);
    expect([limits.take('a', 1, 0)?.afterSeconds, limits.take('b', 1, 0)?.afterSeconds]).toEqual([30, 4.2]);
    limits.limit({ tokensPerMinute: 6000 }, 0);
    expect(limits.take('b', 5981, 0)?.afterSeconds).toBeCloseTo(3.01);
    limits.limit({}, 0);
    expect(limits.take('b', 1e9, 0)).toBeUndefined();
  });

  test('whoever is sure to be refused is told so, and nothing is taken by it', () => {
    const limits = new RateLimits({ requestsPerMinute: 2, tokensPerMinute: 600 });
    expect([limits.reached('a', 0, 0), limits.take('a', 100, 0), limits.reached('a', 0, 0), limits.reached('a', 501, 0)?.limit]).toEqual([
      undefined, undefined, undefined, 'tokens_per_minute',
    ]);
    expect(limits.take('a', 500, 0)).toBeUndefined();
    expect(limits.reached('a', 0, 0)).toEqual({ limit: 'requests_per_minute', afterSeconds: 30 });
    limits.charge('a', 300, 0);
    limits.giveBack('a', 0);
    expect(limits.reached('a', 0, 0)).toEqual({ limit: 'tokens_per_minute', afterSeconds: 30 });
  });

  test('a request that is given back can be had again', () => {
    const limits = new RateLimits({ requestsPerMinute: 1 });
    limits.giveBack('a', 0);
    expect(limits.take('a', 1, 0)).toBeUndefined();
    limits.giveBack('a', 0);
    expect([limits.take('a', 1, 0), limits.take('a', 1, 0)?.limit]).toEqual([undefined, 'requests_per_minute']);
  });

  test('never more than a minute\'s and what came back since, and whoever waits as long as told is let in', () => {
    fc.assert(fc.property(pauses, fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 100 }), (millis, perMinute, tokens) => {
      const limits = new RateLimits({ requestsPerMinute: perMinute, tokensPerMinute: 10 * perMinute });
      let [now, taken] = [1_000, 0];
      for (const pause of millis) {
        now += pause;
        const reached = limits.take('a', tokens, now);
        if (reached !== undefined) {
          now += Math.ceil(reached.afterSeconds * 1000);
          expect(limits.take('a', tokens, now)).toBeUndefined();
        }
        taken++;
        const minutes = 1 + (now - 1_000) / 60_000;
        expect(taken).toBeLessThanOrEqual(perMinute * minutes + 1e-6);
        expect(taken * tokens).toBeLessThanOrEqual(10 * perMinute * minutes + tokens);
      }
    }));
  });
});

test('retries are at most a fifth of the requests of the last minute, and twenty', () => {
  fc.assert(fc.property(pauses, fc.integer({ min: 1, max: 50 }), (millis, requests) => {
    const budget = new RetryBudget();
    const came: number[] = [];
    const retried: number[] = [];
    let now = 0;
    for (const pause of millis) {
      now += pause;
      for (let i = 0; i < requests; i++) {
        came.push(now);
        budget.deposit(now);
        if (budget.withdraw(now)) {
          retried.push(now);
        }
      }
      const recent = (times: number[], seconds: number) => times.filter((at) => at > now - seconds * 1000).length;
      expect(recent(retried, 30)).toBeLessThanOrEqual(20 + 0.2 * recent(came, 60));
    }
  }));
  const budget = new RetryBudget();
  const withdrawn = (now: number) => Array.from({ length: 200 }, () => budget.withdraw(now)).filter(Boolean).length;
  expect(withdrawn(0)).toBe(20);
  Array.from({ length: 500 }).forEach(() => budget.deposit(1_000));
  expect([withdrawn(1_000), withdrawn(29_000), withdrawn(59_000), withdrawn(119_000)]).toEqual([100, 0, 0, 20]);
});

test('what is queued drains as fast as others did, the latest the most', () => {
  const rate = new DrainRate();
  rate.began(0);
  expect(rate.secondsFor(100, 5_000)).toBe(5);
  rate.drained(1_000, 10_000);
  expect(rate.secondsFor(100, 10_000)).toBeCloseTo(1);
  // ten seconds in which nothing went.
  expect(rate.secondsFor(100, 20_000)).toBeCloseTo(2);
  // nobody waited meanwhile.
  rate.began(1_000_000);
  rate.drained(1_000, 1_001_000);
  expect(rate.secondsFor(100, 1_001_000)).toBeGreaterThan(0.5);
  expect(rate.secondsFor(100, 1_001_000)).toBeLessThan(0.6);
});
