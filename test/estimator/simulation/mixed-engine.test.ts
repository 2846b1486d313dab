import * as fc from 'fast-check';
import { Coefficients } from '../../../src/estimator/phases/coefficients';
import { decodeStepSeconds } from '../../../src/estimator/phases/decode';
import { mixedStepSeconds } from '../../../src/estimator/phases/mixed';
import { modelShape } from '../../../src/estimator/phases/model-shape';
import { prefillAttentionFlops, prefillSeconds } from '../../../src/estimator/phases/prefill';
import { EngineShape, ModelShape, kvReadBytes } from '../../../src/estimator/phases/shapes';
import { MixedEngine, MixedEngineLimits, MixedRequest } from '../../../src/estimator/simulation/mixed-engine';
import { ModelArchitecture } from '../../../src/model';

const ENGINE: EngineShape = { flopsPerSecond: 1e15, memoryBytesPerSecond: 3e12, memoryBytes: 1e12, kvCopies: 1, lowPrecision: false };
const K = Object.assign(new Coefficients(), {
  prefillDenseUtilisation: 0.6,
  prefillAttentionUtilisation: 0.4,
  prefillLayerSeconds: 3e-5,
  prefillTokenLayerSeconds: 2e-8,
  prefillExpertSeconds: 1e-6,
  decodeBandwidthUtilisation: 0.8,
  decodeKvBandwidthUtilisation: 0.6,
  decodeLayerSeconds: 5e-5,
  decodeSequenceLayerSeconds: 3e-7,
  decodeExpertLayerSeconds: 2e-5,
});
const MODELS = ['llama-3.1-8b', 'gpt-oss-20b', 'llama-4-scout'].map((id) => modelShape(ModelArchitecture.of(id).spec, 2, 2));

const request = (arrivalSeconds: number, inputTokens: number, outputTokens: number): MixedRequest => (
  { arrivalSeconds, inputTokens, outputTokens, firstTokenSeconds: NaN, lastTokenSeconds: NaN });

/** The same engine, step by step: every step asks every sequence. */
function reference(model: ModelShape, limits: MixedEngineLimits, requests: readonly MixedRequest[]): MixedRequest[] {
  type Sequence = { request: MixedRequest; toRead: number; read: number; written: number; held: number };
  const all = requests.map((one) => ({ ...one }));
  const coming = all.map((one): Sequence => ({ request: one, toRead: one.inputTokens, read: 0, written: 0, held: 0 }));
  const waiting: Sequence[] = [];
  let running: Sequence[] = [];
  let now = 0;
  const used = () => running.reduce((sum, { held }) => sum + held, 0);
  while (coming.length + waiting.length + running.length > 0) {
    if (waiting.length + running.length === 0) {
      now = Math.max(now, coming[0].request.arrivalSeconds);
    }
    while (coming.length > 0 && coming[0].request.arrivalSeconds <= now) {
      waiting.push(coming.shift()!);
    }
    let budget = limits.stepTokens;
    const writers: Sequence[] = [];
    for (let i = 0; i < running.length && budget > 0; i++) {
      if (running[i].read < running[i].toRead) {
        continue;
      }
      while (used() >= limits.kvTokens && running.length > i + 1) {
        const lost = running.pop()!;
        Object.assign(lost, { toRead: lost.request.inputTokens + lost.written, read: 0, held: 0 });
        waiting.unshift(lost);
      }
      running[i].held += 1;
      budget -= 1;
      writers.push(running[i]);
    }
    const chunks: { sequence: Sequence; from: number; tokens: number }[] = [];
    const read = (sequence: Sequence) => {
      const tokens = Math.min(budget, sequence.toRead - sequence.read);
      chunks.push({ sequence, from: sequence.read, tokens });
      budget -= tokens;
    };
    running.filter((one) => one.read < one.toRead).forEach((one) => budget > 0 && read(one));
    while (budget > 0 && waiting.length > 0 && running.length < limits.sequences
      && (running.length === 0 || used() + waiting[0].toRead <= limits.kvTokens)) {
      const sequence = waiting.shift()!;
      sequence.held = sequence.toRead;
      running.push(sequence);
      read(sequence);
    }
    now += mixedStepSeconds(
      model, ENGINE, K,
      writers.length,
      writers.reduce((sum, one) => sum + kvReadBytes(model, one.request.inputTokens + one.written), 0),
      chunks.reduce((sum, { tokens }) => sum + tokens, 0),
      chunks.reduce((sum, { from, tokens }) => sum + prefillAttentionFlops(model, tokens, from), 0),
      chunks.filter(({ sequence, from, tokens }) => from + tokens === sequence.toRead).length,
    );
    chunks.forEach(({ sequence, tokens }) => { sequence.read += tokens; });
    for (const sequence of [...writers, ...chunks.map((chunk) => chunk.sequence).filter((one) => one.read === one.toRead)]) {
      sequence.written += 1;
      if (sequence.written === 1) {
        sequence.request.firstTokenSeconds = now;
      }
      if (sequence.written === sequence.request.outputTokens) {
        sequence.request.lastTokenSeconds = now;
      }
    }
    running = running.filter((one) => one.written < one.request.outputTokens);
  }
  return all;
}

