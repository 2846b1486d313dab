import * as fc from 'fast-check';
import { ModelArchitecture, ModelSpec, Precision } from '../../src/model';
import * as data from '../../src/model/data/models.json';
import { Problem, ProblemsError } from '../../src/problems';

/** id, parameters, parameters that one token touches, KV bytes per token in bf16 before windows are full. */
const COUNTS: [string, number, number, number][] = [
  ['llama-3.1-8b', 8_029_995_008, 7_504_658_432, 131_072],
  ['llama-3.1-70b', 70_552_387_584, 69_501_714_432, 327_680],
  ['llama-3.3-70b', 70_552_387_584, 69_501_714_432, 327_680],
  ['llama-3.1-405b', 405_849_243_648, 403_747_897_344, 516_096],
  ['qwen3-8b', 8_190_427_136, 7_568_097_280, 147_456],
  ['qwen3-32b', 32_761_446_400, 31_983_534_080, 262_144],
  ['qwen3-0.6b', 595_984_384, 595_984_384, 114_688],
  ['llama-4-scout', 107_769_364_480, 16_137_912_320, 196_608],
  ['llama-4-maverick', 400_711_352_320, 16_149_708_800, 196_608],
  ['gpt-oss-20b', 20_907_786_240, 3_607_142_400, 49_152],
  ['gpt-oss-120b', 116_788_838_400, 5_131_100_160, 73_728],
  ['qwen3-30b-a3b', 30_531_911_680, 3_041_656_832, 98_304],
  ['qwen3-235b-a22b', 235_092_836_352, 21_567_635_456, 192_512],
  ['qwen3-coder-480b-a35b', 480_154_091_520, 34_540_486_656, 253_952],
  ['deepseek-v3', 671_025_397_760, 36_624_596_992, 70_272],
  ['deepseek-r1', 671_025_397_760, 36_624_596_992, 70_272],
  ['deepseek-v3.2', 671_876_907_008, 37_476_106_240, 70_272],
  ['kimi-k2', 1_026_407_202_816, 31_686_066_176, 70_272],
  ['kimi-k2.5', 1_026_407_202_816, 31_686_066_176, 70_272],
  ['glm-5', 743_910_014_976, 40_831_942_656, 89_856],
  ['glm-5.2', 743_910_014_976, 40_831_942_656, 89_856],
  ['minimax-m2', 228_688_920_576, 10_415_112_192, 253_952],
  ['mixtral-8x7b', 46_702_526_464, 12_748_587_008, 131_072],
  ['mixtral-8x22b', 140_619_939_840, 38_954_729_472, 229_376],
  ['glm-4.6', 352_795_525_120, 32_854_016_000, 376_832],
  ['glm-4.5-air', 106_851_205_120, 12_802_326_528, 188_416],
  ['qwen2.5-72b', 72_704_065_536, 71_458_357_248, 327_680],
  ['mistral-7b', 7_241_465_856, 7_110_393_856, 131_072],
  ['mistral-large-2', 122_607_894_528, 122_205_241_344, 360_448],
  ['llama-2-7b', 6_738_149_376, 6_607_077_376, 524_288],
  ['llama-2-13b', 13_015_449_600, 12_851_609_600, 819_200],
  ['llama-2-70b', 68_975_329_280, 68_713_185_280, 327_680],
  ['llama-3.2-1b', 1_235_746_816, 1_235_746_816, 32_768],
  ['bloom-176b', 176_234_168_320, 176_234_168_320, 4_014_080],
  ['opt-13b', 12_840_304_640, 12_840_304_640, 819_200],
  ['opt-30b', 29_955_358_720, 29_955_358_720, 1_376_256],
  ['opt-66b', 65_693_122_560, 65_693_122_560, 2_359_296],
  ['opt-175b', 174_563_917_824, 174_563_917_824, 4_718_592],
  ['qwen3.5-397b-a17b', 396_343_377_920, 16_328_949_760, 30_720],
  ['qwen3.5-35b-a3b', 34_659_368_960, 2_945_187_840, 20_480],
  ['qwen3.5-27b', 26_893_352_960, 25_621_954_560, 65_536],
  ['gemma-4-31b', 30_696_013_824, 30_696_013_824, 901_120],
];

