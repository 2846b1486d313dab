/**
 * Fits the coefficients of src/estimator/calibration to the published measurements in test/estimator/data, and prints them with residuals.
 *
 * Run with `npx tsx benchmark/estimator-fit.ts`, with `--rows` for every row. Coefficients that the rows cannot tell apart are held.
 */
import { GPU_START } from './accuracy/gpu-start';
import { COEFFICIENT_NAMES, CoefficientName, Coefficients } from '../src/estimator/phases/coefficients';
import { ArchitectureSpec, ModelArchitecture } from '../src/model';
import * as cerebras from '../test/estimator/data/cerebras.json';
import * as gpu from '../test/estimator/data/gpu.json';
import * as trn1 from '../test/estimator/data/trn1-decoder.json';
import * as trn2 from '../test/estimator/data/trn2.json';
import { Row, mixedTpot, tpot, ttft } from '../test/estimator/predict';

function arch(id: string): ArchitectureSpec {
  return ModelArchitecture.of(id).spec;
}

interface Point { readonly id: string; readonly measured: number; readonly predict: (k: Coefficients) => number }

// Huber on the log of the ratio: an odd row does not pull the rest
function loss(points: Point[], k: Coefficients): number {
  let sum = 0;
  for (const point of points) {
    const e = Math.abs(Math.log(point.predict(k) / point.measured));
    sum += e < 0.3 ? e * e : 0.3 * (2 * e - 0.3);
  }
  return sum / points.length;
}

function set(start: Coefficients, free: CoefficientName[], x: number[]): Coefficients {
  const k = Object.assign(new Coefficients(), start);
  free.forEach((name, i) => {
    k[name] = Math.exp(x[i]);
    if (name.endsWith('Utilisation')) {
      k[name] = Math.min(1, k[name]);
    }
  });
  return k;
}

/** Nelder and Mead's simplex, on the logarithms of the free coefficients. */
function fit(points: Point[], start: Coefficients, free: CoefficientName[]): Coefficients {
  const f = (x: number[]) => loss(points, set(start, free, x));
  let best = free.map((name) => Math.log(start[name]));
  for (let restart = 0; restart < 12; restart++) {
    const stride = restart % 2 === 0 ? 0.5 : -0.8;
    let simplex = [best, ...free.map((_, i) => best.map((v, j) => (i === j ? v + stride : v)))].map((x) => ({ x, y: f(x) }));
    for (let iteration = 0; iteration < 400; iteration++) {
      simplex.sort((a, b) => a.y - b.y);
      const worst = simplex[simplex.length - 1];
      const centre = best.map((_, j) => simplex.slice(0, -1).reduce((s, p) => s + p.x[j], 0) / free.length);
      const at = (t: number) => {
        const x = centre.map((c, j) => c + t * (worst.x[j] - c));
        return { x, y: f(x) };
      };
      const reflected = at(-1);
      if (reflected.y < simplex[0].y) {
        const expanded = at(-2);
        simplex[simplex.length - 1] = expanded.y < reflected.y ? expanded : reflected;
      } else if (reflected.y < simplex[simplex.length - 2].y) {
        simplex[simplex.length - 1] = reflected;
      } else {
        const contracted = at(0.5);
        if (contracted.y < worst.y) {
          simplex[simplex.length - 1] = contracted;
        } else {
          simplex = simplex.map((p, i) => (i === 0 ? p : (() => {
            const x = p.x.map((v, j) => (v + simplex[0].x[j]) / 2);
            return { x, y: f(x) };
          })()));
        }
      }
    }
    simplex.sort((a, b) => a.y - b.y);
    best = simplex[0].x;
  }
  return set(start, free, best);
}

function report(title: string, points: Point[], k: Coefficients): void {
  const errors = points.map((point) => Math.log(point.predict(k) / point.measured));
  const mape = points.reduce((s, p) => s + Math.abs(p.predict(k) / p.measured - 1), 0) / points.length;
  const sigma = Math.sqrt(errors.reduce((s, e) => s + e * e, 0) / errors.length);
  const median = [...errors].map(Math.abs).sort((a, b) => a - b)[Math.floor(errors.length / 2)];
  console.log(`\n${title}: ${points.length} rows, MAPE ${(100 * mape).toFixed(1)} %, sigma of log ratio ${sigma.toFixed(3)}, median |log ratio| ${median.toFixed(3)}`);
  if (process.argv.includes('--rows')) {
    for (const point of points) {
      console.log(`  ${point.id.padEnd(60)} measured ${point.measured.toPrecision(4)} estimate ${point.predict(k).toPrecision(4)} ratio ${(point.predict(k) / point.measured).toFixed(2)}`);
    }
  }
}

function print(k: Coefficients): void {
  const plain = new Coefficients();
  console.log(COEFFICIENT_NAMES.filter((name) => k[name] !== plain[name]).map((name) => `  ${name} ${k[name].toPrecision(3)}`).join('\n'));
}

