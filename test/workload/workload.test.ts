import { join } from 'node:path';
import * as fc from 'fast-check';
import { ProblemsError } from '../../src/problems';
import { LengthClass, LengthDistribution, RequestTrace, Workload, WorkloadSpec } from '../../src/workload';

const AZURE = join(__dirname, '../../examples/quick-start/azure-2023-conv.csv');

type Length = 'inputTokens' | 'outputTokens';

function mean(classes: LengthClass[], length: Length): number {
  return classes.reduce((sum, c) => sum + c.weight * c[length], 0);
}

function percentile(classes: LengthClass[], length: Length, p: number): number {
  let below = 0;
  const sorted = [...classes].sort((a, b) => a[length] - b[length]);
  return sorted.find((c) => (below += c.weight) >= p / 100 - 1e-12)![length];
}

function rulesOf(build: () => unknown): string[] {
  try {
    build();
  } catch (error) {
    if (error instanceof ProblemsError) {
      return error.problems.map((p) => `${p.path} ${p.rule}`);
    }
    throw error;
  }
  return [];
}

/** A trace with a heavy tail of outputs that depends on the prompt, as code completion has. */
function heavyTailedTrace(): RequestTrace {
  const rows = Array.from({ length: 9000 }, (_, i) => {
    const u = ((i * 7919) % 9000 + 0.5) / 9000;
    const v = ((i * 104729) % 9000 + 0.5) / 9000;
    return `${i / 3},${Math.min(7437, Math.ceil(150 * Math.pow(1 - u, -1.4)))},${Math.ceil(6 + (u + 0.5) * 8 * Math.pow(1 - v, -0.8))}`;
  });
  return RequestTrace.fromText(`arrivalSeconds,inputTokens,outputTokens\n${rows.join('\n')}`, 'tail.csv');
}

describe('reduction of a trace', () => {
  describe.each([['azure-2023-conv', () => RequestTrace.fromFile(AZURE)], ['heavy tail', heavyTailedTrace]])('%s', (_, read) => {
    const trace = read();
    const requests = trace.requests.map((r) => ({ ...r, weight: 1 / trace.requests.length }));
    const spec = Workload.fromRequestTrace(trace).toSpec();
    const classes = spec.lengthClasses;

    test('few classes whose weights sum to 1', () => {
      expect(classes.length).toBeLessThanOrEqual(128);
      expect(classes.reduce((sum, c) => sum + c.weight, 0)).toBeCloseTo(1, 12);
    });

    test.each(['inputTokens', 'outputTokens'] as const)('keeps mean, median and tail of %s', (length) => {
      expect(mean(classes, length) / mean(requests, length)).toBeCloseTo(1, 12);
      for (const p of [90, 95, 99]) {
        expect(Math.abs(percentile(classes, length, p) / percentile(requests, length, p) - 1)).toBeLessThan(0.02);
      }
      expect(Math.abs(percentile(classes, length, 50) - percentile(requests, length, 50))).toBeLessThan(0.02 * mean(requests, length));
    });

    test('keeps the dependence of outputs on prompts', () => {
      const product = (xs: LengthClass[]) => xs.reduce((sum, c) => sum + c.weight * c.inputTokens * c.outputTokens, 0);
      expect(Math.abs(product(classes) / product(requests) - 1)).toBeLessThan(0.02);
    });

    test('keeps rate and burstiness', () => {
      expect(spec.requestsPerSecond).toBe(trace.requestsPerSecond);
      expect(spec.interarrivalScv).toBe(trace.interarrivalScv);
      expect(spec.peakToMeanRatio).toBe(trace.peakToMeanRatio);
      expect(spec.source).toBe(`trace ${trace.name}`);
    });
  });

  test('few distinct requests stay as they are', () => {
    const trace = RequestTrace.fromText('arrivalSeconds,inputTokens,outputTokens\n0,10,2\n1,30,4\n2,10,2\n3,10,5', 't.csv');
    expect(Workload.fromRequestTrace(trace).toSpec().lengthClasses).toEqual([
      { weight: 0.5, inputTokens: 10, outputTokens: 2 },
      { weight: 0.25, inputTokens: 10, outputTokens: 5 },
      { weight: 0.25, inputTokens: 30, outputTokens: 4 },
    ]);
  });

  test('cached prefixes keep their mean', () => {
    const rows = Array.from({ length: 400 }, (_, i) => JSON.stringify({
      timestamp: i * 100, input_length: 1000 + i, output_length: 1 + i, hash_ids: [0, i % 7, 1000 + i],
    }));
    const trace = RequestTrace.fromText(rows.join('\n'), 't.jsonl');
    const cached = Workload.fromRequestTrace(trace).toSpec().lengthClasses.reduce((sum, c) => sum + c.weight * (c.cachedInputTokens ?? 0), 0);
    expect(cached).toBeCloseTo(trace.requests.reduce((sum, r) => sum + r.cachedInputTokens, 0) / 400, 8);
    expect(cached).toBeGreaterThan(900);
  });

  test('any trace keeps its mean lengths and gives a valid workload', () => {
    const row = fc.tuple(fc.integer({ min: 1, max: 200_000 }), fc.integer({ min: 1, max: 5000 }));
    fc.assert(fc.property(fc.array(row, { minLength: 2, maxLength: 600 }), (rows) => {
      const text = `arrivalSeconds,inputTokens,outputTokens\n${rows.map(([i, o], n) => `${n},${i},${o}`).join('\n')}`;
      const spec = Workload.fromRequestTrace(RequestTrace.fromText(text, 't')).toSpec();
      expect(spec.lengthClasses.length).toBeLessThanOrEqual(128);
      expect(mean(spec.lengthClasses, 'inputTokens') * rows.length / rows.reduce((s, r) => s + r[0], 0)).toBeCloseTo(1, 9);
      expect(mean(spec.lengthClasses, 'outputTokens') * rows.length / rows.reduce((s, r) => s + r[1], 0)).toBeCloseTo(1, 9);
      expect(rulesOf(() => Workload.fromSpec(JSON.parse(JSON.stringify(spec))))).toEqual([]);
    }), { numRuns: 30 });
  });
});