const arbitraryModel = fc.constantFrom(...MODELS);
const arbitraryLimits = fc.record({
  sequences: fc.integer({ min: 1, max: 12 }),
  stepTokens: fc.integer({ min: 1, max: 3000 }),
  kvTokens: fc.oneof(fc.constant(Infinity), fc.integer({ min: 50, max: 20_000 })),
});
const arbitraryRequests = fc.array(fc.record({
  gap: fc.double({ min: 0, max: 0.5, noNaN: true }),
  inputTokens: fc.integer({ min: 1, max: 9000 }),
  outputTokens: fc.integer({ min: 1, max: 120 }),
}), { minLength: 1, maxLength: 12 }).map((list) => {
  let at = 0;
  return list.map(({ gap, inputTokens, outputTokens }) => request(at += gap, inputTokens, outputTokens));
});

test('events are taken in one piece as step by step, to 1e-9', () => {
  fc.assert(fc.property(arbitraryModel, arbitraryLimits, arbitraryRequests, (model, limits, requests) => {
    const expected = reference(model, limits, requests);
    new MixedEngine(model, ENGINE, K, limits).replay(requests);
    requests.forEach((one, i) => {
      expect(Math.abs(one.firstTokenSeconds / expected[i].firstTokenSeconds - 1)).toBeLessThan(1e-9);
      expect(Math.abs(one.lastTokenSeconds / expected[i].lastTokenSeconds - 1)).toBeLessThan(1e-9);
    });
  }), { numRuns: 800 });
});

test('a step that only writes is a decode step, one that only reads is a prefill', () => {
  fc.assert(fc.property(arbitraryModel, fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 20_000 }), (model, sequences, tokens) => {
    const bytes = kvReadBytes(model, tokens);
    expect(mixedStepSeconds(model, ENGINE, K, sequences, sequences * bytes, 0, 0, 0))
      .toBeCloseTo(decodeStepSeconds(model, ENGINE, K, sequences, bytes), 12);
    expect(mixedStepSeconds(model, ENGINE, K, 0, 0, tokens, prefillAttentionFlops(model, tokens, 0), 1))
      .toBeCloseTo(prefillSeconds(model, ENGINE, K, tokens, 0, 1), 12);
  }));
});

test('a step that does both takes longer than either, and less than both', () => {
  fc.assert(fc.property(arbitraryModel, fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 8000 }), (model, sequences, tokens) => {
    const bytes = sequences * kvReadBytes(model, 1000);
    const flops = prefillAttentionFlops(model, tokens, 0);
    const [write, read, both] = [[sequences, bytes, 0, 0, 0], [0, 0, tokens, flops, 1], [sequences, bytes, tokens, flops, 1]]
      .map(([a, b, c, d, e]) => mixedStepSeconds(model, ENGINE, K, a, b, c, d, e));
    expect(both).toBeGreaterThanOrEqual(Math.max(write, read) * (1 - 1e-12));
    expect(both).toBeLessThanOrEqual((write + read) * (1 + 1e-12));
  }));
});

test('clients of a closed loop have as many requests in the engine as there are clients', () => {
  const [model] = MODELS;
  const requests = new MixedEngine(model, ENGINE, K, { sequences: Infinity, stepTokens: 2048, kvTokens: Infinity }).closedLoop(8, 40, 500, 50);
  expect(requests).toHaveLength(40);
  expect(requests.filter(({ arrivalSeconds }) => arrivalSeconds === 0)).toHaveLength(8);
  const ends = requests.map(({ lastTokenSeconds }) => lastTokenSeconds);
  requests.slice(8).forEach(({ arrivalSeconds }) => expect(ends).toContain(arrivalSeconds));
  // Little's law: requests in the engine are the rate times the time of each.
  const makespan = Math.max(...ends);
  const inside = requests.reduce((sum, { arrivalSeconds, lastTokenSeconds }) => sum + lastTokenSeconds - arrivalSeconds, 0) / makespan;
  expect(inside).toBeLessThanOrEqual(8);
  expect(inside).toBeGreaterThan(7);
});
