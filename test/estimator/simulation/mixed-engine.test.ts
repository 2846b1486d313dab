import * as fc from 'fast-check';
import { idsOf } from './blocks-reference';
import { mixedReference } from './mixed-reference';
import { Coefficients } from '../../../src/estimator/phases/coefficients';
import { decodeStepSeconds } from '../../../src/estimator/phases/decode';
import { Step, mixedStepSeconds, writingStep } from '../../../src/estimator/phases/mixed';
import { modelShape } from '../../../src/estimator/phases/model-shape';
import { prefillAttentionFlops, prefillSeconds } from '../../../src/estimator/phases/prefill';
import { EngineShape, ModelShape, kvReadBytes } from '../../../src/estimator/phases/shapes';
import { RandomArrivals, RecordedArrivals } from '../../../src/estimator/simulation/arrivals';
import { FleetTables } from '../../../src/estimator/simulation/fleet-tables';
import { MixedEngine } from '../../../src/estimator/simulation/mixed-engine';
import { MixedFleet } from '../../../src/estimator/simulation/mixed-fleet';
import { Outages } from '../../../src/estimator/simulation/outages';
import { Prefixes } from '../../../src/estimator/simulation/prefixes';
import { MixedRequest, replay } from '../../../src/estimator/simulation/replay';
import { ModelArchitecture } from '../../../src/model';

const ENGINE: EngineShape = {
  flopsPerSecond: 1e15,
  memoryBytesPerSecond: 3e12,
  memoryBytes: 1e12,
  ranks: 1,
  chips: 1,
  linkBytesPerSecond: 0,
  stages: 1,
  expertSharers: 1,
  kvCopies: 1,
  serialKvHeads: 1,
  contextLayerTokens: 0,
  expertPasses: 0,
  peakDoublings: 0,
};
const K = Object.assign(new Coefficients(), {
  denseUtilisation: 0.6,
  prefillAttentionUtilisation: 0.4,
  prefillLayerSeconds: 3e-5,
  prefillTokenLayerSeconds: 2e-8,
  prefillExpertSeconds: 1e-6,
  weightBandwidthUtilisation: 0.8,
  kvBandwidthUtilisation: 0.6,
  decodeLayerSeconds: 5e-5,
  decodeSequenceLayerSeconds: 3e-7,
  decodeExpertLayerSeconds: 2e-5,
});
const MODELS = ['llama-3.1-8b', 'gpt-oss-20b', 'llama-4-scout'].map((id) => modelShape(ModelArchitecture.of(id).spec, 2, 2));

const request = (arrivalSeconds: number, inputTokens: number, outputTokens: number): MixedRequest => (
  { arrivalSeconds, inputTokens, outputTokens, firstTokenSeconds: NaN, lastTokenSeconds: NaN });

const arbitraryModel = fc.constantFrom(...MODELS);
const arbitraryLimits = fc.record({
  sequences: fc.integer({ min: 1, max: 12 }),
  stepTokens: fc.integer({ min: 1, max: 3000 }),
  kvTokens: fc.oneof(fc.constant(Infinity), fc.integer({ min: 50, max: 20_000 })),
  blockTokens: fc.constantFrom(1, 16, 32, 100, 600),
});
const arbitraryRequests = fc.array(fc.record({
  gap: fc.double({ min: 0, max: 0.5, noNaN: true }),
  inputTokens: fc.integer({ min: 1, max: 9000 }),
  cachedShare: fc.constantFrom(0, 0, 0.5, 1),
  outputTokens: fc.integer({ min: 1, max: 120 }),
}), { minLength: 1, maxLength: 12 }).map((list) => {
  let at = 0;
  return list.map(({ gap, inputTokens, cachedShare, outputTokens }): MixedRequest => (
    { ...request(at += gap, inputTokens, outputTokens), cachedTokens: Math.floor(cachedShare * (inputTokens - 1)) }));
});

