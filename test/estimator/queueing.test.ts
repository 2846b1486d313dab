import * as fc from 'fast-check';
import { batchVariance, meanBatch } from '../../src/estimator/queueing/batch';
import { conditionalWaitSeconds, peakedness, waitingProbability } from '../../src/estimator/queueing/bursty-queue';
import { arrivalDispersion, arrivalsWhileReading } from '../../src/estimator/queueing/fewest-requests';
import { CUTS, SHARES, SpreadMixture } from '../../src/estimator/queueing/spread-mixture';
import { WaitingMixture } from '../../src/estimator/queueing/waiting-mixture';
import { RandomArrivals } from '../../src/estimator/simulation/arrivals';
import { Random } from '../../src/estimator/simulation/random';
import { DRAWS, EIGHTY_PERCENT, interval, latinHypercube, normalQuantile, widened } from '../../src/estimator/uncertainty';

function quantiles(weights: number[], fixed: number[], waits: [number, number, number, number], shares: number[]): number[] {
  const mixture = new WaitingMixture(Float64Array.from(weights));
  fixed.forEach((seconds, i) => {
    mixture.fixedSeconds[i] = seconds;
  });
  mixture.prepare(waits[0], waits[1], 1);
  mixture.wait(waits[2], waits[3]);
  const out = new Float64Array(shares.length);
  mixture.quantiles(shares, out, 0);
  return [...out];
}

// the share within x, from the definition: zero or exponential, twice, convolved numerically
function within(x: number, weights: number[], fixed: number[], [c1, m1, c2, m2]: [number, number, number, number]): number {
  const first = (t: number) => (t < 0 ? 0 : 1 - c1 * Math.exp(-t / m1));
  const sum = (t: number) => {
    if (t < 0) {
      return 0;
    }
    let total = (1 - c2) * first(t);
    const n = 2000;
    for (let i = 0; i < n; i++) {
      const y = (i + 0.5) * t / n;
      total += first(t - y) * c2 / m2 * Math.exp(-y / m2) * t / n;
    }
    return total;
  };
  return weights.reduce((total, weight, i) => total + weight * sum(x - fixed[i]), 0);
}

// Erlang C by the recursion of Erlang B
function erlangC(servers: number, load: number): number {
  let blocking = 1;
  for (let i = 1; i <= servers; i++) {
    blocking = load * blocking / (i + load * blocking);
  }
  return load >= servers ? 1 : blocking / (1 - load / servers * (1 - blocking));
}

describe('a queue', () => {
  test.each([[1, 0.7, 0.7], [2, 1, 1 / 3], [3, 2, 4 / 9], [10, 10, 1]])('of Poisson arrivals at %d servers, %d Erlangs: %d', (servers, load, probability) => {
    expect(waitingProbability(servers, load, (busy) => busy, 1)).toBeCloseTo(probability, 12);
  });

  test('of Poisson arrivals is Erlang C at any number of servers', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 3000 }), fc.double({ min: 0.01, max: 1.1, noNaN: true }), (servers, load) => {
      expect(waitingProbability(servers, load * servers, (busy) => busy, 1)).toBeCloseTo(erlangC(servers, load * servers), 9);
    }));
    expect(waitingProbability(1e9, 0.999e9, (busy) => busy, 1)).toBe(0);
  });

  test('one server: the mean wait of M/M/1, and half of it with constant service', () => {
    const rho = 0.8;
    expect(rho * conditionalWaitSeconds(1, rho, 1, 1, 1)).toBeCloseTo(rho / (1 - rho), 12);
    expect(rho * conditionalWaitSeconds(1, rho, 1, 1, 0)).toBeCloseTo(rho / (1 - rho) / 2, 12);
  });

  // GI/M/c with the arrivals of the simulation
  test.each([[1, 0.3, 20], [1, 0.8, 4], [4, 0.6, 20], [16, 0.8, 4], [16, 0.9, 20]])('%d servers, load %d, scv %d: as simulated', (servers, load, scv) => {
    const arrivals = new RandomArrivals(1, 1e6, 1, scv, Float64Array.of(1));
    const service = new Random(2, 0);
    const free = new Float64Array(servers);
    let [waiting, seconds] = [0, 0];
    const count = 400_000;
    for (let i = 0; i < count; i++) {
      const now = arrivals.seconds();
      const first = free.reduce((least, at, server) => (at < free[least] ? server : least), 0);
      const wait = Math.max(0, free[first] - now);
      waiting += wait > 0 ? 1 : 0;
      seconds += wait;
      free[first] = now + wait + load * servers * service.exponential();
    }
    const chance = waitingProbability(servers, 1, (busy) => busy / (load * servers), scv);
    expect(chance / (waiting / count)).toBeGreaterThan(0.97);
    expect(chance / (waiting / count)).toBeLessThan(1.03);
    expect(conditionalWaitSeconds(servers, 1, load * servers, scv, 1) / (seconds / waiting)).toBeGreaterThan(0.85);
    expect(conditionalWaitSeconds(servers, 1, load * servers, scv, 1) / (seconds / waiting)).toBeLessThan(1.15);
  });

  test('peakedness is 1 for Poisson arrivals, and half of what the gaps vary more by where many are served', () => {
    expect(peakedness(12, 1)).toBe(1);
    expect(peakedness(1e6, 20)).toBeCloseTo((1 + 20) / 2, 3);
  });
});

