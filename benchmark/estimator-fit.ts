/**
 * Fits the coefficients of src/estimator/calibration to the published measurements in test/estimator/data, and prints them with the fit's errors.
 *
 * Run with `npx tsx --tsconfig benchmark/tsconfig.json benchmark/estimator-fit.ts`, with `--rows` for every row, with `--write` to write the sets;
 * names of sets after these fit them alone.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GPU_START } from './accuracy/gpu-start';
import { METRICS, scoreOf } from './accuracy/group-score';
import { TRAINIUM_2_START, TRAINIUM_START } from './accuracy/trainium';
import { calibrate } from '../src/estimator/calibration/calibrate';
import { Correlations, correlationOf, roundedCorrelations } from '../src/estimator/calibration/calibration';
import { heldOut } from '../src/estimator/calibration/held-out';
import { MeasuredConfiguration } from '../src/estimator/calibration/measurements';
import { misfitSigma } from '../src/estimator/calibration/score';
import { Coefficients } from '../src/estimator/phases/coefficients';
import { ModelArchitecture } from '../src/model';
import * as cerebras from '../test/estimator/data/cerebras.json';
import * as trn1 from '../test/estimator/data/trn1-decoder.json';
import * as trn2 from '../test/estimator/data/trn2.json';
import { gpuServing } from '../test/estimator/gpu-serving';
import { Row, configurationsOfRows } from '../test/estimator/predict';

const [withRows, isWriting] = ['--rows', '--write'].map((option) => process.argv.includes(option));

const asked = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));

const DATE = new Date().toISOString().slice(0, 10);

const TRAINIUM_3_SIGMA = 0.5;

const KINDS = [['dense', false], ['experts', true]] as const;

function fit(name: string, source: string, start: Coefficients, configurations: readonly MeasuredConfiguration[]): void {
  if (asked.length > 0 && !asked.includes(name)) {
    return;
  }
  const { coefficients, relativeSigmas, correlations } = calibrate(start, configurations);
  const compared = configurations.flatMap((one) => one.compare(coefficients));
  const held = heldOut(start, configurations)!;
  console.log(`\n${name}`);
  for (const metric of METRICS) {
    const { count, mape, median } = scoreOf(compared, metric);
    console.log(`  ${count} rows of ${metric.toUpperCase()}, MAPE ${(100 * mape).toFixed(1)} %, median ${(100 * median).toFixed(1)} %`);
  }
  const predictions = Object.fromEntries(KINDS.map(([kind, hasExperts]) => [kind, Object.fromEntries(METRICS.flatMap((metric) => {
    const own = held.filter((_, i) => configurations[i].measured.model.experts > 0 === hasExperts)
      .map((one) => one.filter((row) => row.metric === metric)).filter((one) => one.length > 0);
    const sigma = misfitSigma(own);
    if (sigma === undefined) {
      return [];
    }
    console.log(`  ${metric.toUpperCase()} of ${own.length} ${kind} configurations held out: sigma ${sigma.toFixed(2)}`);
    return [[metric, {
      relativeSigma: rounded(sigma), source: `${own.length} configurations left out in turn: ${source}`, date: DATE, sampleSize: own.flat().length,
    }]];
  }))]));
  for (const [coefficient, sigma] of relativeSigmas) {
    console.log(`  ${coefficient} ${coefficients[coefficient].toPrecision(3)}, relative sigma ${sigma.toFixed(2)}`);
  }
  if (withRows) {
    for (const { metric, measured, predicted } of compared) {
      console.log(`  ${metric.toUpperCase()} measured ${measured.toPrecision(4)} estimate ${predicted.toPrecision(4)} ratio ${(predicted / measured).toFixed(2)}`);
    }
  }
  if (isWriting) {
    write(name, [...relativeSigmas].map(([coefficient, sigma]) => (
      [coefficient, { value: rounded(coefficients[coefficient]), relativeSigma: rounded(sigma), source: `fit of ${source}`, date: DATE, sampleSize: compared.length }])), { correlations: roundedCorrelations(correlations), predictions });
  }
}

/** Coefficients that were not fitted stay as they are. */
function write(name: string, fitted: readonly (readonly [string, object])[], beside: object = {}): void {
  const file = join(__dirname, `../src/estimator/calibration/${name}.json`);
  const set = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, `${JSON.stringify(
    { ...set, coefficients: { ...set.coefficients, ...Object.fromEntries(fitted) }, ...beside }, undefined, 2)}\n`);
}