describe('workloads without a trace', () => {
  test('steady', () => {
    expect(Workload.steady({ requestsPerSecond: 3, inputTokens: 1000, outputTokens: 200, cachedInputTokens: 400 }).toSpec()).toEqual({
      source: 'steady',
      requestsPerSecond: 3,
      interarrivalScv: 1,
      lengthClasses: [{ weight: 1, inputTokens: 1000, cachedInputTokens: 400, outputTokens: 200 }],
    });
  });

  test('constant lengths are one class', () => {
    const spec = Workload.fromDistributions({
      requestsPerSecond: 1, inputTokens: LengthDistribution.constant(500), outputTokens: LengthDistribution.constant(50), interarrivalScv: 2,
    }).toSpec();
    expect(spec.lengthClasses).toEqual([{ weight: expect.closeTo(1, 12), inputTokens: 500, outputTokens: 50 }]);
    expect(spec.interarrivalScv).toBe(2);
  });

  test('lognormal lengths have the mean and the 95th percentile asked for, and a tail', () => {
    const classes = Workload.fromDistributions({
      requestsPerSecond: 1,
      inputTokens: LengthDistribution.lognormal({ meanTokens: 1000, p95Tokens: 3000 }),
      outputTokens: LengthDistribution.uniform({ minTokens: 100, maxTokens: 300 }),
    }).toSpec().lengthClasses;
    expect(classes.length).toBeLessThanOrEqual(128);
    expect(mean(classes, 'inputTokens')).toBeCloseTo(1000, 6);
    expect(percentile(classes, 'inputTokens', 95) / 3000).toBeCloseTo(1, 2);
    expect(mean(classes, 'outputTokens')).toBeCloseTo(200, 8);
    expect(percentile(classes, 'outputTokens', 95)).toBeCloseTo(290, 0);
    // sigma is the smaller root of sigma^2/2 - z95 sigma + ln 3 = 0, so p99 is exp(ln 3000 + (z99 - z95) sigma).
    const sigma = 1.6448536 - Math.sqrt(1.6448536 ** 2 - 2 * Math.log(3));
    expect(percentile(classes, 'inputTokens', 99) / (3000 * Math.exp((2.3263479 - 1.6448536) * sigma))).toBeCloseTo(1, 1);
  });

  test('samples keep their mean, however many there are', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 300 }), (samples) => {
      const classes = Workload.fromDistributions({
        requestsPerSecond: 1, inputTokens: LengthDistribution.empirical(samples), outputTokens: LengthDistribution.constant(1),
      }).toSpec().lengthClasses;
      expect(mean(classes, 'inputTokens') * samples.length / samples.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
    }));
  });

  test('scaled changes the rate alone', () => {
    const workload = Workload.steady({ requestsPerSecond: 3, inputTokens: 10, outputTokens: 2 });
    expect(workload.scaled(2).toSpec()).toEqual({ ...workload.toSpec(), requestsPerSecond: 6 });
    expect(rulesOf(() => workload.scaled(0))).toEqual(['factor WorkloadFactorNotPositive']);
  });
});