function fitTrainium1(): void {
  const rows = trn1.rows as Row[];
  const start = Object.assign(new Coefficients(), {
    prefillDenseUtilisation: 0.3,
    prefillAttentionUtilisation: 0.1,
    prefillLayerSeconds: 3e-4,
    prefillTokenLayerSeconds: 5e-7,
    decodeBandwidthUtilisation: 0.77,
    decodeKvBandwidthUtilisation: 0.35,
    decodeLayerSeconds: 1.6e-4,
    decodeSequenceLayerSeconds: 1e-6,
  });
  const decode = rows.map((row) => ({ id: `${row.id} ${row.model} B${row.batch} ${row.inputTokens}`, measured: row.tpotSeconds!, predict: (k: Coefficients) => tpot(row, k) }));
  // sequences of 16,384 are a compilation of their own, slower than any bandwidth or floor explains: reported, not fitted
  const short = decode.filter((p) => !/ 8192$/.test(p.id));
  let k = fit(short, start, ['decodeBandwidthUtilisation', 'decodeKvBandwidthUtilisation', 'decodeLayerSeconds', 'decodeSequenceLayerSeconds']);
  report('trainium1 TPOT, fitted rows', short, k);
  report('trainium1 TPOT, all rows', decode, k);
  const prefill = rows.map((row) => ({ id: `${row.id} ${row.model} B${row.batch} ${row.inputTokens}`, measured: row.ttftSeconds!, predict: (c: Coefficients) => ttft(row, c, row.batch) }));
  // no flash-attention kernel for 13B and Mistral in that release: they are reported, not fitted
  const flash = prefill.filter((p) => !/13b|mistral/.test(p.id));
  k = fit(flash, k, ['prefillDenseUtilisation', 'prefillLayerSeconds', 'prefillTokenLayerSeconds']);
  report('trainium1 TTFT, fitted rows', flash, k);
  report('trainium1 TTFT, all rows', prefill, k);
  print(k);
}

function fitTrainium2(): void {
  const rows = trn2.rows as Row[];
  const start = Object.assign(new Coefficients(), {
    prefillDenseUtilisation: 0.45,
    prefillAttentionUtilisation: 0.2,
    prefillLayerSeconds: 4e-4,
    prefillTokenLayerSeconds: 5e-7,
    prefillExpertSeconds: 2e-4,
    // shares of bandwidth are Trainium 1's: single streams cannot tell them from the floor
    decodeBandwidthUtilisation: 0.772,
    decodeKvBandwidthUtilisation: 0.34,
    decodeLayerSeconds: 1.6e-4,
    decodeSequenceLayerSeconds: 3e-6,
    decodeExpertLayerSeconds: 1e-4,
    gatewaySeconds: 0.0156,
  });
  const dense = (row: Row) => arch(row.model).moe === undefined;
  const decode = rows.filter((row) => row.tpotSeconds !== undefined).map((row) => (
    { id: row.id, measured: row.tpotSeconds!, predict: (c: Coefficients) => tpot(row, c), dense: dense(row) }));
  let k = fit(decode.filter((p) => p.dense), start, ['decodeLayerSeconds', 'decodeSequenceLayerSeconds']);
  k = fit(decode.filter((p) => !p.dense), k, ['decodeExpertLayerSeconds']);
  report('trainium2 TPOT', decode, k);
  const prefill = rows.filter((row) => row.ttftSeconds !== undefined).map((row) => (
    { id: row.id, measured: row.ttftSeconds!, predict: (c: Coefficients) => ttft(row, c, 1), dense: dense(row) }));
  k = fit(prefill.filter((p) => p.dense), k, ['prefillDenseUtilisation', 'prefillAttentionUtilisation', 'prefillLayerSeconds', 'prefillTokenLayerSeconds']);
  k = fit(prefill.filter((p) => !p.dense), k, ['prefillExpertSeconds']);
  report('trainium2 TTFT', prefill, k);
  print(k);
}

function fitGpu(name: string, hardware: string): void {
  const rows = (gpu.rows as Row[]).filter((row) => row.hardware === hardware);
  const points = rows.map((row) => ({ id: `${row.id}`.slice(0, 60), measured: row.tpotSeconds!, predict: (k: Coefficients) => mixedTpot(row, k), dense: arch(row.model).moe === undefined }));
  const light = rows.filter((row) => row.batch <= 16).map((row) => ({ id: `${row.id}`.slice(0, 60), measured: row.ttftSeconds!, predict: (k: Coefficients) => ttft(row, k, 1) + tpot(row, k) }));
  const free: CoefficientName[] = ['decodeKvBandwidthUtilisation', 'decodeLayerSeconds', 'decodeExpertLayerSeconds'];
  // fitted on TPOT alone: TTFT in a closed loop is mostly the burst of its start
  const k = fit(points, GPU_START, free);
  report(`${name} TPOT`, points, k);
  report(`${name} TPOT dense`, points.filter((p) => p.dense), k);
  report(`${name} TTFT at 16 streams or fewer`, light, k);
  print(k);
}

function fitWafer(): void {
  const layers = cerebras.rows.map((row) => ({ id: `${row.id} ${row.model}`, seconds: 1 / row.outputTokensPerSecondPerUser / arch(row.model).layers }));
  const logs = layers.map((row) => Math.log(row.seconds));
  const mean = logs.reduce((s, v) => s + v, 0) / logs.length;
  const sigma = Math.sqrt(logs.reduce((s, v) => s + (v - mean) ** 2, 0) / (logs.length - 1));
  console.log(`\ncs-3: ${layers.length} rows, seconds per layer ${Math.exp(mean).toPrecision(3)}, sigma of log ${sigma.toFixed(3)}`);
  if (process.argv.includes('--rows')) {
    layers.forEach((row) => console.log(`  ${row.id.padEnd(40)} ${(row.seconds * 1e6).toFixed(1)} us`));
  }
}

fitTrainium1();
fitTrainium2();
fitGpu('h100', 'p5.48xlarge');
fitGpu('h200', 'p5en.48xlarge');
fitGpu('b200', 'p6-b200.48xlarge');
fitWafer();
