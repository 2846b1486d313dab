import * as fc from 'fast-check';
import { FairQueue, Waiting } from '../../../../src/router/runtime/admission/fair-queue';
import { ServiceTier } from '../../../../src/routing';

interface Item extends Waiting {
  readonly id: number;
}

const TIERS: readonly ServiceTier[] = ['priority', 'default', 'flex'];
const ROOM = { maxRequests: 1e6, maxPromptTokens: 1e9, maxBytes: 1e9 };
const anyone = () => true;
let ids = 0;
const item = (more: Partial<Item> = {}): Item => ({ id: ids++, tier: 'default', caller: 'a', promptTokens: 10, bytes: 40, needs: 'slot', ...more });
const all = (queue: FairQueue<Item>, offer: (one: Item) => boolean = anyone) => {
  const taken: Item[] = [];
  for (let one = queue.take(offer); one !== undefined; one = queue.take(offer)) {
    taken.push(one);
  }
  return taken;
};

const items = fc.record({
  tier: fc.constantFrom(...TIERS),
  caller: fc.constantFrom('a', 'b', 'c'),
  promptTokens: fc.integer({ min: 0, max: 400 }),
  bytes: fc.integer({ min: 0, max: 2000 }),
  needs: fc.constantFrom('slot', 'other'),
});
type Step = { readonly push: Partial<Item> } | { readonly take: readonly string[] } | { readonly remove: number };
const steps: fc.Arbitrary<Step[]> = fc.array(fc.oneof(
  { weight: 3, arbitrary: fc.record({ push: items }) },
  fc.record({ take: fc.subarray(['slot', 'other']) }),
  fc.record({ remove: fc.nat(1000) }),
), { maxLength: 120 });
const bounds = fc.record({
  maxRequests: fc.integer({ min: 0, max: 12 }), maxPromptTokens: fc.integer({ min: 1, max: 2000 }), maxBytes: fc.integer({ min: 1, max: 10_000 }),
});

test('nothing is lost or twice, its bounds hold, and urgent tiers and those who came first are first', () => {
  fc.assert(fc.property(bounds, steps, (limits, script) => {
    const queue = new FairQueue<Item>(limits);
    // in the order in which they came.
    let waiting: Item[] = [];
    const gone = (one: Item) => {
      expect(waiting).toContain(one);
      waiting = waiting.filter((other) => other !== one);
    };
    for (const step of script) {
      if ('push' in step) {
        const one = item(step.push);
        const displaced = queue.push(one);
        displaced?.forEach((other) => {
          gone(other);
          // nobody has to go for a less urgent one, nor for another of the same caller.
          expect(TIERS.indexOf(other.tier)).toBeGreaterThanOrEqual(TIERS.indexOf(one.tier));
          expect([other.tier, other.caller]).not.toEqual([one.tier, one.caller]);
        });
        waiting.push(...(displaced === undefined ? [] : [one]));
      } else if ('remove' in step && waiting.length > 0) {
        const one = waiting[step.remove % waiting.length];
        queue.remove(one);
        queue.remove(one);
        gone(one);
      } else if ('take' in step) {
        const before = (one: Item) => waiting.slice(0, waiting.indexOf(one));
        const line = ({ tier, caller, needs }: Item) => [tier, caller, needs].join();
        const heads = waiting.filter((one) => !before(one).some((other) => line(other) === line(one)));
        const able = heads.filter(({ needs }) => step.take.includes(needs as string));
        const taken = queue.take(({ needs }) => step.take.includes(needs as string));
        expect(taken === undefined).toBe(able.length === 0);
        if (taken !== undefined) {
          expect(able).toContain(taken);
          expect(able.some(({ tier }) => TIERS.indexOf(tier) < TIERS.indexOf(taken.tier))).toBe(false);
          gone(taken);
        }
      }
      const sum = (of: 'promptTokens' | 'bytes') => waiting.reduce((total, one) => total + one[of], 0);
      expect([queue.requests, queue.promptTokens]).toEqual([waiting.length, sum('promptTokens')]);
      expect(queue.requests).toBeLessThanOrEqual(limits.maxRequests);
      // one that waits alone may be longer than all may be.
      if (waiting.length > 1) {
        expect(queue.promptTokens).toBeLessThanOrEqual(limits.maxPromptTokens);
        expect(sum('bytes')).toBeLessThanOrEqual(limits.maxBytes);
      }
    }
    expect(all(queue)).toHaveLength(waiting.length);
  }));
});

test('callers who both wait have had as many tokens but for two prompts, whatever they and others ask for', () => {
  const prompts = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 20, maxLength: 60 });
  fc.assert(fc.property(prompts, prompts, fc.array(items, { maxLength: 40 }),
    (a, b, others) => {
      const queue = new FairQueue<Item>(ROOM);
      const coming = others.map((one) => item({ ...one, tier: 'default', caller: 'c' }));
      a.forEach((promptTokens) => queue.push(item({ caller: 'a', promptTokens })));
      b.forEach((promptTokens) => queue.push(item({ caller: 'b', promptTokens })));
      const left = new Map([['a', a.length], ['b', b.length], ['c', 0]]);
      const had = new Map([['a', 0], ['b', 0], ['c', 0]]);
      const most = Math.max(...a) + Math.max(...b);
      while (left.get('a')! > 0 && left.get('b')! > 0) {
        const next = coming.pop();
        if (next !== undefined) {
          queue.push(next);
        }
        const { caller, promptTokens } = queue.take(anyone)!;
        had.set(caller, had.get(caller)! + promptTokens);
        left.set(caller, left.get(caller)! - 1);
        expect(Math.abs(had.get('a')! - had.get('b')!)).toBeLessThanOrEqual(most);
      }
    }));
});