describe('refusals', () => {
  test('all problems of a spec at once', () => {
    const spec: WorkloadSpec = {
      source: 'test',
      requestsPerSecond: 0,
      interarrivalScv: -1,
      peakToMeanRatio: 0.9,
      lengthClasses: [
        { weight: 0, inputTokens: 10, outputTokens: 0 },
        { weight: 0.5, inputTokens: 1e8, outputTokens: NaN },
        { weight: 0.5, inputTokens: 10, cachedInputTokens: 10, outputTokens: 1 },
      ],
    };
    expect(rulesOf(() => Workload.fromSpec(spec))).toEqual([
      'workload.requestsPerSecond WorkloadRateNotPositive',
      'workload.interarrivalScv WorkloadScvNegative',
      'workload.peakToMeanRatio WorkloadPeakBelowMean',
      'workload.lengthClasses[0].weight WorkloadWeightNotPositive',
      'workload.lengthClasses[0].outputTokens WorkloadLengthOutOfRange',
      'workload.lengthClasses[1].inputTokens WorkloadLengthOutOfRange',
      'workload.lengthClasses[1].outputTokens WorkloadLengthOutOfRange',
      'workload.lengthClasses[2].cachedInputTokens WorkloadCachedPrefixTooLong',
    ]);
  });

  test('weights that do not sum to 1, and no classes', () => {
    const lengthClass = { weight: 0.4, inputTokens: 10, outputTokens: 1 };
    expect(rulesOf(() => Workload.fromSpec({ source: '', requestsPerSecond: 1, lengthClasses: [lengthClass, lengthClass] }, 'a.b')))
      .toEqual(['a.b.lengthClasses WorkloadWeightsNotOne']);
    expect(rulesOf(() => Workload.fromSpec({ source: '', requestsPerSecond: 1, lengthClasses: [] }))).toEqual(['workload.lengthClasses WorkloadWithoutClasses']);
  });

  test.each([
    [() => LengthDistribution.constant(0), ['tokens LengthOutOfRange']],
    [() => LengthDistribution.uniform({ minTokens: NaN, maxTokens: 1e9 }), ['minTokens LengthOutOfRange', 'maxTokens LengthOutOfRange']],
    [() => LengthDistribution.uniform({ minTokens: 5, maxTokens: 4 }), ['maxTokens LengthBoundsSwapped']],
    [() => LengthDistribution.lognormal({ meanTokens: 100, p95Tokens: 99 }), ['p95Tokens LengthTailImpossible']],
    [() => LengthDistribution.lognormal({ meanTokens: 100, p95Tokens: 387 }), ['p95Tokens LengthTailImpossible']],
    [() => LengthDistribution.empirical([]), ['samples LengthSamplesEmpty']],
    [() => LengthDistribution.empirical([1, 0]), ['samples[1] LengthOutOfRange']],
  ])('lengths that cannot be: %s', (build, rules) => {
    expect(rulesOf(build)).toEqual(rules);
  });
});
