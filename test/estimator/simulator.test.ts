import * as fc from 'fast-check';
import { Seen, aggregated, apart, loaded, mixed, simulated, single, solved } from './simulated';
import { steady, trn2 } from './specs';
import { Simulator } from '../../src/estimator';
import { kvBytes } from '../../src/estimator/phases/shapes';
import { RequestTrace } from '../../src/workload';

describe('against the closed form', () => {
  test.each([
    ['apart', apart],
    ['aggregated', aggregated],
    ['layer by layer', { ...apart, link: { overlap: 'layerwise' } }],
    ['layer by layer over a slow link', { ...apart, link: { overlap: 'layerwise', bytesPerSecond: 1e9 } }],
  ])('one client meets the service times, %s', (_, spec) => {
    const { form } = solved({ ...spec, workload: { ...spec.workload, requestsPerSecond: 1e-9 } });
    const { ttftSeconds, tpotSeconds, endToEndSeconds } = simulated(spec, { concurrency: 1, requests: 2510 });
    expect(ttftSeconds.avg / form.latencies[0]).toBeCloseTo(1, 2);
    expect(tpotSeconds!.avg / form.latencies[5]).toBeCloseTo(1, 3);
    expect(endToEndSeconds.avg / form.latencies[10]).toBeCloseTo(1, 3);
    // lengths vary by a twentieth either way
    expect(endToEndSeconds.max / endToEndSeconds.min).toBeLessThan(1.05 / 0.95);
  });

  test('engines with few slots wait for those of all engines', () => {
    const spec = loaded({ ...apart, decode: { ...single, instances: 8, maxConcurrentSequences: 2 }, prefill: { ...single, instances: 8 } }, 0.6);
    const { form } = solved(spec);
    const { ttftSeconds } = simulated(spec, { requests: 50_000 });
    expect(Math.abs(ttftSeconds.avg / form.latencies[0] - 1)).toBeLessThan(0.15);
  });

  test('stages are as busy as their loads', () => {
    const spec = loaded(mixed, 0.6);
    const { form } = solved(spec);
    const [prefill, link] = simulated(spec, { requests: 100_000 }).stages;
    expect(prefill.utilisation / form.prefillLoad).toBeCloseTo(1, 1);
    expect(link.utilisation / form.linkLoad).toBeCloseTo(1, 1);
  });

  test.each(['after-prefill', 'layerwise'])('what crosses the link is the bytes of all KV caches, %s', (overlap) => {
    const bytesPerSecond = 2e9;
    const spec = loaded({ ...mixed, link: { overlap, bytesPerSecond } }, 0.8);
    const seen = new Seen();
    const { stages: [, link], durationSeconds } = simulated(spec, { requests: 5000, observer: seen });
    const { model, decode } = solved(spec).resolved.plant;
    const handedOver = seen.requests.reduce((sum, { inputTokens }) => sum + kvBytes(model, inputTokens) * decode.kvCopies, 0);
    expect(link.utilisation * durationSeconds * link.engines * bytesPerSecond / handedOver).toBeCloseTo(1, 9);
  });

  test('one client meets the service times where steps verify drafts and blocks are posted one by one', () => {
    const speculation = { draftTokens: 3, acceptanceRate: 0.7 };
    const spec = { ...apart, link: { blockTokens: 32 }, decode: { ...apart.decode, speculation } };
    const { form } = solved({ ...spec, workload: { ...spec.workload, requestsPerSecond: 1e-9 } });
    const { ttftSeconds, tpotSeconds } = simulated(spec, { concurrency: 1, requests: 20 });
    expect(ttftSeconds.avg / form.latencies[0]).toBeCloseTo(1, 2);
    // the first step writes several tokens too, so that those after the first take a little less
    expect(tpotSeconds!.avg / form.latencies[5]).toBeCloseTo(1, 1);
  });

  test('one client of an engine with chunked prefill meets the service times', () => {
    const spec = trn2({ workload: steady(1, 1000, 200), prefill: undefined, decode: { hardware: 'p5.48xlarge', instances: 1, maxBatchedTokens: 2048 } });
    const { form } = solved({ ...spec, workload: { ...spec.workload, requestsPerSecond: 1e-9 } });
    const { ttftSeconds, tpotSeconds, preemptions } = simulated(spec, { concurrency: 1, requests: 20 });
    expect(ttftSeconds.avg / form.latencies[0]).toBeCloseTo(1, 2);
    expect(tpotSeconds!.avg / form.latencies[5]).toBeCloseTo(1, 2);
    expect(preemptions).toBe(0);
  });

  test('one prefill engine and equal requests wait as in an M/D/1 queue', () => {
    const rate = 0.7 / solved(apart).form.prefillMeanSeconds;
    const spec = { ...apart, workload: { ...apart.workload, requestsPerSecond: rate }, decode: { ...single, instances: 8 } };
    const { form } = solved(spec);
    const { ttftSeconds } = simulated(spec, { requests: 300_000 });
    // the least is without a wait
    const step = form.firstStepSeconds;
    expect(Math.abs(ttftSeconds.avg - ttftSeconds.min - form.prefillQueueSeconds)).toBeLessThan(0.03 * form.prefillQueueSeconds + step);
  });
});