function problemsOf(act: () => unknown): Problem[] {
  try {
    act();
  } catch (error) {
    if (error instanceof ProblemsError) {
      return error.problems;
    }
    throw error;
  }
  return [];
}

describe('shipped models', () => {
  test('are the ones of the table', () => {
    expect(ModelArchitecture.all().map((model) => model.id)).toEqual(COUNTS.map(([id]) => id));
  });

  test.each(COUNTS)('%s has its parameters and KV bytes', (id, parameters, activeParameters, kvBytes) => {
    const model = ModelArchitecture.of(id);
    expect(model.spec.parameters).toBe(parameters);
    expect(model.spec.activeParameters).toBe(activeParameters);
    expect(model.kvBytesPerToken('bf16')).toBe(kvBytes);
    expect(model.source).not.toBe('');
  });

  // the published totals are rounded and may count the multi-token prediction layer; the published active counts may include the input embedding
  test.each(Object.entries(data as { [id: string]: any }).filter(([id, entry]) => id !== 'default' && entry.publishedParameters !== null))(
    '%s has about the parameters that its maker publishes', (id, entry) => {
      const { spec } = ModelArchitecture.of(id);
      expect(Math.abs(spec.parameters / entry.publishedParameters - 1)).toBeLessThan(0.02);
      expect(Math.abs(spec.activeParameters / entry.publishedActiveParameters - 1)).toBeLessThan(0.1);
    });

  test.each(COUNTS.map(([id]) => id))('%s passes the check of a hand-written architecture', (id) => {
    const { spec } = ModelArchitecture.of(id);
    const model = ModelArchitecture.fromSpec({ id: 'mine', architecture: spec });
    expect(model.toSpec()).toEqual({ id: 'mine', architecture: spec });
    expect(model.weightBytes('bf16')).toBe(2 * spec.parameters);
  });

  test('statics, ids, aliases and Hugging Face names are the same object, in any case', () => {
    expect(ModelArchitecture.of('llama-3.3-70b')).toBe(ModelArchitecture.LLAMA_3_3_70B);
    expect(ModelArchitecture.of('meta-llama/Llama-3.3-70B-Instruct')).toBe(ModelArchitecture.LLAMA_3_3_70B);
    expect(ModelArchitecture.of('LLAMA3.3-70B')).toBe(ModelArchitecture.LLAMA_3_3_70B);
    expect(ModelArchitecture.of('deepseek-v3.1')).toBe(ModelArchitecture.DEEPSEEK_V3);
    expect(ModelArchitecture.fromSpec({ id: 'qwen3-8b' })).toBe(ModelArchitecture.QWEN3_8B);
  });

  test('no alias names two models', () => {
    const names = Object.entries(data as { [id: string]: any }).filter(([id]) => id !== 'default')
      .flatMap(([id, entry]) => [id, ...entry.aliases].map((name: string) => name.toLowerCase()));
    expect(new Set(names).size).toBe(names.length);
  });

  test('a shipped model is carried by its id alone', () => {
    expect(ModelArchitecture.GPT_OSS_120B.toSpec()).toEqual({ id: 'gpt-oss-120b' });
  });

  test('an unknown name gets the nearest ones', () => {
    expect(problemsOf(() => ModelArchitecture.of('llama-3.3-7b'))).toEqual([{
      rule: 'ModelUnknown',
      path: 'model',
      value: '"llama-3.3-7b"',
      message: 'there is no shipped model of this name',
      mend: 'use llama-3.3-70b, llama-3.1-70b, llama-3.1-8b, or give the architecture in full',
    }]);
    expect(problemsOf(() => ModelArchitecture.fromSpec({ id: 'x' }))[0]).toMatchObject({ rule: 'ModelUnknown', path: 'model.id' });
    expect(problemsOf(() => ModelArchitecture.of(undefined as unknown as string))).toHaveLength(1);
  });
});