test('events are taken in one piece as step by step, to 1e-9', () => {
  fc.assert(fc.property(arbitraryModel, arbitraryLimits, arbitraryRequests, (model, limits, requests) => {
    const expected = mixedReference(1, model, ENGINE, K, limits, requests);
    replay(new MixedEngine(model, ENGINE, K, limits), requests);
    requests.forEach((one, i) => {
      expect(Math.abs(one.firstTokenSeconds / expected[i].firstTokenSeconds - 1)).toBeLessThan(1e-9);
      expect(Math.abs(one.lastTokenSeconds / expected[i].lastTokenSeconds - 1)).toBeLessThan(1e-9);
    });
  }), { numRuns: 800 });
});

// clients start apart: where two engines do the same at the same time, the last bit of a sum would decide which one is first
class Apart extends RandomArrivals {
  private start = 0.0001;
  private next = 0;

  constructor(public readonly clients: number, ...random: ConstructorParameters<typeof RandomArrivals>) {
    super(...random);
  }

  public seconds(): number {
    return this.start *= 1.7320508;
  }

  public kind(): number {
    return this.next++;
  }
}

test('a fleet gives each request the times that engines give it that go step by step, to 1e-9', () => {
  const requestsOf = fc.array(fc.record({
    inputTokens: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 5000 })),
    cachedShare: fc.constantFrom(0, 0, 0.5, 1),
    outputTokens: fc.oneof(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 300 })),
    rank: fc.integer({ min: 0, max: 2 }),
    family: fc.integer({ min: 0, max: 2 }),
    shared: fc.integer({ min: 0, max: 10 }),
  }), { minLength: 5, maxLength: 30 });
  const gaps = fc.array(fc.double({ min: 1e-6, max: 0.3, noNaN: true }), { minLength: 30, maxLength: 30 });
  const failing = fc.option(fc.record({
    instance: fc.integer({ min: 0, max: 4 }),
    atSeconds: fc.double({ min: 0.01, max: 2, noNaN: true }),
    down: fc.option(fc.double({ min: 0.01, max: 2, noNaN: true })),
  }), { freq: 2 });
  const rooms = fc.option(fc.oneof(fc.double({ min: 1, max: 1.2, noNaN: true }), fc.double({ min: 1, max: 4, noNaN: true })), { freq: 3 });
  let compared = 0;
  let failed = 0;
  let found = 0;
  let evicted = 0;
  let preempted = 0;
  fc.assert(fc.property(
    arbitraryModel, arbitraryLimits, requestsOf, gaps, fc.integer({ min: 1, max: 5 }), fc.constantFrom(0, 0, 1, 6), failing,
    // room of an engine in longest requests; undefined where what is cached is given
    rooms,
    (model, limits, drawn, between, decodeEngines, clients, failure, room) => {
      let at = 0;
      const given = drawn.map(({ inputTokens, cachedShare, outputTokens, rank }, i): MixedRequest => ({
        // no two requests are alike
        ...request(at += between[i], inputTokens + i, outputTokens), cachedTokens: Math.floor(cachedShare * (inputTokens + i)), rank, kind: i,
      }));
      const ids = drawn.map(({ family, shared }, i) => idsOf(given[i].inputTokens, family, shared, i));
      const longest = given.reduce((most, { inputTokens, outputTokens }) => Math.max(most, inputTokens + outputTokens), 0);
      const blocks = room === null ? undefined : Math.ceil(Math.ceil(longest / limits.blockTokens) * room);
      const failures = failure === null ? [] : [{
        pool: 'decode', instance: failure.instance % decodeEngines, atSeconds: failure.atSeconds, untilSeconds: failure.down === null ? undefined : failure.atSeconds + failure.down,
      }];
      const column = (value: (one: MixedRequest) => number) => Float64Array.from(given, value);
      const fleet = {
        decodeEngines,
        overheadSeconds: 0.003,
        caching: blocks && { prefixes: new Prefixes(ids, column((one) => one.inputTokens), limits.blockTokens), blocks },
        chunked: { model, engine: ENGINE, coefficients: K, limits },
        kinds: {
          inputTokens: column((one) => one.inputTokens),
          cachedTokens: column((one) => one.cachedTokens!),
          outputTokens: column((one) => one.outputTokens),
          ranks: Uint8Array.from(given, (one) => one.rank!),
        },
      } as FleetTables;
      const apart = () => new Apart(clients, 0, given.length, 1, 1, Float64Array.of(1));
      const recorded = new RecordedArrivals(column((one) => one.arrivalSeconds), Int32Array.from(given, (_, i) => i));
      const starts = apart();
      const sent = clients === 0 ? given : given.map((one) => ({ ...one, arrivalSeconds: starts.seconds() }));
      const caching = blocks === undefined ? undefined : { ids, blocks };
      const expected = mixedReference(decodeEngines, model, ENGINE, K, limits, sent, clients, 0.003, failures, caching);
      const actual: number[][] = [];
      const simulated = new MixedFleet(fleet, clients === 0 ? recorded : apart(), {
        finished: (number, _kind, arrival, firstToken, finish, _prefill, _decode, cached) => {
          actual[number] = [arrival, firstToken, finish, cached];
          found += room === null ? 0 : cached;
        },
        failed: (number, _kind, arrival, failedAt) => {
          actual[number] = [arrival, NaN, failedAt, NaN];
          failed++;
        },
      }, new Outages(failures, () => 1, 0));
      simulated.run();
      evicted += simulated.evictedBlocks;
      preempted += room === null ? 0 : simulated.preemptions;
      expect(actual).toHaveLength(given.length);
      const foundBy = actual.map(([, firstToken,, cached], i) => Number.isNaN(firstToken) ? expected[i].cachedTokens : cached);
      expect(foundBy).toEqual(expected.map(({ cachedTokens }) => cachedTokens));
      const others = expected.flatMap(({ arrivalSeconds, firstTokenSeconds, lastTokenSeconds }, i) => (
        [arrivalSeconds, firstTokenSeconds + 0.003, lastTokenSeconds + 0.003].map((time, j) => [actual[i][j], time])
      )).filter(([time, other]) => Number.isNaN(other) ? !Number.isNaN(time) : !(Math.abs(time / other - 1) < 1e-9));
      expect(others).toEqual([]);
      compared += given.length;
    },
  ), { numRuns: 1000 });
  expect(compared).toBeGreaterThan(5000);
  expect(failed).toBeGreaterThan(100);
  expect(found).toBeGreaterThan(4e5);
  expect(evicted).toBeGreaterThan(10_000);
  expect(preempted).toBeGreaterThan(20);
});

