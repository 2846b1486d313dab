/**
 * Fits the coefficients of src/estimator/calibration to the published measurements in test/estimator/data, and prints them with the fit's errors.
 *
 * Run with `npx tsx --tsconfig benchmark/tsconfig.json benchmark/estimator-fit.ts`, with `--rows` for every row.
 */
import { GPU_START } from './accuracy/gpu-start';
import { TRAINIUM_START } from './accuracy/trainium';
import { calibrate } from '../src/estimator/calibration/calibrate';
import { MeasuredConfiguration } from '../src/estimator/calibration/measurements';
import { score } from '../src/estimator/calibration/score';
import { Coefficients } from '../src/estimator/phases/coefficients';
import { ModelArchitecture } from '../src/model';
import * as cerebras from '../test/estimator/data/cerebras.json';
import * as trn1 from '../test/estimator/data/trn1-decoder.json';
import * as trn2 from '../test/estimator/data/trn2.json';
import { gpuServing } from '../test/estimator/gpu-serving';
import { Row, configurationsOfRows } from '../test/estimator/predict';

const withRows = process.argv.includes('--rows');

function fit(name: string, start: Coefficients, configurations: readonly MeasuredConfiguration[]): void {
  const { coefficients, relativeSigmas } = calibrate(start, configurations);
  const compared = configurations.flatMap((one) => one.compare(coefficients));
  console.log(`\n${name}`);
  for (const metric of ['ttft', 'tpot'] as const) {
    const { count, mape, median } = score(compared.filter((one) => one.metric === metric));
    console.log(`  ${count} rows of ${metric.toUpperCase()}, MAPE ${(100 * mape).toFixed(1)} %, median ${(100 * median).toFixed(1)} %`);
  }
  for (const [coefficient, sigma] of relativeSigmas) {
    console.log(`  ${coefficient} ${coefficients[coefficient].toPrecision(3)}, relative sigma ${sigma.toFixed(2)}`);
  }
  if (withRows) {
    for (const { metric, measured, predicted } of compared) {
      console.log(`  ${metric.toUpperCase()} measured ${measured.toPrecision(4)} estimate ${predicted.toPrecision(4)} ratio ${(predicted / measured).toFixed(2)}`);
    }
  }
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
fit('trainium1', TRAINIUM_START, configurationsOfRows((trn1.rows as Row[]).filter((row) => row.inputTokens < 8192 && !/13b|mistral/.test(row.model)), true));
fit('trainium2', Object.assign(new Coefficients(), TRAINIUM_START, { gatewaySeconds: 0.0156 }), configurationsOfRows(trn2.rows as Row[], false));
for (const accelerator of ['h100', 'h200', 'b200']) {
  fit(accelerator, GPU_START, gpuServing().filter((one) => one.accelerator === accelerator).map(({ configuration }) => configuration));
}
fitWafer();