test('one engine of its own gets all arrivals; of many each gets fewer while it reads, and as many as leave it', () => {
  expect([arrivalsWhileReading(1, 0.4, 0), arrivalsWhileReading(1, 0.4, 1), arrivalDispersion(1, 0)]).toEqual([1, 1, 1]);
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 1000 }), fc.double({ min: 0, max: 0.99, noNaN: true }), fc.double({ min: 0, max: 0.99, noNaN: true }),
    fc.double({ min: 0, max: 3, noNaN: true }),
    (engines, load, writing, scv) => {
      const share = arrivalsWhileReading(engines, load, writing) + 1e-12;
      expect(share).toBeGreaterThanOrEqual(arrivalsWhileReading(engines + 1, load, writing));
      expect(arrivalsWhileReading(engines, load + 0.01, writing) + 1e-12).toBeGreaterThanOrEqual(share - 1e-12);
      expect(arrivalsWhileReading(engines, load, writing + 0.01) + 1e-12).toBeGreaterThanOrEqual(share - 1e-12);
      expect(arrivalDispersion(engines, scv)).toBeGreaterThanOrEqual(arrivalDispersion(engines + 1, scv));
      expect(arrivalDispersion(1e9, scv)).toBeCloseTo(Math.min(1, scv), 6);
    },
  ));
});

describe('spread mixture', () => {
  const quantilesOf = (parts: [weight: number, mean: number, deviation: number][]) => {
    const mixture = new SpreadMixture(parts.length);
    parts.forEach(([weight, mean, deviation], part) => {
      mixture.weigh(part, weight);
      CUTS.forEach((z, cut) => mixture.cut(part, cut, mean + z * deviation));
    });
    const out = new Float64Array(SHARES.length);
    mixture.quantiles(out, 0);
    return [...out];
  };

  test('of one part percentiles are exact', () => {
    expect(quantilesOf([[1, 10, 2]])).toEqual(SHARES.map((share) => expect.closeTo(10 + 2 * normalQuantile(share), 9)));
    expect(quantilesOf([[0, 3, 1], [1, 10, 2]])).toEqual(quantilesOf([[1, 10, 2]]));
  });

  test('of two parts that are far apart each percentile is one of the part that it falls into', () => {
    const [p50, p90, p95, p99] = quantilesOf([[0.94, 1, 0.01], [0.06, 5, 0.01]]);
    expect([p50, p90]).toEqual([expect.closeTo(1, 1), expect.closeTo(1, 1)]);
    expect([p95, p99]).toEqual([expect.closeTo(5, 1), expect.closeTo(5, 1)]);
  });

  test('nothing that grows lowers a percentile', () => {
    const between = (min: number, max: number) => fc.double({ min, max, noNaN: true });
    const part = fc.tuple(between(0.01, 1), between(10, 20), between(0, 3));
    fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), between(0, 1), (raw, more) => {
      const all = raw.reduce((sum, [weight]) => sum + weight, 0);
      const parts = raw.map(([weight, mean, deviation]): [number, number, number] => [weight / all, mean, deviation]);
      const grown = quantilesOf(parts.map(([weight, mean, deviation], i) => [weight, mean + (i === 0 ? more : 0), deviation]));
      quantilesOf(parts).forEach((value, i) => expect(grown[i]).toBeGreaterThanOrEqual(value * (1 - 1e-6)));
    }));
  });
});