describe('laws', () => {
  test('every request is answered once, with all of its tokens, in order of time', () => {
    const observer = new Seen();
    const spec = loaded(mixed, 0.8);
    const { requests, outputTokensPerSecond, durationSeconds } = simulated(spec, { requests: 5000, observer });
    expect(requests).toBe(5000);
    expect(new Set(observer.requests.map((r) => r.request)).size).toBe(5000);
    expect(observer.requests.reduce((sum, r) => sum + r.outputTokens, 0) / (outputTokensPerSecond * durationSeconds)).toBeCloseTo(1, 9);
    for (const { ttftSeconds, tpotSeconds, endToEndSeconds, outputTokens } of observer.requests) {
      expect(ttftSeconds).toBeGreaterThan(0);
      expect(endToEndSeconds).toBeGreaterThanOrEqual(ttftSeconds);
      expect(outputTokens === 1 ? 0 : tpotSeconds).toBeCloseTo(outputTokens === 1 ? 0 : (endToEndSeconds - ttftSeconds) / (outputTokens - 1), 12);
    }
  });

  test.each([['apart', mixed], ['aggregated', { ...mixed, prefill: undefined }]])('Little: clients = throughput x latency, %s', (_, spec) => {
    for (const concurrency of [1, 8, 200]) {
      const { requestsPerSecond, endToEndSeconds } = simulated(spec, { concurrency, requests: 20_000 });
      expect(requestsPerSecond * endToEndSeconds.avg / concurrency).toBeCloseTo(1, 1);
    }
  });

  test('more load never lowers the mean latency, more engines never raise it', () => {
    fc.assert(fc.property(fc.double({ min: 0.1, max: 0.6, noNaN: true }), fc.nat(1000), fc.boolean(), (share, seed, together) => {
      const spec = loaded(together ? { ...mixed, prefill: undefined } : mixed, share);
      const options = { seed, requests: 5000 };
      const less = simulated(spec, options);
      const more = simulated({ ...spec, workload: { ...spec.workload, requestsPerSecond: spec.workload.requestsPerSecond * 1.5 } }, options);
      const larger = simulated({ ...spec, decode: { ...spec.decode, instances: 6 } }, options);
      expect(more.endToEndSeconds.avg).toBeGreaterThan(less.endToEndSeconds.avg);
      expect(larger.endToEndSeconds.avg).toBeLessThanOrEqual(less.endToEndSeconds.avg);
    }), { numRuns: 20 });
  });

  test('the same seed gives the same answer, another one another', () => {
    const spec = loaded(mixed, 0.7);
    const once = JSON.stringify(simulated(spec, { seed: 7 }));
    expect(JSON.stringify(simulated(JSON.parse(JSON.stringify(spec)), { seed: 7 }))).toBe(once);
    expect(JSON.stringify(simulated(spec, { seed: 8 }))).not.toBe(once);
  });
});

