import * as fc from 'fast-check';
import { steady, trn2 } from './specs';
import {
  DeploymentSpec, FailedRequest, SimulatedRequest, Simulation, SimulationObserver, SimulationOptions, Simulator,
} from '../../src/estimator';
import { kvBytes } from '../../src/estimator/phases/shapes';
import { Service } from '../../src/estimator/service';
import { ProblemsError } from '../../src/problems';
import { RequestTrace } from '../../src/workload';

class Seen extends SimulationObserver {
  public readonly requests: SimulatedRequest[] = [];

  public readonly failed: FailedRequest[] = [];

  public onRequest(request: SimulatedRequest): void {
    this.requests.push(request);
  }

  public onFailure(request: FailedRequest): void {
    this.failed.push(request);
  }
}

function simulated(spec: DeploymentSpec, options: SimulationOptions = {}): Simulation {
  const { simulation, refusal } = Simulator.simulate(spec, options);
  if (simulation === undefined) {
    throw new Error(`refused: ${JSON.stringify(refusal)}`);
  }
  return simulation;
}

function solved(spec: DeploymentSpec): Service {
  const service = new Service(spec);
  service.solve(spec.prefill?.instances ?? 0, spec.decode.instances!);
  return service;
}

/** The spec at a share of what its fleet can take. */
function loaded(spec: DeploymentSpec, share: number): DeploymentSpec {
  const service = solved(spec);
  return { ...spec, workload: { ...spec.workload, requestsPerSecond: share * service.rate / service.fullest } };
}

const single = { hardware: 'trn2.48xlarge', tensorParallelDegree: 64, enginesPerInstance: 1, instances: 1 };
const apart: DeploymentSpec = trn2({ workload: steady(1, 1000, 200), prefill: single, decode: single });
const aggregated: DeploymentSpec = trn2({ workload: steady(1, 1000, 200), prefill: undefined, decode: single });
const mixed: DeploymentSpec = trn2({
  workload: {
    source: 'mixed',
    requestsPerSecond: 1,
    lengthClasses: [
      { weight: 0.5, inputTokens: 300, outputTokens: 50 },
      { weight: 0.3, inputTokens: 1500, outputTokens: 300, cachedInputTokens: 1000 },
      { weight: 0.2, inputTokens: 6000, outputTokens: 1 },
    ],
  },
  prefill: { ...single, instances: 2 },
  decode: { ...single, instances: 3 },
});

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