const reading = (model: ModelShape, newTokens: number): Step => (
  { sequences: 0, kvBytesRead: 0, newTokens, attentionFlops: prefillAttentionFlops(model, newTokens, 0), prompts: 1 });

test('a step that only writes is a decode step, one that only reads is a prefill', () => {
  fc.assert(fc.property(arbitraryModel, fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 20_000 }), (model, sequences, tokens) => {
    const bytes = kvReadBytes(model, tokens);
    expect(mixedStepSeconds(model, ENGINE, K, writingStep(sequences, sequences * bytes)))
      .toBeCloseTo(decodeStepSeconds(model, ENGINE, K, sequences, bytes), 12);
    expect(mixedStepSeconds(model, ENGINE, K, reading(model, tokens)))
      .toBeCloseTo(prefillSeconds(model, ENGINE, K, tokens, 0, 1), 12);
  }));
});

test('a step that does both takes longer than either, and less than both', () => {
  fc.assert(fc.property(arbitraryModel, fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 8000 }), (model, sequences, tokens) => {
    const bytes = sequences * kvReadBytes(model, 1000);
    const [write, read] = [writingStep(sequences, bytes), reading(model, tokens)];
    const [written, prefilled, both] = [write, read, { ...read, sequences, kvBytesRead: bytes }]
      .map((step) => mixedStepSeconds(model, ENGINE, K, step));
    expect(both).toBeGreaterThanOrEqual(Math.max(written, prefilled) * (1 - 1e-12));
    expect(both).toBeLessThanOrEqual((written + prefilled) * (1 + 1e-12));
  }));
});
