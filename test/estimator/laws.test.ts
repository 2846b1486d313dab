import * as fc from 'fast-check';
import { SCHEMA, rangesOf } from './specs';
import { DeploymentSpec, Estimate, Estimator } from '../../src/estimator';

const lengths = fc.array(
  fc.record({
    weight: fc.integer({ min: 1, max: 9 }),
    inputTokens: fc.integer({ min: 1, max: 6000 }),
    outputTokens: fc.integer({ min: 1, max: 2000 }),
  }),
  { minLength: 1, maxLength: 5 },
).map((classes) => {
  const sum = classes.reduce((total, c) => total + c.weight, 0);
  return classes.map((c) => ({ ...c, weight: c.weight / sum }));
});

const specs: fc.Arbitrary<DeploymentSpec> = fc.record({
  model: fc.constantFrom('llama-3.1-8b', 'llama-3.3-70b', 'gpt-oss-120b', 'qwen3-32b', 'deepseek-v3'),
  prefill: fc.constantFrom(undefined, 'trn2.48xlarge', 'p5en.48xlarge', 'u-trn2x64'),
  decode: fc.constantFrom('trn2.48xlarge', 'p6-b200.48xlarge', 'Trn3 Gen1 UltraServer', 'cs-3'),
  counts: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  rate: fc.double({ min: 0.01, max: 30, noNaN: true }),
  scv: fc.double({ min: 0, max: 4, noNaN: true }),
  lengthClasses: lengths,
  overlap: fc.constantFrom('layerwise', 'after-prefill'),
  weights: fc.constantFrom('bf16', 'fp8'),
}).map((r) => ({
  schema: SCHEMA,
  model: { id: r.model },
  precision: { weights: r.weights },
  workload: { source: 'law', requestsPerSecond: r.rate, interarrivalScv: r.scv, lengthClasses: r.lengthClasses },
  objective: { ttftSeconds: 2, tpotSeconds: 0.05, percentile: 90 },
  ...(r.prefill && { prefill: { hardware: r.prefill, instances: r.counts[0] }, link: { overlap: r.overlap } }),
  decode: { hardware: r.decode, instances: r.counts[1] },
}));

const LATENCIES = ['ttftSeconds', 'tpotSeconds', 'endToEndSeconds'] as const;
const STATISTICS = ['mean', 'p50', 'p90', 'p95', 'p99'] as const;

function expectNoFaster(slower: Estimate, faster: Estimate, latencies: readonly (typeof LATENCIES)[number][] = LATENCIES): void {
  for (const latency of latencies) {
    for (const statistic of STATISTICS) {
      expect(slower[latency][statistic].value).toBeGreaterThanOrEqual(faster[latency][statistic].value * (1 - 1e-6) - 1e-9);
    }
  }
}

const RUNS = { numRuns: 25 };

test('every range is finite, not negative and contains its centre; percentiles ascend; an outcome is one of the two', () => {
  fc.assert(fc.property(specs, (spec) => {
    const { estimate, refusal } = Estimator.estimate(spec);
    expect((estimate === undefined) !== (refusal === undefined)).toBe(true);
    if (estimate === undefined) {
      expect(refusal!.reason).not.toMatch(/NaN|Infinity/);
      return;
    }
    for (const { low, value, high } of rangesOf(estimate)) {
      expect(Number.isFinite(low) && Number.isFinite(value) && Number.isFinite(high)).toBe(true);
      expect(low).toBeGreaterThanOrEqual(0);
      expect(low).toBeLessThanOrEqual(value);
      expect(value).toBeLessThanOrEqual(high);
    }
    for (const latency of LATENCIES) {
      const { p50, p90, p95, p99 } = estimate[latency];
      expect(p90.value).toBeGreaterThanOrEqual(p50.value);
      expect(p95.value).toBeGreaterThanOrEqual(p90.value);
      expect(p99.value).toBeGreaterThanOrEqual(p95.value);
    }
    expect(JSON.parse(JSON.stringify(estimate))).toEqual(JSON.parse(JSON.stringify(Estimator.estimate(JSON.parse(JSON.stringify(spec))).estimate)));
  }), RUNS);
});