/** Nothing of Trainium 3 is measured: it is taken to reach the shares and floors of Trainium 2, each give or take a half more. */
function fitTrainium3(): void {
  const { coefficients, correlations } = JSON.parse(readFileSync(join(__dirname, '../src/estimator/calibration/trainium2.json'), 'utf8')) as {
    coefficients: { [name: string]: { value: number; relativeSigma: number } }; correlations: Correlations;
  };
  const wider = (name: string) => Math.hypot(coefficients[name].relativeSigma, TRAINIUM_3_SIGMA);
  const loosened = (name: string, other: string) => (
    correlationOf(correlations, name, other) * coefficients[name].relativeSigma / wider(name) * coefficients[other].relativeSigma / wider(other));
  write('trainium3', Object.entries(coefficients).map(([name, { value }]) => (
    [name, { value, relativeSigma: rounded(Math.min(1, wider(name))), source: 'as trainium2: no public measurement of Trainium3', date: DATE, sampleSize: 0 }])), {
    correlations: roundedCorrelations(Object.fromEntries(Object.entries(correlations).map(([name, others]) => (
      [name, Object.fromEntries(Object.keys(others).map((other) => [other, loosened(name, other)]))])))),
  });
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function fitWafer(): void {
  const layers = cerebras.rows.map((row) => (
    { id: `${row.id} ${row.model}`, seconds: 1 / row.outputTokensPerSecondPerUser / ModelArchitecture.of(row.model).spec.layers }));
  const logs = layers.map((row) => Math.log(row.seconds));
  const mean = logs.reduce((s, v) => s + v, 0) / logs.length;
  const sigma = Math.sqrt(logs.reduce((s, v) => s + (v - mean) ** 2, 0) / (logs.length - 1));
  console.log(`\ncs-3\n  ${layers.length} rows, seconds per layer ${Math.exp(mean).toPrecision(3)}, relative sigma ${sigma.toFixed(2)}`);
  if (isWriting) {
    write('cs-3', [['waferLayerSeconds', {
      value: Number(Math.exp(mean).toPrecision(3)), relativeSigma: rounded(sigma), source: `geometric mean over ${layers.length} published stream speeds of CS-3 services, speculation included where the vendor uses it`, date: DATE, sampleSize: layers.length,
    }]]);
  }
  if (withRows) {
    layers.forEach((row) => console.log(`  ${row.id} ${(row.seconds * 1e6).toFixed(1)} us`));
  }
}

/** What two releases say of one run differs by up to 41 %, so that a fit to both would go to one of them: they count as one, of their geometric means. */
function oneOfEachRun(rows: readonly Row[]): Row[] {
  const runs = new Map<string, Row[]>();
  for (const row of rows) {
    const run = [row.model, row.hardware, row.tensorParallelDegree, row.weights, row.batch, row.inputTokens, row.bucketTokens].join(' ');
    runs.set(run, [...runs.get(run) ?? [], row]);
  }
  const middle = (values: readonly (number | undefined)[]) => {
    const known = values.filter((value): value is number => value !== undefined);
    return known.length === 0 ? undefined : Math.exp(known.reduce((sum, value) => sum + Math.log(value), 0) / known.length);
  };
  return [...runs.values()].map((run) => (
    { ...run[0], ttftSeconds: middle(run.map(({ ttftSeconds }) => ttftSeconds)), tpotSeconds: middle(run.map(({ tpotSeconds }) => tpotSeconds)) }));
}

// sequences of 16,384 are a compilation of their own, slower than any bandwidth or floor explains; 13B and Mistral had no flash attention in that release.
const flash = (trn1.rows as Row[]).filter((row) => row.inputTokens < 8192 && !/13b|mistral/.test(row.model));
fit('trainium1', 'decoder tables of the AWS Neuron SDK 2.18', TRAINIUM_START, configurationsOfRows(flash, true));
fit('trainium2', 'tables of the AWS Neuron SDK, and runs of NxD Inference, optimum-neuron and the vLLM Neuron plugin', TRAINIUM_2_START, configurationsOfRows(oneOfEachRun(trn2.rows as Row[]), false));
for (const accelerator of ['h100', 'h200', 'b200']) {
  fit(accelerator, 'closed loops of vLLM, TensorRT-LLM and SGLang (aiconfigurator silicon_sample.csv)', GPU_START,
    gpuServing().filter((one) => one.accelerator === accelerator).map(({ configuration }) => configuration));
}
fitWafer();
if (isWriting) {
  fitTrainium3();
}