describe('what cannot be simulated', () => {
  test('an unstable fleet is short by a number of engines', () => {
    const { simulation, refusal } = Simulator.simulate(loaded(apart, 2.5));
    expect(simulation).toBeUndefined();
    expect(refusal).toMatchObject({ kind: 'unstable', shortfalls: [{ instances: 2 }, { instances: 2 }], reason: expect.stringMatching(/: short by 2 prefill and 2 decode instances$/) });
  });

  test('a recorded overload is simulated, and said to be one', () => {
    const rate = loaded(apart, 3).workload.requestsPerSecond;
    const rows = Array.from({ length: 3000 }, (_, i) => `${i / rate},1000,200`);
    const trace = RequestTrace.fromText(['arrivalSeconds,inputTokens,outputTokens', ...rows].join('\n'), 'overload.csv');
    expect(simulated(apart, { trace })).toMatchObject({ load: 'trace', requests: 3000, backlogGrows: true });
    expect(simulated(apart, { trace, requests: 10 })).toMatchObject({ requests: 10, backlogGrows: false });
  });

  test('an instance that fails ends what it writes, and what it reads is read by decode engines', () => {
    const spec = { ...loaded(mixed, 0.5), decode: { ...mixed.decode, instances: 2 } };
    const usual = simulated(spec, { requests: 5000 });
    expect([usual.failedRequests, usual.readByDecodeRequests]).toEqual([0, 0]);
    const { durationSeconds: span } = usual;
    const observed = new Seen();
    const decodeFails = simulated(spec, { requests: 5000, failures: [{ pool: 'decode', instance: 1, atSeconds: span / 3, untilSeconds: span / 2 }], observer: observed });
    expect(decodeFails.failedRequests).toBeGreaterThan(0);
    // who got an error got nothing in time: here about a third of the requests
    const promised = (percentile: number) => simulated({ ...spec, objective: { endToEndSeconds: 1e6, percentile } }, {
      requests: 5000,
      failures: [0, 1].map((instance) => ({ pool: 'decode', instance, atSeconds: 2 * span / 3 })),
    }).objectives[0].verdict;
    expect([promised(50), promised(90)]).toEqual(['held', 'missed']);
    expect(decodeFails.ttftSeconds.avg).toBeGreaterThan(usual.ttftSeconds.avg);
    expect(observed.requests.length).toBe(5000 - decodeFails.failedRequests);
    expect(observed.failed.length).toBe(decodeFails.failedRequests);
    // nobody is sent there while it is down
    const during = observed.requests.filter((one) => one.arrivalSeconds > span / 3 && one.arrivalSeconds + one.endToEndSeconds < span / 2);
    expect(during.length).toBeGreaterThan(100);
    expect(during.every((one) => one.decodeEngine === 0)).toBe(true);

    const seen = new Seen();
    const prefillFails = simulated(spec, {
      requests: 5000, failures: [0, 1].map((instance) => ({ pool: 'prefill', instance, atSeconds: span / 3, untilSeconds: span / 2 })), observer: seen,
    });
    expect(prefillFails.failedRequests).toBe(0);
    expect(prefillFails.readByDecodeRequests).toBe(seen.requests.filter((one) => one.prefillEngine === undefined).length);
    expect(prefillFails.readByDecodeRequests).toBeGreaterThan(100);
  });

  test('the router lets decode engines read short prompts, and more of them the busier the prefill engines are', () => {
    const spec = { ...loaded(mixed, 0.5), objective: undefined };
    const seen = new Seen();
    const { readByDecodeRequests } = simulated(spec, { requests: 3000, routing: { minPromptTokens: 400 }, observer: seen });
    // 300 new tokens in half the requests; of 1,500 1,000 are cached
    expect(seen.requests.every(({ inputTokens, prefillEngine }) => (inputTokens === 300) === (prefillEngine === undefined))).toBe(true);
    expect(readByDecodeRequests / 3000).toBeCloseTo(0.5, 1);
    expect(simulated(spec, { requests: 3000, routing: { minPromptTokens: 0 } }).readByDecodeRequests).toBe(0);

    const shares = [0.3, 0.6, 0.9].map((share) => simulated(
      { ...loaded(mixed, share), objective: { ttftSeconds: 0.6 } }, { requests: 5000, routing: { minPromptTokens: 0 } },
    ).readByDecodeRequests);
    expect(shares[0]).toBeLessThan(shares[1]);
    expect(shares[1]).toBeLessThan(shares[2]);
    // the estimator's length hands on everything here, as the deployed router does
    expect(simulated(spec, { requests: 3000, routing: {} }).readByDecodeRequests).toBe(0);
  });

  test('a failure after the end changes nothing', () => {
    const spec = { ...loaded(mixed, 0.6), link: { blockTokens: 16 } };
    const after = { failures: [{ pool: 'prefill', instance: 0, atSeconds: 1e8 }] };
    for (const one of [spec, loaded(mixed, 0.6)]) {
      const [usual, same] = [simulated(one, { requests: 3000 }), simulated(one, { requests: 3000, ...after })];
      expect(same.endToEndSeconds.avg / usual.endToEndSeconds.avg).toBeCloseTo(1, 9);
      const busy = (simulation: Simulation) => simulation.stages.map(({ utilisation }) => utilisation.toPrecision(9));
      expect(busy(same)).toEqual(busy(usual));
    }
  });

  test('a fleet that is down answers nothing, which is no simulation', () => {
    expect(Simulator.simulate(aggregated, { requests: 5, failures: [{ pool: 'decode', instance: 0, atSeconds: 0 }] }).refusal)
      .toMatchObject({ kind: 'infeasible', reason: expect.stringMatching(/instances fail/) });
  });

  test('who is urgent waits less, who is not waits more, and the others as before on average', () => {
    const tiers = (names: string[]): DeploymentSpec => ({
      ...loaded(apart, 0.9),
      workload: {
        source: 'tiers',
        requestsPerSecond: loaded(apart, 0.9).workload.requestsPerSecond,
        lengthClasses: names.map((serviceTier, i) => ({ weight: 1 / names.length, inputTokens: 1000 + i, outputTokens: 200, serviceTier })),
      },
    });
    const ttft = (spec: DeploymentSpec) => {
      const seen = new Seen();
      simulated(spec, { requests: 20_000, observer: seen });
      return [1000, 1001, 1002].map((tokens) => {
        const own = seen.requests.filter(({ inputTokens }) => inputTokens === tokens);
        return own.reduce((sum, { ttftSeconds }) => sum + ttftSeconds, 0) / own.length;
      });
    };
    const alike = ttft(tiers(['default', 'default', 'default']));
    const [urgent, usual, patient] = ttft(tiers(['priority', 'default', 'flex']));
    expect(urgent).toBeLessThan(alike[0]);
    expect(urgent).toBeLessThan(usual);
    expect(usual).toBeLessThan(patient);
    // work is conserved: equal requests wait as long in all
    expect((urgent + usual + patient) / (alike[0] + alike[1] + alike[2])).toBeCloseTo(1, 1);
  });

  test('where the KV cache is full, sequences lose their places, and every request is answered all the same', () => {
    const spec = trn2({
      workload: steady(1, 200, 8000),
      prefill: undefined,
      decode: { hardware: 'p5.48xlarge', instances: 1, tensorParallelDegree: 4, maxBatchedTokens: 2048, maxConcurrentSequences: 256 },
    });
    const { preemptions, requests, outputTokensPerSecond, durationSeconds } = simulated(spec, { concurrency: 500, requests: 500 });
    expect(preemptions).toBeGreaterThan(0);
    expect(requests).toBe(500);
    expect(outputTokensPerSecond * durationSeconds / (500 * 8000)).toBeCloseTo(1, 3);
  });

  test('each service tier has latencies of its own, those of all its requests', () => {
    const lengthClasses = mixed.workload.lengthClasses.map((one, i) => ({ ...one, serviceTier: i === 0 ? 'flex' : 'priority' }));
    const spec = { ...mixed, workload: { ...mixed.workload, lengthClasses } };
    const observer = new Seen();
    const { tiers, requests } = simulated(loaded(spec, 0.8), { requests: 2000, observer });
    expect(tiers.map(({ serviceTier }) => serviceTier)).toEqual(['priority', 'flex']);
    expect(tiers.reduce((sum, tier) => sum + tier.requests, 0)).toBe(requests);
    for (const { serviceTier, requests: count, ttftSeconds, endToEndSeconds } of tiers) {
      const own = observer.requests.filter((one) => one.serviceTier === serviceTier);
      expect(own.length).toBe(count);
      expect(ttftSeconds.avg).toBeCloseTo(own.reduce((sum, one) => sum + one.ttftSeconds, 0) / count, 9);
      expect(endToEndSeconds.max).toBe(Math.max(...own.map((one) => one.endToEndSeconds)));
    }
    expect(simulated(mixed, { requests: 100 }).tiers).toEqual([]);
  });

  test('a trace whose prompts the memory of the prefill engines does not hold is refused', () => {
    // 40 GB are left beside the weights, and the second prompt takes 43
    const small = trn2({ prefill: { hardware: 'trn2.48xlarge', instances: 1, tensorParallelDegree: 8 } });
    const trace = RequestTrace.fromText('arrivalSeconds,inputTokens,outputTokens\n0,10,10\n1,130000,10', 'long.csv');
    expect(Simulator.simulate(trn2(), { trace }).simulation).toBeDefined();
    expect(Simulator.simulate(small, { trace }).refusal).toMatchObject({ kind: 'infeasible', reason: expect.stringMatching(/^1 of 2 requests .*: long\.csv:3 has 130000 \+ 10 tokens$/) });
  });

  test('a fleet of more engines than memory holds is refused, with the most of them', () => {
    const huge = (pools: Partial<DeploymentSpec>) => Simulator.simulate({ ...apart, ...pools }, { requests: 10 }).refusal;
    const { enginesPerInstance } = new Service(apart).resolved.plant.decode;
    const most = Math.floor(100_000 / enginesPerInstance);
    expect(huge({ decode: { ...apart.decode, instances: most } })).toBeUndefined();
    expect(huge({ decode: { ...apart.decode, instances: most + 1 } })).toMatchObject({
      kind: 'infeasible', reason: `decode.instances ${most + 1} is more than the ${most} of such a pool that can be simulated`,
    });
    expect(huge({ prefill: { ...apart.prefill!, instances: 1e6 } })!.reason).toMatch(/^prefill\.instances 1000000 is more than /);
  });

  test('a recorded prompt that no engine takes is refused', () => {
    const trace = RequestTrace.fromText('arrivalSeconds,inputTokens,outputTokens\n0,10,10\n1,1000000,10', 'long.csv');
    expect(Simulator.simulate(apart, { trace }).refusal).toMatchObject({ kind: 'infeasible', reason: expect.stringMatching(/^1 of 2 requests .*: long\.csv:3 has 1000000 \+ 10 tokens$/) });
  });

  test.each<[unknown, string[]]>([
    [null, ['options']],
    ['x', ['options']],
    [{ trace: [], routing: null, failures: 'x', observer: {} }, ['trace', 'routing', 'failures', 'observer']],
    [{ failures: [null, 3] }, ['failures[0]', 'failures[1]']],
  ])('options of other types are refused by name: %j', (options, paths) => {
    expect.assertions(1);
    try {
      Simulator.simulate(apart, options as SimulationOptions);
    } catch (error) {
      expect((error as ProblemsError).problems.map(({ path }) => path)).toEqual(paths);
    }
  });

  test('wrong options are refused all at once', () => {
    const trace = RequestTrace.fromText('arrivalSeconds,inputTokens,outputTokens\n0,10,10\n1,10,10', 'two.csv');
    let thrown: unknown;
    try {
      Simulator.simulate(apart, { seed: -1, requests: NaN, concurrency: 0.5, trace, routing: { minPromptTokens: NaN } });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ProblemsError);
    expect((thrown as ProblemsError).problems.map(({ path }) => path)).toEqual(['routing.minPromptTokens', 'seed', 'requests', 'concurrency', 'concurrency']);
  });

  test('a router has nothing to decide where there is one path', () => {
    for (const spec of [aggregated, { ...apart, decode: { hardware: 'cs-3', instances: 1 } }]) {
      expect(() => Simulator.simulate(spec, { routing: {} })).toThrow(/there is one path only/);
    }
  });

  test('wrong failures are refused all at once', () => {
    let thrown: unknown;
    try {
      Simulator.simulate(aggregated, {
        failures: [{ pool: 'prefill', instance: 0, atSeconds: NaN }, { pool: 'decode', instance: 1, atSeconds: 5, untilSeconds: 5 }],
      });
    } catch (error) {
      thrown = error;
    }
    expect((thrown as ProblemsError).problems.map(({ path }) => path))
      .toEqual(['failures[0].pool', 'failures[0].atSeconds', 'failures[1].instance', 'failures[1].untilSeconds']);
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