test('more load never lowers a latency', () => {
  fc.assert(fc.property(specs, fc.double({ min: 0.1, max: 1, noNaN: true }), (spec, factor) => {
    const more = Estimator.estimate(spec).estimate;
    fc.pre(more !== undefined);
    const requestsPerSecond = spec.workload.requestsPerSecond * factor;
    const less = Estimator.estimate({ ...spec, workload: { ...spec.workload, requestsPerSecond } }).estimate!;
    expectNoFaster(more!, less);
    expect(more!.goodputRequestsPerSecond.value).toBeCloseTo(less.goodputRequestsPerSecond.value, 3);
  }), RUNS);
});

test('more instances never raise a latency or lower the goodput', () => {
  fc.assert(fc.property(specs, fc.boolean(), (spec, prefill) => {
    // where more engines read at once than there are links, their KV caches meet on one: prompts wait the less, caches the more; wafers take in only so much
    fc.pre(!prefill || (spec.prefill !== undefined && spec.decode.hardware !== 'cs-3'));
    const few = prefill ? { ...spec, link: { ...spec.link, bytesPerSecond: 1e18 } } : spec;
    const fewer = Estimator.estimate(few).estimate;
    fc.pre(fewer !== undefined);
    const more = Estimator.estimate(prefill
      ? { ...few, prefill: { ...few.prefill!, instances: few.prefill!.instances! + 1 } }
      : { ...few, decode: { ...few.decode, instances: few.decode.instances! + 1 } }).estimate!;
    expectNoFaster(fewer!, more);
    expect(more.goodputRequestsPerSecond.value).toBeGreaterThanOrEqual(fewer!.goodputRequestsPerSecond.value * (1 - 1e-4));
  }), RUNS);
});

test('a faster link never raises the time to first token', () => {
  const rates = fc.double({ min: 1e9, max: 1e12, noNaN: true });
  fc.assert(fc.property(specs, rates, fc.double({ min: 1, max: 10, noNaN: true }), (spec, bytesPerSecond, factor) => {
    fc.pre(spec.prefill !== undefined);
    const at = (rate: number) => Estimator.estimate({ ...spec, link: { ...spec.link, bytesPerSecond: rate } }).estimate;
    const slow = at(bytesPerSecond);
    fc.pre(slow !== undefined);
    expectNoFaster(slow!, at(bytesPerSecond * factor)!, ['ttftSeconds']);
  }), RUNS);
});

test('drafts that are accepted more often never slow an answer down, nor do larger pieces of a KV cache or a direct path', () => {
  let compared = 0;
  fc.assert(fc.property(
    specs, fc.integer({ min: 1, max: 8 }), fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })),
    fc.integer({ min: 1, max: 100 }), (spec, draftTokens, rates, blockTokens) => {
      const [low, high] = [...rates].sort((a, b) => a - b);
      const estimates = (changed: Partial<DeploymentSpec>) => Estimator.estimate({ ...spec, ...changed }).estimate;
      const compare = (slower: Partial<DeploymentSpec>, faster: Partial<DeploymentSpec>) => {
        const [a, b] = [estimates(slower), estimates(faster)];
        if (a !== undefined && b !== undefined) {
          compared++;
          expectNoFaster(a, b);
        }
      };
      if (spec.decode.hardware !== 'cs-3') {
        const drafted = (acceptanceRate: number) => ({ decode: { ...spec.decode, speculation: { draftTokens, acceptanceRate } } });
        compare(drafted(low), drafted(high));
      }
      if (spec.prefill !== undefined) {
        compare({ link: { ...spec.link, blockTokens } }, { link: { ...spec.link, blockTokens: 2 * blockTokens } });
        compare({ link: { ...spec.link, path: 'host-staged' } }, { link: { ...spec.link, path: 'device-direct' } });
      }
    }), RUNS);
  expect(compared).toBeGreaterThan(RUNS.numRuns);
});