describe('waiting mixture', () => {
  test('one class that waits exponentially', () => {
    expect(quantiles([1], [2], [0.5, 3, 0, 0], [0.4, 0.5, 0.9, 0.99])).toEqual([
      2, 2, expect.closeTo(2 + 3 * Math.log(5), 9), expect.closeTo(2 + 3 * Math.log(50), 9),
    ]);
  });

  test.each([0.5, 0.6, 0.9, 1, 1.3, 4])('a first wait has its mean and its squared coefficient of variation: %d', (scv) => {
    const mixture = new WaitingMixture(Float64Array.of(1));
    mixture.prepare(0.6, 3, scv);
    const shares = Array.from({ length: 50_000 }, (_, i) => (i + 0.5) / 50_000);
    const waits = new Float64Array(shares.length);
    mixture.quantiles(shares, waits, 0);
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    const square = waits.reduce((sum, wait) => sum + wait * wait, 0) / waits.length;
    expect(mean / 0.6).toBeCloseTo(3, 2);
    expect(0.6 * square / (mean * mean) / (1 + scv)).toBeCloseTo(1, 2);
  });

  test('a third wait adds to the first two, also where it is as long as another', () => {
    const one = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 4 }));
    fc.assert(fc.property(fc.tuple(one, one, one), (waits) => {
      const mixture = new WaitingMixture(Float64Array.of(1));
      const [[probability, mean], second, third] = waits;
      mixture.prepare(probability, mean, 1);
      mixture.wait(...second);
      mixture.wait(...third);
      const shares = Array.from({ length: 20_000 }, (_, i) => (i + 0.5) / 20_000);
      const times = new Float64Array(shares.length);
      mixture.quantiles(shares, times, 0);
      const total = (of: (seconds: number) => number) => times.reduce((sum, seconds) => sum + of(seconds), 0) / times.length;
      const meanOf = waits.reduce((sum, [chance, seconds]) => sum + chance * seconds, 0);
      const variance = waits.reduce((sum, [chance, seconds]) => sum + chance * (2 - chance) * seconds * seconds, 0);
      expect(Math.abs(total((seconds) => seconds) - meanOf)).toBeLessThan(0.003 * (1 + meanOf));
      expect(Math.abs(total((seconds) => (seconds - meanOf) ** 2) - variance)).toBeLessThan(0.02 * (0.1 + variance));
      expect(times.every((seconds, i) => i === 0 || seconds >= times[i - 1])).toBe(true);
    }), { numRuns: 30 });
  });

  test('without waits the percentiles are those of the classes', () => {
    expect(quantiles([0.3, 0.5, 0.2], [3, 1, 7], [0, 0, 0, 0], [0.5, 0.8, 0.81])).toEqual([1, 3, 7]);
  });

  test('agrees with the convolution of both waits over the classes', () => {
    fc.assert(fc.property(
      fc.array(fc.double({ min: 0.05, max: 1, noNaN: true }), { minLength: 1, maxLength: 6 }),
      fc.double({ min: 0, max: 0.95, noNaN: true }), fc.double({ min: 0.05, max: 2, noNaN: true }),
      fc.double({ min: 0, max: 0.95, noNaN: true }), fc.double({ min: 0.05, max: 2, noNaN: true }),
      (raw, c1, m1, c2, m2) => {
        const total = raw.reduce((a, b) => a + b, 0);
        const weights = raw.map((weight) => weight / total);
        const fixed = raw.map((weight, i) => weight * 3 + (i % 3));
        const shares = [0.5, 0.9, 0.99];
        quantiles(weights, fixed, [c1, m1, c2, m2], shares).forEach((x, i) => {
          expect(within(x + 1e-6, weights, fixed, [c1, m1, c2, m2])).toBeGreaterThanOrEqual(shares[i] - 2e-3);
          expect(within(x - 1e-6, weights, fixed, [c1, m1, c2, m2])).toBeLessThanOrEqual(shares[i] + 2e-3);
        });
      },
    ), { numRuns: 60 });
  });
});

describe('decode batch', () => {
  test('a constant step is M/G/infinity: arrivals times holding time, with Poisson variance', () => {
    const batch = meanBatch(3, 100, 1000, () => 0.02);
    expect(batch).toBeCloseTo(6, 6);
    expect(batchVariance(batch, 0.02, 0.02)).toBeCloseTo(6, 6);
  });

  test('a step in proportion to the batch is processor sharing: B = rho / (1 - rho), variance B (1 + B)', () => {
    const batch = meanBatch(2, 100, 1000, (b) => 0.004 * b);
    expect(batch).toBeCloseTo(0.8 / 0.2, 5);
    expect(batchVariance(batch, 0.004 * (1 + batch), 0.004 * (2 + batch))).toBeCloseTo(batch * (1 + batch), 3);
  });

  test('a load beyond the slots fills them', () => {
    expect(meanBatch(100, 100, 64, () => 0.02)).toBe(64);
  });
});

describe('draws', () => {
  test('each dimension has every stratum once, in an order of its own', () => {
    const [first, second] = latinHypercube(2);
    expect([...first].sort((a, b) => a - b)).toEqual([...second].sort((a, b) => a - b));
    expect(new Set(first).size).toBe(DRAWS);
    expect([...first]).not.toEqual([...second]);
    expect([...latinHypercube(5)[1]]).toEqual([...second]);
    expect([...latinHypercube(1, 1)[0]]).toEqual([...second]);
  });

  test.each([[0.5, 0], [0.975, 1.959963985], [0.001, -3.090232306], [0.9, 1.281551566]])('normal quantile of %d is %d', (share, z) => {
    expect(normalQuantile(share)).toBeCloseTo(z, 7);
  });

  test('an interval contains its centre', () => {
    expect(interval(5, Float64Array.from([1, 2, 3]))).toEqual({ value: 5, low: expect.closeTo(1.2, 9), high: 5 });
  });

  test('what figures are off by besides widens an interval as independent spreads add up, either way by itself', () => {
    const { low, high } = widened({ value: 1, low: Math.exp(-0.3), high: Math.exp(0.4) }, 0.3 / EIGHTY_PERCENT);
    expect(Math.log(low)).toBeCloseTo(-0.3 * Math.SQRT2, 12);
    expect(Math.log(high)).toBeCloseTo(0.5, 12);
  });
});