describe('kinds of attention', () => {
  test('plain attention does 4 x heads x headDim FLOPs a layer and token pair', () => {
    expect(ModelArchitecture.LLAMA_3_3_70B.spec.attentionFlopsPerTokenPair).toBe(4 * 64 * 128 * 80);
  });

  test('latent attention differs between prefill and decode', () => {
    const { spec } = ModelArchitecture.DEEPSEEK_V3;
    expect(spec.latentAttention).toBe(true);
    expect(spec.attentionFlopsPerTokenPair).toBe(2 * 128 * (128 + 64 + 128) * 61);
    expect(spec.decodeAttentionFlopsPerTokenPair).toBe(2 * 128 * (2 * 512 + 64) * 61);
  });

  test('sparse attention names its pick and the price of picking', () => {
    const { spec } = ModelArchitecture.DEEPSEEK_V3_2;
    expect(spec.sparseAttentionTokens).toBe(2048);
    expect(spec.sparseIndexFlopsPerTokenPair).toBe(2 * 64 * 128 * 61);
  });

  test('windowed layers of Gemma 4 have other heads than full ones', () => {
    const { spec } = ModelArchitecture.GEMMA_4_31B;
    expect(spec.kvElementsPerTokenFull).toBe(10 * 2 * 4 * 512);
    expect(spec.kvElementsPerTokenWindowed).toBe(50 * 2 * 16 * 256);
    expect(spec.windowedAttentionFlopsPerTokenPair).toBe(4 * 32 * 256 * 50);
    expect(spec.attentionFlopsPerTokenPair).toBe(4 * 32 * (256 * 50 + 512 * 10));
  });

  test('Llama 4 has chunks, gpt-oss slides', () => {
    expect(ModelArchitecture.LLAMA_4_SCOUT.spec).toMatchObject({ windowKind: 'chunked', windowTokens: 8192, windowAttentionLayers: 36 });
    expect(ModelArchitecture.GPT_OSS_20B.spec).toMatchObject({ windowKind: 'sliding', windowTokens: 128, windowAttentionLayers: 12 });
  });

  test('experts', () => {
    expect(ModelArchitecture.DEEPSEEK_V3.spec.moe).toEqual({ experts: 256, expertsPerToken: 8, parametersPerExpert: 3 * 7168 * 2048, layers: 58 });
  });
});

describe('KV cache of a context', () => {
  test('grows without bound where every layer sees everything', () => {
    expect(ModelArchitecture.LLAMA_3_3_70B.kvBytesForContext(1000, 'bf16')).toBe(327_680_000);
    expect(ModelArchitecture.LLAMA_3_3_70B.kvBytesForContext(1000, 'fp8')).toBe(163_840_000);
    expect(ModelArchitecture.LLAMA_3_3_70B.kvBytesForContext(0, 'bf16')).toBe(0);
  });

  test('stops growing in full windows', () => {
    expect(ModelArchitecture.MISTRAL_7B.kvBytesForContext(5000, 'bf16')).toBe(4096 * 131_072);
    expect(ModelArchitecture.GPT_OSS_120B.kvBytesForContext(1128, 'bf16')).toBe(2 * 18_432 * (1128 + 128));
  });

  test('has a state of fixed size in linear layers', () => {
    expect(ModelArchitecture.QWEN3_5_397B_A17B.kvBytesForContext(0, 'bf16')).toBe(193_167_360);
    expect(ModelArchitecture.QWEN3_5_397B_A17B.kvBytesForContext(100, 'bf16')).toBe(193_167_360 + 100 * 30_720);
  });

  test.each([-1, NaN, Infinity])('%p tokens are refused', (tokens) => {
    expect(problemsOf(() => ModelArchitecture.QWEN3_8B.kvBytesForContext(tokens, 'bf16'))[0]).toMatchObject({ rule: 'ContextNotACount' });
  });

  test('never shrinks with the context, never exceeds bytes per token times tokens plus state', () => {
    fc.assert(fc.property(fc.constantFrom(...ModelArchitecture.all()), fc.nat(1e6), fc.nat(1e6), fc.constantFrom(...Precision.all()),
      (model, tokens, more, precision) => {
        const bytes = model.kvBytesForContext(tokens, precision);
        return model.kvBytesForContext(tokens + more, precision) >= bytes
          && bytes <= tokens * model.kvBytesPerToken(precision) + (model.spec.linearStateBytesPerSequence ?? 0);
      }));
  });
});

