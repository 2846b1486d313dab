/**
 * Fits the coefficients of src/estimator/calibration to the published measurements in test/estimator/data, and prints them with the fit's errors.
 *
 * Run with `npx tsx --tsconfig benchmark/tsconfig.json benchmark/estimator-fit.ts`, with `--rows` for every row, with `--write` to write the sets.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GPU_START } from './accuracy/gpu-start';
import { METRICS, scoreOf } from './accuracy/group-score';
import { TRAINIUM_2_START, TRAINIUM_START } from './accuracy/trainium';
import { calibrate } from '../src/estimator/calibration/calibrate';
import { heldOut } from '../src/estimator/calibration/held-out';
import { MeasuredConfiguration } from '../src/estimator/calibration/measurements';
import { heldOutSigma } from '../src/estimator/calibration/score';
import { Coefficients } from '../src/estimator/phases/coefficients';
import { ModelArchitecture } from '../src/model';
import * as cerebras from '../test/estimator/data/cerebras.json';
import * as trn1 from '../test/estimator/data/trn1-decoder.json';
import * as trn2 from '../test/estimator/data/trn2.json';
import { gpuServing } from '../test/estimator/gpu-serving';
import { Row, configurationsOfRows } from '../test/estimator/predict';

const [withRows, isWriting] = ['--rows', '--write'].map((option) => process.argv.includes(option));

const DATE = new Date().toISOString().slice(0, 10);

const KINDS = [['dense', false], ['experts', true]] as const;

function fit(name: string, source: string, start: Coefficients, configurations: readonly MeasuredConfiguration[], isWhole = true): void {
  const { coefficients, relativeSigmas } = calibrate(start, configurations);
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
    const sigma = heldOutSigma(own);
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
    const file = join(__dirname, `../src/estimator/calibration/${name}.json`);
    const set = JSON.parse(readFileSync(file, 'utf8'));
    // where few rows were measured the sets keep coefficients that were fitted in parts, those held that the rows cannot tell.
    const fitted = isWhole ? [...relativeSigmas] : [];
    const byName = fitted.map(([coefficient, sigma]) => (
      [coefficient, { value: rounded(coefficients[coefficient]), relativeSigma: rounded(sigma), source: `fit of ${source}`, date: DATE, sampleSize: compared.length }]));
    writeFileSync(file, `${JSON.stringify(
      { ...set, coefficients: { ...set.coefficients, ...Object.fromEntries(byName) }, predictions }, undefined, 2)}\n`);
  }
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
  if (withRows) {
    layers.forEach((row) => console.log(`  ${row.id} ${(row.seconds * 1e6).toFixed(1)} us`));
  }
}

// sequences of 16,384 are a compilation of their own, slower than any bandwidth or floor explains; 13B and Mistral had no flash attention in that release.
const flash = (trn1.rows as Row[]).filter((row) => row.inputTokens < 8192 && !/13b|mistral/.test(row.model));
fit('trainium1', 'decoder tables of the AWS Neuron SDK 2.18', TRAINIUM_START, configurationsOfRows(flash, true), false);
fit('trainium2', 'single-stream rows of AWS Neuron tutorials', TRAINIUM_2_START, configurationsOfRows(trn2.rows as Row[], false), false);
for (const accelerator of ['h100', 'h200', 'b200']) {
  fit(accelerator, 'closed loops of vLLM, TensorRT-LLM and SGLang (aiconfigurator silicon_sample.csv)', GPU_START,
    gpuServing().filter((one) => one.accelerator === accelerator).map(({ configuration }) => configuration));
}
fitWafer();
