import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as cerebras from './data/cerebras.json';
import * as trn1 from './data/trn1-decoder.json';
import * as trn2 from './data/trn2.json';
import { gpuServing } from './gpu-serving';
import { Row, compared } from './predict';
import { estimateOf, steady, trn2 as trn2Spec } from './specs';
import { fill, setNamed } from '../../src/estimator/calibration/calibration';
import { Compared } from '../../src/estimator/calibration/measurements';
import { mean } from '../../src/estimator/calibration/score';
import { CoefficientName, Coefficients } from '../../src/estimator/phases/coefficients';
import { ModelArchitecture } from '../../src/model';

const shipped = (name: string) => fill(new Coefficients(), setNamed(name)!);
const errorsOf = (pairs: readonly Compared[]) => pairs.map(({ predicted, measured }) => Math.abs(predicted / measured - 1));
const mape = (pairs: readonly Compared[]) => mean(errorsOf(pairs));

describe('Trainium 1, published decoder tables', () => {
  const rows = (trn1.rows as Row[]).filter((row) => row.inputTokens < 8192);

  test('time per output token within 5 % on average', () => {
    expect(rows.length).toBe(30);
    expect(mape(compared(rows, shipped('trainium1'), 'tpot', true))).toBeLessThan(0.05);
  });

  test('time to first token within 15 % on average, models without flash attention left out', () => {
    const k = Object.assign(shipped('trainium1'), { gatewaySeconds: 0 });
    const flash = rows.filter((row) => !/13b|mistral/.test(row.model));
    expect(mape(compared(flash, k, 'ttft', true))).toBeLessThan(0.15);
  });
});

describe('Trainium 2, published single-stream rows', () => {
  const rows = trn2.rows as Row[];
  const dense = rows.filter((row) => ModelArchitecture.of(row.model).spec.moe === undefined);
  const k = shipped('trainium2');

  // of one run 814 ms and 576 ms are published: where one is met the other is not.
  test('time to first token of dense models within 10 % on average, no row but one of two of the same run off by more than 25 %', () => {
    const pairs = compared(dense, k, 'ttft', false);
    expect(pairs.length).toBe(9);
    expect(mape(pairs)).toBeLessThan(0.1);
    expect(errorsOf(pairs).filter((error) => error > 0.25).length).toBeLessThan(2);
  });

  test('time per output token of dense models within 10 % on average, no row off by more than 30 %', () => {
    const pairs = compared(dense, k, 'tpot', false);
    expect(mape(pairs)).toBeLessThan(0.1);
    expect(Math.max(...errorsOf(pairs))).toBeLessThan(0.3);
  });

  // the published TPOT of 405B is the fit's largest residual: an 80 % interval is allowed to miss it, and does, by 2 %.
  test.each([
    ['llama-3.3-70b', 12_288, 0.8142, 0.0196, 1],
    ['llama-3.1-405b', 10_240, 2.442, 0.0379, 0.97],
  ])('%s: the interval of an idle service against the published figures', (id, bucket, ttftSeconds, tpotSeconds, tpotMiss) => {
    const estimate = estimateOf(trn2Spec({
      model: { id },
      workload: steady(0.0001, 10_000, 1500),
      prefill: undefined,
      decode: { hardware: 'trn2.48xlarge', instances: 1, promptBuckets: [bucket] },
    }));
    expect(estimate.ttftSeconds.p50.low).toBeLessThan(ttftSeconds * 1.1);
    expect(estimate.ttftSeconds.p50.high).toBeGreaterThan(ttftSeconds * 0.9);
    expect(estimate.tpotSeconds.p50.low * tpotMiss).toBeLessThan(tpotSeconds);
    expect(estimate.tpotSeconds.p50.high).toBeGreaterThan(tpotSeconds);
  });
});

describe('GPU, closed-loop measurements', () => {
  const configurations = gpuServing();
  const errors = (name: string, hasExperts: boolean, engine?: string) => configurations
    .filter((one) => one.accelerator === name && one.configuration.measured.model.experts > 0 === hasExperts && (engine ?? one.engine) === one.engine)
    .flatMap(({ configuration }) => configuration.compare(shipped(name)))
    .filter(({ metric }) => metric === 'tpot').map(({ predicted, measured }) => Math.abs(predicted / measured - 1)).sort((a, b) => a - b);

  /* What is fitted to a group is nearer to it than what is not: the limit is what docs/ACCURACY.md says of a set that has not seen the configuration. It is
     wide for SGLang on H200, whose 352 clients at 4 ranks are answered one every 11.6 ms, but wait for first tokens as if each prompt took 20 ms: no set
     meets both. */
  const page = readFileSync(join(__dirname, '../../docs/ACCURACY.md'), 'utf8');
  const groups = [...page.matchAll(/^\| (H100|H200|B200) (\w+), dense \|[^|]+\| (\d+) \| TPOT \|[^|]+\| ([\d.]+) %/gm)]
    .map(([, device, engine, rows, percent]): [string, string, number, number] => [device.toLowerCase(), engine, Number(rows), Number(percent)]);

  test('the page has the groups of dense models', () => {
    expect(groups.length).toBe(new Set(configurations.filter(({ configuration }) => configuration.measured.model.experts === 0)
      .map(({ accelerator, engine }) => `${accelerator} ${engine}`)).size);
  });

  test.each(groups)('%s %s: the %d times per output token of dense models within %d %% on average', (name, engine, rows, percent) => {
    const sizes = errors(name, false, engine);
    expect(sizes.length).toBe(rows);
    expect(100 * sizes.reduce((sum, size) => sum + size, 0) / sizes.length).toBeLessThan(percent);
  });

  test.each([['h100', 0.2], ['h200', 0.2], ['b200', 0.2]])('%s: half the times per output token of mixtures of experts within the stated error', (name, limit) => {
    const sizes = errors(name, true);
    expect(sizes[Math.floor(sizes.length / 2)]).toBeLessThan(limit);
  });
});

describe('CS-3, published stream speeds', () => {
  test('seconds per layer are the geometric mean of the rows', () => {
    const logs = cerebras.rows.map((row) => Math.log(1 / row.outputTokensPerSecondPerUser / ModelArchitecture.of(row.model).spec.layers));
    expect(shipped('cs-3').waferLayerSeconds).toBeCloseTo(Math.exp(mean(logs)), 7);
  });
});

test.each(['trainium1', 'trainium2', 'trainium3', 'h100', 'h200', 'b200', 'cs-3'])('%s: every coefficient has a value, a spread and a source', (name) => {
  const known = Object.keys(new Coefficients());
  for (const [coefficient, { value, relativeSigma, source }] of Object.entries(setNamed(name)!.coefficients)) {
    expect(known).toContain(coefficient as CoefficientName);
    expect(value).toBeGreaterThan(0);
    expect(relativeSigma).toBeGreaterThan(0);
    expect(source.length).toBeGreaterThan(10);
  }
});
