import * as fc from 'fast-check';
import { Coefficients } from '../../src/estimator/phases/coefficients';
import { communicationSeconds } from '../../src/estimator/phases/communication';
import { decodeStepSeconds } from '../../src/estimator/phases/decode';
import { engineShape } from '../../src/estimator/phases/engine-shape';
import { kvTransferSeconds, postingSeconds } from '../../src/estimator/phases/kv-transfer';
import { kvMemoryBytes, kvSlots } from '../../src/estimator/phases/memory';
import { Step, mixedStepSeconds } from '../../src/estimator/phases/mixed';
import { modelShape } from '../../src/estimator/phases/model-shape';
import { causalPairs, paddedTokens, prefillAttentionFlops, prefillSeconds, promptSeconds } from '../../src/estimator/phases/prefill';
import { distinctExperts, multiplySeconds, weightReadSeconds } from '../../src/estimator/phases/roofline';
import { EngineShape, ModelShape, compiledFor, engineWeightBytes, kvBytes, kvReadBytes } from '../../src/estimator/phases/shapes';
import { Speculation, speculativeStepSeconds, tokensPerStep } from '../../src/estimator/phases/speculation';
import { waferTokenSeconds, wafersForWeights } from '../../src/estimator/phases/wafer-decode';
import { Accelerator } from '../../src/hardware';
import { ModelArchitecture } from '../../src/model';