describe('the steady state', () => {
  test('is not reached by a short run near saturation, which says so', () => {
    const { steadiness } = simulated(loaded(apart, 0.97));
    expect(steadiness!.isSteady).toBe(false);
    expect(steadiness!.ttftErrorShare).toBeGreaterThan(0.1);
    expect(steadiness!.requestsNeeded).toBeGreaterThan(10_000);
    expect(simulated(loaded(apart, 0.97), { concurrency: 4, requests: 1000 }).steadiness).toBeUndefined();
    expect(simulated(loaded(apart, 0.3)).steadiness).toEqual({ ttftErrorShare: expect.any(Number), isSteady: true });
  });

  test('is reached by as many requests as are said to be needed', () => {
    const spec = loaded(apart, 0.95);
    let run = simulated(spec, { requests: 2000 });
    const short = run.ttftSeconds.avg;
    for (let i = 0; i < 4 && !run.steadiness!.isSteady; i++) {
      run = simulated(spec, { requests: run.steadiness!.requestsNeeded });
    }
    expect(run.steadiness!.isSteady).toBe(true);
    const long = simulated(spec, { requests: 1_000_000, seed: 1 }).ttftSeconds.avg;
    expect(Math.abs(run.ttftSeconds.avg / long - 1)).toBeLessThan(0.1);
    expect(short).toBeLessThan(0.8 * long);
  });

  test('has a mean that nine of ten intervals hold', () => {
    const spec = loaded(mixed, 0.7);
    const long = simulated(spec, { requests: 1_000_000 }).ttftSeconds.avg;
    const held = Array.from({ length: 100 }, (_, i) => simulated(spec, { requests: 5000, seed: i + 1 }))
      .filter(({ ttftSeconds: { avg }, steadiness }) => Math.abs(long / avg - 1) <= steadiness!.ttftErrorShare);
    expect(held.length).toBeGreaterThanOrEqual(90);
  });

  test('is none of a trace, of a run with failures, or of few requests', () => {
    const trace = RequestTrace.fromText(`arrivalSeconds,inputTokens,outputTokens\n${Array.from({ length: 50 }, (_, i) => `${i},1000,20\n`).join('')}`, 'even.csv');
    const failures = [{ pool: 'decode', instance: 0, atSeconds: 1, untilSeconds: 2 }];
    const runs = [simulated(apart, { trace }), simulated(apart, { failures }), simulated(apart, { requests: 31 })];
    expect(runs.map(({ steadiness }) => steadiness)).toEqual([undefined, undefined, undefined]);
  });
});

describe('promises', () => {
  test('goodput counts the requests that keep all of them', () => {
    const observer = new Seen();
    const objective = { ttftSeconds: 1, tpotSeconds: 0.03, percentile: 90 };
    const { keptRequestsPerSecond, durationSeconds, objectives, ttftSeconds } = simulated({ ...loaded(mixed, 0.8), objective }, { observer });
    const good = observer.requests.filter((r) => r.ttftSeconds <= 1 && (r.tpotSeconds ?? 0) <= 0.03).length;
    expect(keptRequestsPerSecond * durationSeconds).toBeCloseTo(good, 6);
    expect(objectives.map(({ metric, verdict }) => [metric, verdict])).toEqual([
      ['ttftSeconds', ttftSeconds.p90 <= 1 ? 'held' : 'missed'], ['tpotSeconds', expect.stringMatching(/^(held|missed)$/)],
    ]);
  });
});

test('any load of any size gives figures that are finite and not negative', () => {
  const length = fc.integer({ min: 1, max: 20_000 });
  fc.assert(fc.property(
    fc.constantFrom('trn2.48xlarge', 'p5en.48xlarge', 'cs-3'), fc.constantFrom(undefined, 'trn2.48xlarge', 'p5en.48xlarge'),
    length, length, fc.double({ min: 1e-6, max: 1e6, noNaN: true }), fc.double({ min: 0, max: 100, noNaN: true }),
    fc.constantFrom(undefined, 1, 1000),
    (decode, prefill, inputTokens, outputTokens, requestsPerSecond, interarrivalScv, concurrency) => {
      const workload = { ...steady(requestsPerSecond, inputTokens, outputTokens), interarrivalScv };
      const spec = trn2({ workload, prefill: prefill && { hardware: prefill, instances: 1 }, decode: { hardware: decode, instances: 1 } });
      const { simulation, refusal } = Simulator.simulate(spec, { requests: 500, concurrency });
      expect((simulation === undefined) !== (refusal === undefined)).toBe(true);
      const check = (value: unknown): void => {
        if (typeof value === 'number') {
          expect(Number.isFinite(value) && value >= 0).toBe(true);
        } else if (value !== null && typeof value === 'object') {
          Object.values(value).forEach(check);
        }
      };
      check(simulation);
      simulation?.stages.forEach(({ utilisation }) => expect(utilisation).toBeLessThanOrEqual(1 + 1e-9));
    },
  ), { numRuns: 300 });
});