describe('precision', () => {
  test('bytes of an element', () => {
    const bytes = Object.fromEntries(Precision.all().map((precision) => [precision, Precision.bytesPerElement(precision)]));
    expect(bytes).toEqual({ bf16: 2, fp16: 2, fp8: 1, int8: 1, mxfp8: 1.03125, mxfp4: 0.53125, nvfp4: 0.5625, int4: 0.5 });
  });

  test('weights', () => {
    expect(ModelArchitecture.LLAMA_3_3_70B.weightBytes(Precision.BF16)).toBe(2 * 70_552_387_584);
    expect(ModelArchitecture.LLAMA_3_3_70B.weightBytes(Precision.MXFP4)).toBe(70_552_387_584 * 4.25 / 8);
  });

  test('an unknown format is refused with the nearest names', () => {
    expect(problemsOf(() => Precision.bytesPerElement('fp9'))).toEqual([{
      rule: 'PrecisionUnknown', path: 'precision', value: '"fp9"', message: 'there is no number format of this name', mend: 'use one of fp8, fp16',
    }]);
    expect(problemsOf(() => ModelArchitecture.QWEN3_8B.weightBytes('float'))).toHaveLength(1);
  });
});

describe('architectures given in full', () => {
  const good = ModelArchitecture.GPT_OSS_20B.spec;
  const pathsOf = (change: object) => problemsOf(() => ModelArchitecture.fromSpec({ id: 'mine', architecture: { ...good, ...change } }))
    .map((problem) => problem.path);

  test.each([
    ['kvHeads', 7], ['kvHeads', 0], ['layers', 2.5], ['hiddenSize', NaN], ['headDim', '64'], ['vocabSize', -1], ['maxContextTokens', Infinity],
    ['parameters', undefined], ['activeParameters', good.parameters + 1], ['fullAttentionLayers', 13], ['windowTokens', undefined], ['windowTokens', 0],
    ['windowKind', 'wide'], ['kvElementsPerTokenFull', 0], ['kvElementsPerTokenWindowed', 0], ['attentionFlopsPerTokenPair', -1],
    ['latentAttention', 'no'], ['linearStateBytesPerSequence', -1], ['sparseAttentionTokens', null],
  ])('%s: %p is refused', (key, value) => {
    expect(pathsOf({ [key]: value })).toEqual([`model.architecture.${key}`]);
  });

  test.each([
    [{ experts: 3 }, 'moe.expertsPerToken'], [{ layers: 25 }, 'moe.layers'], [{ parametersPerExpert: 1e12 }, 'moe.parametersPerExpert'],
    [{ experts: 0 }, 'moe.experts'],
  ])('experts %p are refused', (change, path) => {
    expect(pathsOf({ moe: { ...good.moe, ...change } })).toContain(`model.architecture.${path}`);
  });

  test('experts that are no object are refused', () => {
    expect(pathsOf({ moe: null })).toEqual(['model.architecture.moe']);
  });

  test('everything that is wrong is said at once', () => {
    expect(problemsOf(() => ModelArchitecture.fromSpec({ id: '', architecture: { ...good, layers: 0, headDim: NaN } })).map((problem) => problem.path))
      .toEqual(['model.id', 'model.architecture.layers', 'model.architecture.headDim']);
    expect(problemsOf(() => ModelArchitecture.fromSpec({ id: 'x', architecture: 7 } as unknown as ModelSpec))[0])
      .toMatchObject({ path: 'model.architecture', value: '7' });
  });

  test('any garbage is problems', () => {
    fc.assert(fc.property(fc.anything(), fc.anything(), (id, architecture) =>
      architecture === undefined || problemsOf(() => ModelArchitecture.fromSpec({ id, architecture } as ModelSpec)).length > 0));
  });
});
