import * as fc from 'fast-check';
import { RandomArrivals } from '../../../src/estimator/simulation/arrivals';
import { BatchMeans } from '../../../src/estimator/simulation/batch-means';
import { Histogram, QUANTILE_ERROR } from '../../../src/estimator/simulation/histogram';
import { Random, log } from '../../../src/estimator/simulation/random';
import { TaskHeap } from '../../../src/estimator/simulation/task-heap';
import { Tournament } from '../../../src/estimator/simulation/tournament';

test('the logarithm is right to the last digits', () => {
  fc.assert(fc.property(fc.double({ min: 1e-300, max: 1e300, noNaN: true }), (x) => {
    expect(Math.abs(log(x) - Math.log(x))).toBeLessThanOrEqual(1e-15 * Math.max(1, Math.abs(Math.log(x))));
  }), { numRuns: 5000 });
});

test('random numbers are fixed, whatever the machine', () => {
  const random = new Random(42, 0);
  expect([random.uniform(), random.uniform(), random.exponential()]).toEqual([0.8624723902903497, 0.038825237890705466, 1.5003950927270269]);
});

test.each([0, 0.25, 1, 4])('gaps have the mean and the variation %d', (scv) => {
  const arrivals = new RandomArrivals(1, 1, 2, scv, Float64Array.of(1));
  let last = 0;
  let sum = 0;
  let square = 0;
  const n = 400_000;
  for (let i = 0; i < n; i++) {
    const now = arrivals.seconds();
    sum += now - last;
    square += (now - last) ** 2;
    last = now;
  }
  const mean = sum / n;
  expect(mean / 0.5).toBeCloseTo(1, 1);
  expect(Math.abs(square / n / (mean * mean) - 1 - scv)).toBeLessThan(0.03 * (1 + scv));
});

test('kinds come by their weights', () => {
  const weights = Float64Array.of(0.1, 0.6, 0.05, 0.25);
  const arrivals = new RandomArrivals(3, 1, 1, 1, weights);
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 200_000; i++) {
    counts[arrivals.kind()]++;
  }
  counts.forEach((count, i) => expect(Math.abs(count / 200_000 - weights[i])).toBeLessThan(0.005));
});

test('quantiles are within the stated error of exact ones', () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 1e-9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 200 }), (values) => {
    const histogram = new Histogram();
    values.forEach((value) => histogram.add(value));
    const sorted = [...values].sort((a, b) => a - b);
    for (const share of [0.01, 0.5, 0.9, 0.99, 1]) {
      const exact = sorted[Math.max(1, Math.ceil(share * values.length)) - 1];
      expect(Math.abs(histogram.quantile(share) / exact - 1)).toBeLessThanOrEqual(QUANTILE_ERROR);
    }
    expect([histogram.min, histogram.max, histogram.count]).toEqual([sorted[0], sorted[sorted.length - 1], values.length]);
  }));
});

test('a heap gives its tasks by key, equal ones by rank', () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 100 }), (keys) => {
    const heap = new TaskHeap();
    keys.forEach((key, i) => heap.push(key, i, i));
    // those that are taken out leave the others in order
    expect(keys.map((_, i) => i % 3 === 1 && heap.remove(i))).toEqual(keys.map((_, i) => i % 3 === 1));
    expect(heap.remove(1)).toBe(false);
    const order = Array.from(keys.keys()).filter((i) => i % 3 !== 1).sort((a, b) => keys[a] - keys[b] || a - b);
    expect(order.map(() => heap.pop())).toEqual(order);
    expect(heap.key).toBe(Infinity);
  }));
});

test('a tournament is won by the lowest, of equal ones by the one whose last turn is longest ago', () => {
  const moves = fc.array(fc.tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 5 }), fc.boolean()), { maxLength: 60 });
  fc.assert(fc.property(fc.integer({ min: 1, max: 13 }), moves, (players, changes) => {
    const tournament = new Tournament(players, 3);
    const values = Array.from({ length: players }, () => 3);
    const byTurn = Array.from(values.keys());
    for (const [number, value, isTurn] of changes) {
      const player = number % players;
      values[player] = value;
      if (isTurn) {
        tournament.take(player, value);
        byTurn.push(...byTurn.splice(byTurn.indexOf(player), 1));
      } else {
        tournament.set(player, value);
      }
      expect(tournament.least).toBe(Math.min(...values));
      expect(tournament.winner).toBe(byTurn.find((one) => values[one] === tournament.least));
    }
  }));
});

/** The error share of so many values around 1, each as much like the one before as told. */
function errorOf(likeness: number, count: number, drift = 0): number {
  const random = new Random(5, 0);
  const means = new BatchMeans(count);
  let off = 0;
  for (let i = 0; i < count; i++) {
    off = likeness * off + (random.uniform() - 0.5) * Math.sqrt(12 * (1 - likeness * likeness));
    means.add(i, 1 + 0.1 * off + drift * (i / count - 0.5));
  }
  return means.errorShare!;
}

test.each([[0, 20_000], [0.9, 20_000], [0.99, 200_000]])('batch means tell the error of a mean of values that are like those before, %d', (likeness, count) => {
  // of an autoregressive process
  const exact = 1.96 * 0.1 * Math.sqrt((1 + likeness) / (1 - likeness) / count);
  expect(errorOf(likeness, count) / exact).toBeGreaterThan(0.8);
  expect(errorOf(likeness, count) / exact).toBeLessThan(1.7);
});

test('batch means tell a drift, and nothing of fewer values than parts', () => {
  expect(errorOf(0, 20_000, 1)).toBeGreaterThan(20 * errorOf(0, 20_000));
  expect(new BatchMeans(31).errorShare).toBeUndefined();
});
