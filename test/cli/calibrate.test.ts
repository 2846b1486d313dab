import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliProcess, ROOT } from './cli-process';

const REQUEST = { arrivalSeconds: 0, inputTokens: 100, outputTokens: 11, ttftSeconds: 0.25, endToEndSeconds: 0.75 };

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'calibrate-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

describe('the command', () => {
  const SPEC = {
    schema: 'cdk-disaggregated-inference/deployment-spec/v1',
    model: { id: 'llama-3.1-8b' },
    workload: { source: 'steady', requestsPerSecond: 1, lengthClasses: [{ weight: 1, inputTokens: 1024, outputTokens: 128 }] },
    decode: { hardware: 'trn1.32xlarge', instances: 1, tensorParallelDegree: 8, maxConcurrentSequences: 16 },
  };
  // steps twice as long as those of the shipped coefficients.
  const STEPS = [1, 4, 16].flatMap((sequences) => [512, 2048].map((contextTokens) => (
    { sequences, contextTokens, stepSeconds: 0.03 + sequences * contextTokens * 1e-7 })));
  let cli: CliProcess;

  beforeAll(() => {
    cli = new CliProcess();
  });

  test('fits, tells the error of what was held out, and writes what a spec takes', () => {
    write('steps.json', STEPS);
    write('spec.json', SPEC);
    const { status, stdout, stderr } = cli.run(['calibrate', 'steps.json', '--spec', 'spec.json', '--out', 'calibration.json'], undefined, folder);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^trn1\.32xlarge, one engine of 8 ranks: 6 decode steps\n\ncoefficient +before +fitted +spread\n/);
    const errors = Object.fromEntries([...stdout.matchAll(/^TPOT (before|fitted|held out) +(\d+) +\S+ ms +([\d.]+) %/gm)].map(([, kind, count, mape]) => [kind, [Number(count), Number(mape)]]));
    expect(errors.before[1]).toBeGreaterThan(20);
    expect(errors.fitted).toEqual([6, expect.any(Number)]);
    expect(errors.fitted[1]).toBeLessThan(8);
    expect(errors['held out'][0]).toBe(6);
    expect(errors['held out'][1]).toBeLessThan(15);
    const calibration = JSON.parse(readFileSync(join(folder, 'calibration.json'), 'utf8'));
    expect(Object.keys(calibration)).toEqual([
      'coefficientSet', 'accelerator', 'weights', 'model', 'decode', 'decodeRelativeSigmas', 'decodeCorrelations', 'ttftRelativeSigma', 'tpotRelativeSigma', 'tpotHeldOut',
      'source',
    ]);
    expect(calibration).toMatchObject({
      model: 'llama-3.1-8b', tpotHeldOut: { times: 6, meanError: expect.closeTo(errors['held out'][1] / 100, 3) }, source: 'calibrate of steps.json: 6 times of trn1.32xlarge',
    });

    const tpotOf = (spec: object) => {
      write('spec.json', spec);
      return JSON.parse(cli.run(['estimate', 'spec.json', '--format', 'json'], undefined, folder).stdout).tpotSeconds.mean;
    };
    const [byFile, inline, shipped] = [{ ...SPEC, calibration: 'calibration.json' }, { ...SPEC, calibration }, SPEC].map(tpotOf);
    expect(byFile).toEqual(inline);
    expect(byFile.value).toBeGreaterThan(1.2 * shipped.value);
    expect(byFile.value / byFile.low).toBeGreaterThanOrEqual(Math.exp(1.28 * calibration.tpotRelativeSigma));
  });

  test('says that measurements of another model on another accelerator are unlike the spec', () => {
    const unlike = 'the measurements may be of another model or accelerator than the spec\'s';
    const of = (spec: string) => cli.run(['calibrate', 'examples/measurements/qwen3-32b-p5.csv', '--spec', `examples/specs/${spec}.json`]).stdout;
    expect(of('llama-3.3-70b-trn2')).toContain(unlike);
    expect(of('qwen3-32b-p5')).not.toContain(unlike);
  });

  test('measurements of an engine that can hardly be the spec\'s are warned of, also where the fit predicts them well', () => {
    write('other.json', {
      ...SPEC,
      model: { id: 'qwen3-8b' },
      workload: {
        source: 'steady',
        requestsPerSecond: 6,
        lengthClasses: [{ weight: 0.5, inputTokens: 300, outputTokens: 150 }, { weight: 0.5, inputTokens: 2000, outputTokens: 80 }],
      },
      decode: { hardware: 'p5.48xlarge', instances: 1, enginesPerInstance: 1, tensorParallelDegree: 1, maxConcurrentSequences: 128, maxBatchedTokens: 2048 },
    });
    write('spec.json', { ...SPEC, model: { id: 'llama-3.3-70b' }, decode: { hardware: 'trn2.48xlarge', instances: 1 } });
    cli.run(['simulate', 'other.json', '--requests', '300', '--jsonl', 'other.jsonl'], undefined, folder);
    const of = (spec: string) => cli.run(['calibrate', 'other.jsonl', '--spec', spec], undefined, folder);
    expect(of('other.json').stderr).toBe('');
    const meaning = ': the measurements may be of another model, machine, degree or number format than those of --spec, or in another unit\n';
    const { status, stdout, stderr } = of('spec.json');
    expect(stderr).toContain(` would be all of the peak, which no engine reaches${meaning}`);
    expect([status, stdout]).toEqual([0, expect.stringContaining('write it with --out')]);
    // milliseconds that were taken for seconds and the like
    write('spec.json', SPEC);
    write('steps.json', STEPS.map((step) => ({ ...step, stepSeconds: 14 * step.stepSeconds })));
    const slow = cli.run(['calibrate', 'steps.json', '--spec', 'spec.json'], undefined, folder);
    expect(slow.stderr).toMatch(/^warning: before the fit, TPOT is 0\.\d+ times what was measured: .*\n$/);
    expect(slow.stderr).toContain(meaning);
  });

  test('requests without times are refused', () => {
    write('spec.json', SPEC);
    write('a.csv', 'arrivalSeconds,inputTokens,outputTokens\n0,100,10\n1,100,10\n');
    const { status, stderr } = cli.run(['calibrate', 'a.csv', '--spec', 'spec.json'], undefined, folder);
    expect([status, stderr.split('\n')[1]]).toEqual([2, '  [a.csv] these are requests without a time that was measured '
      + '(give ttftSeconds and endToEndSeconds beside arrivals and lengths) [MeasurementsWithoutTimes]']);
  });

  test('a fit that is of no use is told, and not written', () => {
    const { status, stdout, stderr } = cli.run(
      ['calibrate', join(ROOT, 'examples/measurements/qwen3-32b-p5.csv'), '--spec', join(ROOT, 'examples/specs/llama-3.3-70b-trn2.json'), '--out', 'new.json'],
      undefined, folder);
    expect([status, stderr]).toEqual([1, '']);
    expect(stdout).toMatch(/\n\nthere is no calibration: TTFT is off by a factor of [\d.]+ after the fit\n$/);
    expect(existsSync(join(folder, 'new.json'))).toBe(false);
  });

  test('a fit that predicts a small part of what was measured is of no use either', () => {
    write('spec.json', SPEC);
    // milliseconds that were taken for seconds
    write('steps.json', STEPS.map((step) => ({ ...step, stepSeconds: 1000 * step.stepSeconds })));
    const { status, stdout } = cli.run(['calibrate', 'steps.json', '--spec', 'spec.json', '--out', 'new.json'], undefined, folder);
    expect(stdout).toMatch(/\n\nthere is no calibration: TPOT is off by a factor of [\d.,]+ after the fit\n$/);
    expect(status).toBe(1);
    expect(existsSync(join(folder, 'new.json'))).toBe(false);
  });

  test.each<[string, object, string[], RegExp, number]>([
    ['a pool that the spec has not', SPEC, ['--pool', 'prefill'], /the spec has no prefill pool/, 3],
    ['an odd number of tokens', SPEC, ['--max-num-batched-tokens', '-1'], /the tokens of a step are no whole number above 0, got: "-1"/, 2],
    ['a file that cannot be written', SPEC, ['--out', 'none/calibration.json'], /\[none\/calibration\.json\] the file cannot be written: ENOENT/, 2],
    ['a folder to write to', SPEC, ['--out', '.'], /\[\.\] the file cannot be written: EISDIR/, 2],
    ['a file below one that is no folder', SPEC, ['--out', 'steps.json/c.json'], /\[steps\.json\/c\.json\] the file cannot be written: ENOTDIR/, 2],
    ['a calibration that is none', { ...SPEC, calibration: 'steps.json' }, [], /\[steps\.json: /, 2],
    ['a calibration that is missing', { ...SPEC, calibration: 'none.json' }, [], /\[\S*none\.json\] there is no such file \(give the path of a file that exists in --calibration, or in "calibration" of the spec\) \[CalibrationNotReadable\]/, 2],
    ['a spread of predictions that is none', { ...SPEC, calibration: { tpotRelativeSigma: -1 } }, [], /\[calibration\.tpotRelativeSigma\].*the spread is not a number from 0 to 3, got: -1/, 2],
    ['a spread without its coefficient', { ...SPEC, calibration: { decodeRelativeSigmas: { decodeLayerSeconds: 0.1 } } }, [], /the spread is of a coefficient that is not given/, 2],
    ['a correlation of nothing', { ...SPEC, calibration: { decodeCorrelations: { decodeLayerSeconds: { engineStepSeconds: 0.1 } } } }, [],
      /\[calibration\.decodeCorrelations\.decodeLayerSeconds\.engineStepSeconds\] the correlation is of a coefficient that is not given/, 2],
  ])('%s is refused', (_, spec, more, message, expected) => {
    write('steps.json', STEPS);
    write('spec.json', spec);
    const { status, stdout, stderr } = cli.run(['calibrate', 'steps.json', '--spec', 'spec.json', ...more], undefined, folder);
    expect(stdout + stderr).toMatch(message);
    expect(status).toBe(expected);
  });

  test('the engine that records or spec name is that of the calibration, and they name one', () => {
    write('spec.json', SPEC);
    write('steps.json', STEPS.map((step) => ({ ...step, framework: 'SGLang' })));
    const calibrate = (...more: string[]) => cli.run(['calibrate', 'steps.json', '--spec', 'spec.json', '--format', 'json', ...more], undefined, folder);
    expect(JSON.parse(calibrate().stdout).calibration.engine).toBe('sglang');
    expect(JSON.parse(calibrate('--set', 'engine=sglang').stdout).calibration.engine).toBe('sglang');
    const { status, stderr } = calibrate('--set', 'engine=vllm');
    expect([status, stderr.split('\n')[1]]).toEqual([2,
      '  [engine] the measurements say that they are of sglang, got: "vllm" (name the engine that was measured) [MeasurementsOfOtherEngine]']);
  });

  test('the tensor parallel degree that records name is that of the spec', () => {
    write('spec.json', SPEC);
    write('steps.json', STEPS.slice(0, 2).map((step) => ({ ...step, tp: '4' })));
    const calibrate = (...more: string[]) => cli.run(['calibrate', 'steps.json', '--spec', 'spec.json', ...more], undefined, folder);
    expect(calibrate('--set', 'decode.tensorParallelDegree=4').status).toBe(0);
    const { status, stderr } = calibrate();
    expect([status, stderr.split('\n')[1]]).toEqual([2, '  [decode.tensorParallelDegree] the measurements say that they are of an engine of 4 ranks, got: 8 '
      + '(give the degree of the engine that was measured) [MeasurementsOfOtherDegree]']);
  });

  test.each<[string, object, string[], number]>([
    ['records that are wrong', [{ ...STEPS[0], stepSeconds: 0 }], [], 2],
    ['a pool that the spec has not', STEPS, ['--pool', 'prefill'], 3],
  ])('a calibration that is refused for %s makes no file, and leaves one that is there', (_, steps, more, expected) => {
    write('spec.json', SPEC);
    write('steps.json', steps);
    const kept = write('kept.json', 'before');
    for (const out of ['new.json', 'kept.json']) {
      expect(cli.run(['calibrate', 'steps.json', '--spec', 'spec.json', '--out', out, ...more], undefined, folder).status).toBe(expected);
    }
    expect(existsSync(join(folder, 'new.json'))).toBe(false);
    expect(readFileSync(kept, 'utf8')).toBe('before');
  });

  test('a calibration takes the place of one that is longer', () => {
    write('spec.json', SPEC);
    write('steps.json', STEPS);
    const out = write('calibration.json', ' '.repeat(10_000));
    expect(cli.run(['calibrate', 'steps.json', '--spec', 'spec.json', '--out', out], undefined, folder).status).toBe(0);
    expect(JSON.parse(readFileSync(out, 'utf8')).source).toBe('calibrate of steps.json: 6 times of trn1.32xlarge');
    expect(readFileSync(out, 'utf8').length).toBeLessThan(10_000);
  });

  test('times that are far below what the device can do are refused', () => {
    // 8 of 64 cores are 4 chips of 820 GB/s: the weights, but for the embedding of prompts, are 15 GB.
    write('spec.json', SPEC);
    write('a.csv', 'sequences,contextTokens,stepMs\n1,512,31\n1,512,0.031\n');
    write('b.csv', 'inputTokens,ttftSeconds\n1024,1e-9\n1024,0.2\n');
    write('c.json', [{ ...REQUEST, endToEndSeconds: 0.254 }, { ...REQUEST, endToEndSeconds: 0.255 }]);
    const { status, stderr } = cli.run(['calibrate', 'a.csv', 'b.csv', 'c.json', '--spec', 'spec.json'], undefined, folder);
    expect(status).toBe(2);
    const least = '0\\.4\\d\\d ms, a tenth of the time in which trn1\\.32xlarge reads the weights at its peak bandwidth, got:';
    expect(stderr).toMatch(new RegExp([
      '^3 problems in a\\.csv, b\\.csv, c\\.json', `  \\[a\\.csv:3\\] stepMs is below ${least} 0\\.031 .*`, `  \\[b\\.csv:2\\] ttftSeconds is below ${least} 1e-9 .*`,
      `  \\[c\\.json record 1\\] each of the 11 tokens but the first took 0\\.4 ms, below ${least} ttftSeconds 0\\.25, endToEndSeconds 0\\.254 .*`, '$',
    ].join('\\n')));
  });

  test('everything that is wrong is told at once', () => {
    write('spec.json', { ...SPEC, decode: { ...SPEC.decode, hardware: 'trn1.32xlrge', tensorParallelDegree: '8' } });
    write('a.csv', 'inputTokens,ttftMs\n-1,slow\n');
    const { status, stdout, stderr } = cli.run(
      ['calibrate', 'a.csv', 'b.json', '--spec', 'spec.json', '--set', 'decode', '--max-num-batched-tokens', '0', '--out', 'none/c.json'], undefined, folder);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr.split('\n').slice(0, -1)).toEqual([
      '8 problems in a.csv, b.json',
      expect.stringContaining('[--set decode] this is not an assignment'),
      expect.stringContaining('[decode.tensorParallelDegree] it is not a whole number, got: "8"'),
      expect.stringContaining('[decode.hardware] there is no hardware of this name, got: "trn1.32xlrge"'),
      expect.stringContaining('[--max-num-batched-tokens] the tokens of a step are no whole number above 0'),
      '  [a.csv:2] inputTokens is not a number above 0, got: -1 (correct it, or leave such records out) [MeasurementNotANumber]',
      '  [a.csv:2] ttftMs is not a number above 0, got: "slow" (correct it, or leave such records out) [MeasurementNotANumber]',
      expect.stringContaining('[b.json] there is no such file'),
      expect.stringContaining('[none/c.json] the file cannot be written: ENOENT'),
    ]);
  });
});

