/**
 * How right the estimator is: `npm run accuracy` prints docs/ACCURACY.md and writes it.
 *
 * Every engine is calibrated on measurements in test/estimator/data, and judged on configurations that were left out of the calibration.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gpuScores } from './accuracy/gpu';
import { GroupScore } from './accuracy/group-score';
import { ReplayScore, replayScores } from './accuracy/replays';
import { trainiumScores } from './accuracy/trainium';
import { Score } from '../src/estimator/calibration/score';

const METRICS = ['ttft', 'tpot'] as const;

function page(): string {
  const groups = [...trainiumScores(), ...gpuScores()];
  return `# Accuracy

Written by \`npm run accuracy\`; every figure on this page is its output. Errors are relative: MAPE is the mean of their sizes, bias the median with its sign.
"Before" is what shares of peaks and floors from kernel tables say without any of these measurements; "fitted" is after calibration on all of
them; "held out" predicts each configuration (device, engine, model, precision, degree) after calibration on all the others of its group. Coverage is the share
of measurements within the 80 % interval, as wide as what was held out of the other configurations was off by.

Peers, on 1,698 rows of the same public GPU measurements: aiconfigurator 0.12 has a MAPE of 65 % for TTFT (median 54) and of 41 % for TPOT (median 20). Its rows
include disaggregated and data-parallel ones, which are not in the table below, so the two are not over the same rows.

## Closed loops and tables

${table(groups)}

Rows: \`gpu-serving.csv\` holds every aggregated row of aiconfigurator's \`silicon_sample.csv\` (Apache-2.0) on H100, H200 and B200 with one data-parallel replica and
a tensor parallel degree of at most 8, identical rows once. Left out are disaggregated serving, data parallel attention, several instances, and devices without a
coefficient set. A blank precision is taken for that of the checkpoint: fp8 for DeepSeek and Qwen3-235B, else bf16; the KV cache for 8 bit where weights have 8 bit
or fewer. Loops are replayed from their first burst, ten requests for each client; InferenceX drew lengths from 80 % to all of the named ones, the others used one
length. SGLang reads prompts before it writes, the others do both in one step. Trainium rows are the tables of the AWS Neuron SDK, all of them.

## Replays

A run of a real engine is replayed request by request; what counts is what each request met. The engine's times begin when it queues the request, on the CPU when
the client sends it. The GPU runs are of LLMServingSim's repository (MIT).

${replays(replayScores())}

aisimulate-core 0.13 replays the second run with errors of 34 % for TTFT and 24 % for TPOT a request, and a mean TTFT of 25.3 s in place of 36.9 s.

## Where it is weakest

- **TTFT of closed loops.** How many requests a benchmark sent, and how its first burst counts, is not in the measurements. The measurement that would mend it: TTFT per request, with the time at which it was sent.
- **MoE models.** Experts are taken for equally popular, and all engines for one kernel. It takes decode step times by batch, one engine and release at a time.
- **Trainium 2.** ${groups[1].scores.tpot.fitted!.count} decode rows of ${groups[1].configurations} configurations, all of one stream: a left-out model has little to lean on.
  It takes step times at batches above 1, and TTFT by prompt length at one degree.
- **Data left out by a whole kind.** Where a group holds two configurations, holding one out leaves one to learn from; those rows say what a first guess is worth.
`;
}

function table(groups: readonly GroupScore[]): string {
  const header = ['group', 'configurations', 'rows', 'metric', 'before MAPE', 'fitted MAPE (median, bias)', 'held out MAPE (median, bias)', 'held-out coverage'];
  const rows = groups.flatMap(({ group, configurations, scores }) => METRICS.filter((metric) => scores[metric].fitted).map((metric) => {
    const { start, fitted, heldOut } = scores[metric];
    return [group, String(configurations), String(fitted!.count), metric.toUpperCase(), percent(start!.mape), errors(fitted!), heldOut ? errors(heldOut) : 'one configuration',
      heldOut ? percent(heldOut.coverage!) : ''];
  }));
  return markdown(header, rows);
}

function replays(scores: readonly ReplayScore[]): string {
  const header = ['run', 'calibrated on', 'judged requests', 'metric', 'measured mean', 'predicted mean', 'MAPE a request (median, bias)'];
  return markdown(header, scores.flatMap(({ name, fittedTo, requests, meanSeconds, scores: of }) => METRICS.map((metric) => {
    const { measured, predicted } = meanSeconds[metric];
    return [name, fittedTo, String(requests), metric.toUpperCase(), seconds(measured), `${seconds(predicted)} (${signed(predicted / measured - 1)})`, errors(of[metric])];
  })));
}

function markdown(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function errors({ mape, median, bias }: Score): string {
  return `${percent(mape)} (${percent(median)}, ${signed(bias)})`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function signed(share: number): string {
  return `${share < 0 ? '-' : '+'}${(100 * Math.abs(share)).toFixed(1)} %`;
}

function seconds(value: number): string {
  return value < 1 ? `${(1e3 * value).toFixed(1)} ms` : `${value.toFixed(1)} s`;
}

const text = page();
writeFileSync(join(__dirname, '../docs/ACCURACY.md'), text);
process.stdout.write(text);