const shape = (id: string): ModelShape => modelShape(ModelArchitecture.of(id).spec, 2, 2);
const ENGINE: EngineShape = {
  flopsPerSecond: 1e15,
  memoryBytesPerSecond: 1e13,
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

const MIXED: Step = { sequences: 16, kvBytesRead: 1e6, newTokens: 512, attentionFlops: 1e9, prompts: 1 };

describe('model shape', () => {
  test('Llama-3.3-70B caches 327,680 bytes a token and multiplies 2 FLOPs a weight', () => {
    const model = shape('llama-3.3-70b');
    expect(kvBytes(model, 1)).toBe(327_680);
    expect(model.headFlopsPerToken).toBe(2 * 128_256 * 8192);
    expect((model.sharedFlopsPerToken + model.headFlopsPerToken) / 2).toBeCloseTo(69.5e9, -8);
    expect(model.fullAttentionFlopsPerPair).toBe(4 * 64 * 128 * 80);
  });

  test('DeepSeek-V3 caches one latent that tensor parallelism cannot split', () => {
    const model = shape('deepseek-v3');
    expect(kvBytes(model, 1)).toBe(70_272);
    expect(model.kvShards).toBe(1);
  });

  test('gpt-oss keeps at most 128 tokens in its windowed layers', () => {
    const model = shape('gpt-oss-120b');
    expect(kvBytes(model, 10_000)).toBe(18_432 * 2 * 10_000 + 18_432 * 2 * 128);
    expect(kvReadBytes(model, 100)).toBe(2 * 18_432 * 2 * 100);
  });
});

describe('narrow weights', () => {
  const bytes = (id: string, bytesPerWeight: number) => modelShape(ModelArchitecture.of(id).spec, bytesPerWeight, 2).weightBytes;

  test('models are as large as their published checkpoints', () => {
    // with the scales that the format does not count, one of 16 bit for 32 elements
    expect(bytes('kimi-k2', (4 + 16 / 32) / 8)).toBeCloseTo(594e9, -10);
    expect(bytes('gpt-oss-120b', 4.25 / 8)).toBeCloseTo(65.2e9, -9);
    expect(bytes('llama-3.1-70b', 1)).toBeCloseTo(72.7e9, -9);
  });

  test.each([
    [Accelerator.H100, 'bf16', 0], [Accelerator.H100, 'fp8', 1], [Accelerator.H100, 'nvfp4', 0], [Accelerator.H100, 'int8', 0],
    [Accelerator.B200, 'nvfp4', 2], [Accelerator.TRAINIUM1, 'fp8', 0], [Accelerator.TRAINIUM3, 'mxfp4', 1.9],
  ])('%#: a format is multiplied at the peak that the chip has for it, or at 16 bit', ({ name }, weights, doublings) => {
    expect(engineShape(Accelerator.of(name), 1, shape('llama-3.1-8b'), weights)!.peakDoublings).toBeCloseTo(doublings, 1);
  });

  test('they gain compute where the chip multiplies them faster, and bandwidth as far as kernels reach it', () => {
    const k = Object.assign(new Coefficients(), { lowPrecisionGain: 1.8, lowPrecisionBandwidthGain: 0.8 });
    const dense = modelShape(ModelArchitecture.of('llama-3.1-8b').spec, 0.5, 2);
    const engine = { ...ENGINE, peakDoublings: 2 };
    expect(multiplySeconds(dense, engine, k, 1, 0)).toBeCloseTo(dense.sharedFlopsPerToken / 1e15 / 1.8 ** 2, 15);
    expect(weightReadSeconds(dense, engine, k, 1)).toBeCloseTo(dense.sharedWeightBytes / 1e13 / 0.8 ** 2, 12);
    const mixture = modelShape(ModelArchitecture.of('gpt-oss-120b').spec, 0.5, 2);
    const flops = mixture.sharedFlopsPerToken + 4 * mixture.expertFlopsPerToken / 1.8 ** 2;
    expect(multiplySeconds(mixture, engine, k, 1, 0)).toBeCloseTo(flops / 1e15, 15);
    expect(weightReadSeconds(mixture, engine, k, 1)).toBeCloseTo(weightReadSeconds(mixture, engine, new Coefficients(), 1), 15);
  });
});

describe('prefill', () => {
  test.each([
    [4, 0, Infinity, 1 + 2 + 3 + 4],
    [3, 10, Infinity, 11 + 12 + 13],
    [5, 0, 3, 1 + 2 + 3 + 3 + 3],
    [3, 10, 4, 12],
    [4, 1, 3, 2 + 3 + 3 + 3],
  ])('%d new tokens after %d cached in a window of %d make %d pairs', (fresh, cached, window, pairs) => {
    expect(causalPairs(fresh, cached, window)).toBe(pairs);
  });

  test('a prompt is padded to the first bucket that holds it, beyond the last one segment by segment', () => {
    expect(paddedTokens(129, [128, 256, 512])).toBe(256);
    expect(paddedTokens(256, [128, 256, 512])).toBe(256);
    expect(paddedTokens(513, [128, 256, 512])).toBe(512 + 128);
    expect(paddedTokens(1024, [128, 256, 512])).toBe(1024);
    expect(paddedTokens(1236, [128, 256, 512])).toBe(1024 + 256);
    expect(paddedTokens(0, [128, 256, 512])).toBe(128);
    expect(paddedTokens(513, [])).toBe(513);
  });

  test('segments are read one after the other, each with what was read before it, and the prompt ends with the last', () => {
    const model = shape('llama-3.3-70b');
    const k = Object.assign(new Coefficients(), {
      denseUtilisation: 0.5, prefillAttentionUtilisation: 0.25, prefillLayerSeconds: 1e-3, prefillPromptSeconds: 2e-3,
    });
    const one = (tokens: number, cached: number) => prefillSeconds(model, ENGINE, k, tokens, cached, 1);
    const twoEnds = 2 * (k.prefillPromptSeconds + multiplySeconds(model, ENGINE, k, 0, 1));
    expect(promptSeconds(model, ENGINE, k, 1280, 100, 512)).toBeCloseTo(one(512, 100) + one(512, 612) + one(256, 1124) - twoEnds, 12);
    expect(promptSeconds(model, ENGINE, k, 1280, 100, Infinity)).toBe(one(1280, 100));
    expect(promptSeconds(model, ENGINE, k, 0, 100, Infinity)).toBe(one(0, 100));
  });

  test('projections, attention, floor and serial part add up', () => {
    const model = shape('llama-3.3-70b');
    const k = Object.assign(new Coefficients(), {
      denseUtilisation: 0.5, prefillAttentionUtilisation: 0.25, prefillLayerSeconds: 1e-3, prefillTokenLayerSeconds: 1e-6,
    });
    const dense = (model.sharedFlopsPerToken * 2048 + model.headFlopsPerToken) / 0.5e15;
    const attention = prefillAttentionFlops(model, 2048, 0) / 0.25e15;
    expect(attention).toBeCloseTo(4 * 64 * 128 * 80 * 2048 * 2049 / 2 / 0.25e15, 12);
    expect(prefillSeconds(model, ENGINE, k, 2048, 0, 1)).toBeCloseTo(dense + attention + 80 * (1e-3 + 2.048e-3), 9);
  });

  test('utilisation rises with length and saturates', () => {
    const model = shape('llama-3.1-8b');
    const k = Object.assign(new Coefficients(), { denseUtilisation: 0.4, prefillAttentionUtilisation: 0.4, prefillLayerSeconds: 5e-4 });
    const flops = (n: number) => model.sharedFlopsPerToken * n + prefillAttentionFlops(model, n, 0);
    const mfu = (n: number) => flops(n) / prefillSeconds(model, ENGINE, k, n, 0, 1) / 1e15;
    expect(mfu(128)).toBeLessThan(mfu(1024));
    expect(mfu(1024)).toBeLessThan(mfu(16_384));
    expect(mfu(65_536)).toBeGreaterThan(0.38);
    expect(mfu(65_536)).toBeLessThan(0.4);
  });

  test.each([[256, 8, 1, 8], [256, 8, 16, 102], [256, 8, 64, 222], [128, 4, 32, 82]])(
    'of %d experts with %d a token, %d tokens visit about %d', (experts, each, tokens, visited) => {
      expect(distinctExperts({ ...shape('deepseek-v3'), experts, expertsPerToken: each }, tokens)).toBeCloseTo(visited, -0.4);
    },
  );
});

describe('decode', () => {
  test('weights over bandwidth, floor over layers, caches of all copies', () => {
    const model = shape('llama-3.3-70b');
    const k = Object.assign(new Coefficients(), {
      weightBandwidthUtilisation: 0.8, kvBandwidthUtilisation: 0.5, decodeLayerSeconds: 160e-6, decodeSequenceLayerSeconds: 8e-6,
    });
    const seconds = decodeStepSeconds(model, { ...ENGINE, kvCopies: 4 }, k, 4, kvBytes(model, 1000));
    const weights = ModelArchitecture.of('llama-3.3-70b').spec.activeParameters * 2 / 8e12;
    expect(seconds).toBeCloseTo(weights + 4 * 327_680_000 * 4 / 5e12 + 80 * (160e-6 + 3 * 8e-6), 9);
  });

  test('a large batch is bound by multiplication', () => {
    const model = shape('llama-3.1-8b');
    const k = new Coefficients();
    const flops = 4096 * (model.sharedFlopsPerToken + model.headFlopsPerToken);
    expect(decodeStepSeconds(model, ENGINE, k, 4096, 0)).toBeCloseTo(flops / 1e15, 9);
  });
});

describe('communication between ranks', () => {
  const model = shape('llama-3.3-70b');
  const k = Object.assign(new Coefficients(), { collectiveHopSeconds: 2e-6, collectiveBandwidthUtilisation: 0.5 });
  const over = (ranks: number, chips = ranks): EngineShape => ({ ...ENGINE, ranks, chips, linkBytesPerSecond: 450e9 });
  const seconds = (engine: EngineShape, tokens: number) => communicationSeconds(model, engine, k, tokens);

  test('two sums a layer: latency by doublings of the ranks, and 2 (c - 1) / c of the activations over a link', () => {
    expect(seconds(over(8), 16)).toBeCloseTo(2 * 80 * (3 * 2e-6 + 2 * 7 / 8 * 16 * 2 * 8192 / 225e9), 12);
    expect(seconds(over(4, 1), 16)).toBeCloseTo(2 * 80 * 2 * 2e-6, 12);
    expect(seconds(over(1), 16)).toBe(0);
  });

  test('each stage sends the activations on', () => {
    expect(seconds({ ...over(1), stages: 4 }, 16)).toBeCloseTo(3 * (2e-6 + 16 * 2 * 8192 / 225e9), 12);
  });

  test('engines that share experts send each token to its experts and take back what they give, in place of a sum', () => {
    const mixture = shape('deepseek-v3');
    const at = (engine: EngineShape) => communicationSeconds(mixture, engine, k, 16);
    const exchanges = 2 * 58 * (3 * 2e-6 + 7 / 8 * 16 * 8 * 2 * 7168 / 225e9);
    expect(at({ ...over(1), expertSharers: 8 })).toBeCloseTo(exchanges, 12);
    // two chips each: both send a half, and 15 of 16 experts are on others
    const sums = (2 * 61 - 58) * (2e-6 + 16 * 2 * 7168 / 225e9);
    expect(at({ ...over(2), expertSharers: 8 })).toBeCloseTo(sums + 2 * 58 * (4 * 2e-6 + 15 / 16 * 8 * 8 * 2 * 7168 / 225e9), 12);
  });

  test('over links without end only latency takes time, and more ranks, stages or sharers never send fewer bytes', () => {
    const degrees = fc.integer({ min: 1, max: 16 });
    fc.assert(fc.property(
      fc.constantFrom('llama-3.3-70b', 'deepseek-v3', 'gpt-oss-120b'), fc.record({ ranks: degrees, stages: degrees, expertSharers: degrees }),
      fc.integer({ min: 1, max: 10_000 }), (id, of, tokens) => {
        const mixture = shape(id);
        const still = Object.assign(new Coefficients(), { collectiveHopSeconds: 0 });
        const shaped = (degreesOf: typeof of, linkBytesPerSecond: number) => ({ ...over(degreesOf.ranks), ...degreesOf, linkBytesPerSecond });
        expect(communicationSeconds(mixture, shaped(of, Infinity), still, tokens)).toBe(0);
        // of all chips of the engine together
        const bytes = (degreesOf: typeof of) => degreesOf.ranks * communicationSeconds(mixture, shaped(degreesOf, 1), still, tokens);
        const least = bytes(of) * (1 - 1e-9);
        expect(bytes({ ...of, ranks: of.ranks + 1 })).toBeGreaterThanOrEqual(least);
        expect(bytes({ ...of, stages: of.stages + 1 })).toBeGreaterThanOrEqual(least);
        expect(bytes({ ...of, expertSharers: of.expertSharers + 1 })).toBeGreaterThanOrEqual(of.expertSharers > 1 || id === 'llama-3.3-70b' ? least : 0);
      }));
  });

  test('prefill, decode and mixed steps all have it', () => {
    const alone = { ...over(8), ranks: 1 };
    const added = (step: (engine: EngineShape) => number) => step(over(8)) - step(alone);
    expect(added((engine) => decodeStepSeconds(model, engine, k, 16, 1e6))).toBeCloseTo(seconds(over(8), 16), 12);
    expect(added((engine) => prefillSeconds(model, engine, k, 512, 0, 2))).toBeCloseTo(seconds(over(8), 1024), 12);
    expect(added((engine) => mixedStepSeconds(model, engine, k, MIXED))).toBeCloseTo(seconds(over(8), 528), 12);
  });
});

describe('weights of an engine', () => {
  const model = shape('deepseek-v3');
  const routed = model.experts * model.expertBytes * model.expertLayers;

  test('experts that engines share, and stages, leave a part to each', () => {
    expect(engineWeightBytes(model, ENGINE)).toBe(model.weightBytes);
    expect(engineWeightBytes(model, { ...ENGINE, expertSharers: 8 })).toBeCloseTo(model.weightBytes - routed * 7 / 8, -3);
    expect(engineWeightBytes(model, { ...ENGINE, stages: 4 })).toBeCloseTo(model.weightBytes / 4, -3);
  });

  test('each reads its part of the experts that the tokens of all visit', () => {
    const read = (engine: EngineShape, tokens: number) => (
      weightReadSeconds(model, engine, new Coefficients(), tokens) * 1e13 - model.sharedWeightBytes);
    expect(read({ ...ENGINE, expertSharers: 8 }, 4) / (read(ENGINE, 32) / 8)).toBeCloseTo(1, 9);
  });
});

describe('an engine of an accelerator', () => {
  test('heads that the ranks do not divide are padded, fewer heads than ranks copied', () => {
    const copies = (kvShards: number, ranks: number) => (
      engineShape(Accelerator.TRAINIUM1, ranks, { ...shape('llama-3.1-8b'), kvShards }, 'bf16')!.kvCopies);
    expect([copies(40, 32), copies(8, 32), copies(32, 32), copies(64, 32)]).toEqual([1.6, 4, 1, 1]);
  });

  test('a NeuronCore takes the KV heads of its rank one after another for each sequence', () => {
    const heads = (chip: Accelerator, id: string, ranks: number) => engineShape(chip, ranks, shape(id), 'bf16')!.serialKvHeads;
    // 40 over 32 ranks are two of most, and 8 one of each
    expect(heads(Accelerator.TRAINIUM1, 'llama-2-13b', 32)).toBe(2);
    expect(heads(Accelerator.TRAINIUM1, 'llama-3.1-8b', 32)).toBe(1);
    expect(heads(Accelerator.TRAINIUM2, 'llama-3.1-8b', 4)).toBe(2);
    expect(heads(Accelerator.H100, 'llama-2-13b', 8)).toBe(1);
    const model = shape('llama-2-13b');
    const k = Object.assign(new Coefficients(), { decodeSequenceLayerSeconds: 1e-6 });
    const step = (serialKvHeads: number, batch: number) => decodeStepSeconds(model, { ...ENGINE, serialKvHeads }, k, batch, 1e6);
    expect(step(2, 8) - step(1, 8)).toBeCloseTo(40 * 7 * 1e-6, 12);
    expect(step(2, 1)).toBe(step(1, 1));
  });

  test('a compiled step attends to the length that it was compiled for, of whatever batch, in windows to no more than they hold', () => {
    const tokens = (id: string, contextTokens: number) => compiledFor(ENGINE, shape(id), contextTokens).contextLayerTokens;
    expect(tokens('llama-3.3-70b', 4096)).toBeCloseTo(80 * 4096, 6);
    expect(tokens('gpt-oss-120b', 4096)).toBeCloseTo(18 * 4096 + 18 * 128, 6);
    const k = Object.assign(new Coefficients(), { decodeContextLayerSeconds: 1e-9 });
    const longer = (batch: number) => {
      const model = shape('llama-3.3-70b');
      const step = (contextTokens: number) => decodeStepSeconds(model, compiledFor(ENGINE, model, contextTokens), k, batch, 1e6);
      return step(8192) - step(4096);
    };
    expect(longer(1)).toBeCloseTo(80 * 4096 * 1e-9, 12);
    expect(longer(8)).toBeCloseTo(longer(1), 12);
    const read = (contextTokens: number) => prefillSeconds(shape('llama-3.3-70b'), compiledFor(ENGINE, shape('llama-3.3-70b'), contextTokens), k, 512, 0, 1);
    expect(read(8192)).toBe(read(4096));
  });

  test('a NeuronCore takes each token of a prompt through every expert, in whole arrays of 128 columns; other devices through its own alone', () => {
    const passes = (chip: Accelerator, id: string, ranks: number) => engineShape(chip, ranks, shape(id), 'bf16')!.expertPasses;
    // 1,536 columns over 64 ranks are 24 of an array's, 8,192 are one whole
    expect(passes(Accelerator.TRAINIUM2, 'qwen3-235b-a22b', 64)).toBeCloseTo(128 * 128 / 24, 9);
    expect(passes(Accelerator.TRAINIUM2, 'llama-4-scout', 64)).toBe(16);
    expect(passes(Accelerator.TRAINIUM2, 'llama-3.3-70b', 64)).toBe(0);
    expect(passes(Accelerator.H100, 'llama-4-scout', 8)).toBe(0);
  });

  test('what all experts take is added for tokens of prompts, and not for written ones', () => {
    const model = shape('llama-4-scout');
    const k = Object.assign(new Coefficients(), { promptExpertUtilisation: 0.1 });
    const all = (step: Partial<Step>) => (
      mixedStepSeconds(model, { ...ENGINE, expertPasses: 16 }, k, { ...MIXED, ...step }) - mixedStepSeconds(model, ENGINE, k, { ...MIXED, ...step }));
    // 48 layers of 16 experts with three matrices of 5,120 by 8,192
    expect(all({}) / (512 * 48 * 16 * 2 * 3 * 5120 * 8192 / 1e14)).toBeCloseTo(1, 9);
    expect(all({ newTokens: 0, attentionFlops: 0, prompts: 0 })).toBe(0);
  });

  test('the links between its chips have to be known where it has several', () => {
    expect(engineShape(Accelerator.B300, 8, shape('llama-3.1-8b'), 'bf16')).toBeUndefined();
    expect(engineShape(Accelerator.H100, 8, shape('llama-3.1-8b'), 'bf16')).toMatchObject({ chips: 8, linkBytesPerSecond: 450e9 });
  });
});

describe('speculative decoding', () => {
  const k = new Coefficients();
  const drafts = (draftTokens: number, acceptanceRate: number, draftStepShare = 0): Speculation => ({ draftTokens, acceptanceRate, draftStepShare });

  test.each([[3, 0.7, 2.53], [4, 0.8, 3.36], [7, 0.8, 4.16], [7, 0.9, 5.70], [5, 0, 1], [5, 1, 6]])(
    'a draft of %d tokens accepted at %d gives %d a step', (tokens, rate, expected) => {
      expect(tokensPerStep(drafts(tokens, rate))).toBeCloseTo(expected, 2);
    });

  test('a step of drafts costs little where memory is the bound, and as much as its tokens where compute is', () => {
    const model = shape('llama-3.3-70b');
    const plain = (batch: number) => decodeStepSeconds(model, ENGINE, k, batch, 0);
    const drafted = (batch: number) => speculativeStepSeconds(model, ENGINE, k, batch, 0, drafts(3, 0.7));
    expect(drafted(1) / plain(1)).toBeLessThan(1.1);
    expect(drafted(2000) / plain(2000)).toBeCloseTo(4, 1);
    expect(speculativeStepSeconds(model, ENGINE, k, 8, 1e6, drafts(3, 0.7, 0.1)))
      .toBeCloseTo(speculativeStepSeconds(model, ENGINE, k, 8, 1e6, drafts(3, 0.7)) + 0.3 * decodeStepSeconds(model, ENGINE, k, 8, 1e6), 12);
  });
});

describe('KV transfer', () => {
  test('set-up and bytes over bandwidth, shared with other transfers', () => {
    expect(kvTransferSeconds(671e6 / 268e9, 20e-6, 1, 0)).toBeCloseTo(671e6 / 268e9 + 20e-6, 9);
  });

  test('block by block, each layer\'s keys and values of each block are posted', () => {
    expect(postingSeconds(shape('llama-3.3-70b').kvTensors, 1000, 32, 3.2e-6)).toBeCloseTo(2 * 80 * 32 * 3.2e-6, 12);
    // a latent holds both
    expect(shape('deepseek-v3').kvTensors).toBe(shape('deepseek-v3').layers);
  });

  test('layerwise, only the last layer or what prefill cannot hide is waited for', () => {
    expect(kvTransferSeconds(8, 0, 80, 100)).toBeCloseTo(8 / 80, 9);
    expect(kvTransferSeconds(8, 0, 80, 4)).toBeCloseTo(8 - 4 * 79 / 80, 9);
  });
});

describe('memory and wafers', () => {
  test('slots are what is left of usable memory over one cache', () => {
    expect(kvMemoryBytes(100e9, 0.9, 60e9, 10e9)).toBeCloseTo(20e9, 0);
    expect(kvSlots(20e9, 3e9)).toBe(6);
  });

  test('a token crosses all layers and hops in series; streams beyond the layers share them', () => {
    expect(waferTokenSeconds(80, 4, 10e-6, 5e-6, 1)).toBeCloseTo(815e-6, 12);
    expect(waferTokenSeconds(80, 4, 10e-6, 5e-6, 80)).toBeCloseTo(815e-6, 12);
    expect(waferTokenSeconds(80, 4, 10e-6, 5e-6, 160)).toBeCloseTo(1630e-6, 12);
  });

  test('70B at 16 bit needs four wafers', () => {
    expect(wafersForWeights(shape('llama-3.3-70b').weightBytes, 44e9 * 0.82)).toBe(4);
  });
});