// runs of 12 requests, one after the other, against `emulate` of this deployment, with these coefficients; prompts and answers are taken out
describe('what tools wrote of an emulated engine', () => {
  const spec = {
    schema: 'cdk-disaggregated-inference/deployment-spec/v1',
    model: { id: 'llama-3.3-70b' },
    workload: { source: 'small', requestsPerSecond: 1, lengthClasses: [{ weight: 1, inputTokens: 500, outputTokens: 40 }] },
    decode: { hardware: 'trn2.48xlarge', instances: 1, tensorParallelDegree: 64, promptBuckets: [128, 256, 512, 1024, 2048] },
    calibration: {
      decode: {
        denseUtilisation: 0.406,
        prefillAttentionUtilisation: 0.138,
        prefillLayerSeconds: 0.000732,
        prefillTokenLayerSeconds: 9.83e-8,
        weightBandwidthUtilisation: 0.772,
        kvBandwidthUtilisation: 0.34,
        decodeLayerSeconds: 0.000174,
        decodeSequenceLayerSeconds: 3.24e-6,
        engineStepSeconds: 0,
        collectiveHopSeconds: 0,
        collectiveBandwidthUtilisation: 1,
        gatewaySeconds: 0.0156,
      },
    },
  };
  const EXPORTS = join(__dirname, 'exports');
  let cli: CliProcess;

  beforeAll(() => {
    cli = new CliProcess();
  });

  test.each([
    ['aiperf-0.13.0-profile_export.jsonl', 12, 0.03], ['aiperf-0.13.0-profile_export_aiperf.json', 1, 0.03], ['guidellm-0.8.1-benchmarks.json', 12, 0.12],
    ['vllm-0.32.0-bench-serve.json', 12, 0.03],
  ])('%s gives the steps of the engine back', (name, times, error) => {
    const { status, stdout, stderr } = cli.run(['calibrate', join(EXPORTS, name), '--spec', write('spec.json', spec), '--format', 'json']);
    expect([status, stderr]).toEqual([0, '']);
    const { metrics, coefficients } = JSON.parse(stdout);
    const tpot = metrics.find((one: { metric: string }) => one.metric === 'tpot');
    // before the fit the coefficients are those that were emulated
    expect(tpot.before).toMatchObject({ count: times });
    expect(tpot.before.mape).toBeLessThan(error);
    const { before, fitted } = coefficients.find((one: { name: string }) => one.name === 'decodeLayerSeconds');
    expect(fitted / before).toBeGreaterThan(0.9);
    expect(fitted / before).toBeLessThan(1.1);
  });

  test('of long runs the first requests are fitted to, and the answer says so', () => {
    const log = join(folder, 'log.jsonl');
    const file = write('spec.json', spec);
    expect(cli.run(['simulate', file, '--requests', '1100', '--jsonl', log]).status).toBe(0);
    const { status, stdout, stderr } = cli.run(['calibrate', log, '--spec', file]);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('the fit, and what was held out, are of the first 1000 of 1100 requests; the errors before and fitted are of all');
    expect(stdout).toMatch(/^TPOT fitted +1100 /m);
  });
});