test('one that waits has its turn although others ask without end, and silence earns nobody more than that', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: 200 }), (own, each, before) => {
    const queue = new FairQueue<Item>(ROOM);
    queue.push(item({ caller: 'greedy', promptTokens: each }));
    const next = () => {
      queue.push(item({ caller: 'greedy', promptTokens: each }));
      return queue.take(anyone)!;
    };
    Array.from({ length: before }, next);
    queue.push(item({ caller: 'b', promptTokens: own }));
    queue.push(item({ caller: 'b', promptTokens: own }));
    let between = 0;
    let turns = 0;
    for (let served = 0; served < 2; turns++) {
      expect(turns).toBeLessThan(2000);
      const { caller, promptTokens } = next();
      served += caller === 'b' ? 1 : 0;
      between += served === 1 && caller === 'greedy' ? promptTokens : 0;
    }
    // after the first of it, the other has its own share again.
    expect(between).toBeGreaterThanOrEqual(own - each);
    expect(between).toBeLessThanOrEqual(own + each);
  }));
});

test('one that cannot have what it needs is passed over, by others of its caller too, is asked once for all alike, and keeps its turn', () => {
  const queue = new FairQueue<Item>(ROOM);
  const [a, b, c, urgent] = [
    item({ needs: 'other' }), item({ caller: 'b', needs: 'other' }), item({ caller: 'c' }), item({ caller: 'd', tier: 'priority', needs: 'other' }),
  ];
  [a, b, c, urgent].forEach((one) => queue.push(one));
  const asked: Item[] = [];
  expect(queue.take((one) => asked.push(one) > 0 && one.needs === 'slot')).toBe(c);
  expect(asked).toEqual([urgent, c]);
  const own = item();
  queue.push(own);
  expect([queue.waitsFor('slot'), queue.waitsFor('other'), queue.waitsFor('none')]).toEqual([true, true, false]);
  expect(queue.take(({ needs }) => needs === 'slot')).toBe(own);
  expect(queue.waitsFor('slot')).toBe(false);
  queue.push(item({ caller: 'c' }));
  expect(all(queue, ({ needs }) => needs === 'other')).toEqual([urgent, b, a]);
});

describe('when there is no room', () => {
  const FOUR = { ...ROOM, maxRequests: 4 };

  test('a caller who has all of it makes room for another, its last first, until both have as much', () => {
    const queue = new FairQueue<Item>(FOUR);
    const [first, second, third, fourth] = Array.from({ length: 4 }, () => item());
    [first, second, third, fourth].forEach((one) => queue.push(one));
    expect(queue.push(item())).toBeUndefined();
    expect(queue.push(item({ caller: 'b' }))).toEqual([fourth]);
    expect(queue.push(item({ caller: 'b' }))).toEqual([third]);
    expect(queue.push(item({ caller: 'b' }))).toBeUndefined();
    expect(all(queue).map(({ caller }) => caller)).toEqual(['a', 'b', 'a', 'b']);
  });

  test('a less urgent tier makes room for a more urgent one, not the other way round', () => {
    const queue = new FairQueue<Item>(FOUR);
    const flex = item({ tier: 'flex' });
    [flex, item(), item({ tier: 'priority' }), item({ tier: 'priority' })].forEach((one) => queue.push(one));
    expect(queue.push(item({ tier: 'flex', caller: 'b' }))).toBeUndefined();
    expect(queue.push(item({ tier: 'priority' }))).toEqual([flex]);
    expect(all(queue).map(({ tier }) => tier)).toEqual(['priority', 'priority', 'priority', 'default']);
  });

  test('as many make room as it takes, or none if that is not enough', () => {
    const queue = new FairQueue<Item>({ ...ROOM, maxPromptTokens: 100 });
    const [first, second, third] = [item({ promptTokens: 50 }), item({ promptTokens: 25 }), item({ promptTokens: 25 })];
    [first, second, third].forEach((one) => queue.push(one));
    expect(queue.push(item({ caller: 'b', promptTokens: 60 }))).toBeUndefined();
    expect(queue.push(item({ caller: 'b', promptTokens: 101, tier: 'priority' }))).toBeUndefined();
    expect(queue.promptTokens).toBe(100);
    expect(queue.push(item({ caller: 'b', promptTokens: 40 }))).toEqual([third, second]);
    expect(queue.promptTokens).toBe(90);
  });

  test.each([{ maxPromptTokens: 9 }, { maxBytes: 39 }])('one that is longer than all may be waits alone, %p', (less) => {
    const queue = new FairQueue<Item>({ ...ROOM, ...less });
    const [short, long] = [item({ tier: 'flex', promptTokens: 1, bytes: 1 }), item()];
    expect(queue.push(short)).toEqual([]);
    expect(queue.push(long)).toBeUndefined();
    expect(all(queue)).toEqual([short]);
    expect(queue.push(long)).toEqual([]);
    expect(queue.push(short)).toBeUndefined();
    expect(all(queue)).toEqual([long]);
    expect(new FairQueue<Item>({ ...ROOM, ...less, maxRequests: 0 }).push(item())).toBeUndefined();
  });
});

test('callers have equal shares of what prompts and answers have together: who asks for long answers has fewer of them', () => {
  const queue = new FairQueue<Item>(ROOM);
  for (let i = 0; i < 40; i++) {
    queue.push(item({ caller: 'writer', promptTokens: 1 }));
    queue.push(item({ caller: 'reader', promptTokens: 100 }));
  }
  const served = { writer: 0, reader: 0 };
  for (let i = 0; i < 40; i++) {
    const { caller } = queue.take(anyone)!;
    served[caller as 'writer' | 'reader']++;
    queue.charge('default', caller, caller === 'writer' ? 299 : 0);
  }
  expect(served).toEqual({ writer: 10, reader: 30 });
});
