/**
 * How right the estimator is: `npm run accuracy` prints docs/ACCURACY.md and writes it.
 *
 * Every engine is calibrated on measurements in test/estimator/data, and judged on configurations that were left out of the calibration.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EstimatedRun, RUN_FIGURES, estimatedRuns } from './accuracy/estimates';
import { gpuScores } from './accuracy/gpu';
import { GroupScore, METRICS, scoreOf } from './accuracy/group-score';
import { ReplayScore, replayScores } from './accuracy/replays';
import { trainiumScores } from './accuracy/trainium';
import { Compared } from '../src/estimator/calibration/measurements';
import { Ranged, Score, score } from '../src/estimator/calibration/score';

function page(): string {
  const scores = replayScores();
  const groups = [...trainiumScores(), ...gpuScores()];
  return `# Accuracy

Written by \`npm run accuracy\`; every figure on this page is its output. Errors are relative: MAPE is the mean of their sizes, bias the median with its sign.
"Before" is what shares of peaks and floors from kernel tables say without any of these measurements. The "device set" is fitted to all measurements of a
device, as those that ship are, and predicts each configuration (device, engine, model, precision, degree) without having seen it. "Calibrated" starts from
the device set and fits the group: to all of it, and held out by configuration. Coverage is the share of held-out measurements within the 80 % interval,
which is made as the intervals of estimates are: of 64 draws of the coefficients, which go together as the fit says, and of what predictions of other
configurations were off by beyond that, those of the group, drawn towards those of the device where they are few. The fits behind a width have seen neither
the configuration that it is judged on nor those it is taken from.

Peers, on 1,698 rows of the same public GPU measurements: aiconfigurator 0.12 has a MAPE of 65 % for TTFT (median 54) and of 41 % for TPOT (median 20). Its rows
include disaggregated and data-parallel ones, which are not in the table below, so the two are not over the same rows.

## What is asked

${targets(groups)}

${replayTargets(scores)}

What measurements of one thing differ by bounds what any model can reach. Llama-3.3-70B on Trainium 2 read 10,000 tokens in 814 ms by one page of the Neuron
SDK and in 576 ms by another, 41 % apart. Llama-3.1-8B by TensorRT-LLM on one H100 with 8 clients lets prompts of 2,048 tokens wait for 265 ms and 692 ms
where answers have 128 and 512 tokens, and for 205 ms where they have 256. Beyond that, errors are of causes that the records do not name: DeepSeek at 4 bit
on B200 waits 7 s at any load, as if kernels were compiled in the first burst; with 64 and more clients TensorRT-LLM and SGLang on 4 and 8 devices answer late
by a share of the answer's time, as a host does that 10,000 to 20,000 tokens a second pass through. Where all that is known of an engine is one model, another
one's times are off by more. In a replay where the cache overflows, a few requests lose their place in the engine that keep it in the model, or the other way
round.

## Closed loops and tables

${table(groups)}

Rows: \`gpu-serving.csv\` holds every aggregated row of aiconfigurator's \`silicon_sample.csv\` (Apache-2.0) on H100, H200 and B200 with one data-parallel
replica and a tensor parallel degree of at most 8, identical rows once. Left out are disaggregated serving, data parallel attention, several instances, and
devices without a coefficient set. A blank precision is taken for that of the checkpoint: fp8 for DeepSeek and Qwen3-235B, else bf16; the KV cache for 8 bit
where weights have 8 bit or fewer, but for Llama-3.1-8B by SGLang, which it makes of a checkpoint of 16 bit as it loads it. Left out is what answers faster
than it could at the peaks of its device if it multiplied every token of its prompts, read every cache, and read its weights in steps without prompts, so that
it had prompts in a cache: Llama-3.1-8B on H200 and Qwen3-32B in 8 bit on H100, both by vLLM. Loops are replayed from their first burst, ten requests for each
client; InferenceX drew lengths from 80 % to all of the named ones. The others are taken to vary by 5 % either way, as in a loop of one length all requests
stay in step for ever, and waits for the first token would grow with the number of clients as only those of SGLang 0.5.1 on H100 do, which are left in step.
TensorRT-LLM 1.0 is taken to hold one request back in the runs of aiconfigurator: at each of four degrees waits fall with the number of clients as the time of
an answer over it. These two are read off the measurements, as no record has them. SGLang reads prompts before it writes, the others do both in one step;
TensorRT-LLM lets a sequence in when its whole answer fits the cache, the others when its prompt does. Llama by TensorRT-LLM in InferenceX waits up to 20
steps for more prompts where prompts and answers have 1,024 tokens, as its script says. Trainium rows are the tables of the AWS Neuron SDK, all of them, and
runs of NxD Inference, optimum-neuron and the vLLM Neuron plugin. A step of Trainium 1 reads the power of two that holds its context, as the means do that
throughputs give; a graph without buckets reads what it was compiled for, of DeepSeek-V3 512 tokens whatever the prompt has; the plugin reads Qwen3-8B's
prompts 2,048 tokens at a time. Of Llama-3-8B on Trainium 1 the feed-forward part alone has 8 bit, as its sample says. The set of Trainium 2 that ships counts
two releases' figures of one run as one.

## Intervals of estimates

What users see is \`low\` and \`high\` of an estimate, which is of a steady state. A closed loop has its lengths estimated by a spec with the same held-out calibration,
at the rate that has as many requests in the engine as there are clients. That tells of times per output token; how long the first burst of a loop waits is no
part of a steady state, so that times to the first token are judged over the loop itself, in the table above.

${estimates(groups)}

The runs of the engine on a CPU came as a spec says, 150 requests each, and the engine was calibrated unloaded by \`calibrate\`. Marked is what lies outside. A run
differs from a steady state by chance, the more so the fuller the engine is, and intervals are of coefficients and of what single times are off by: they hold
neither that nor what the closed form is off by under load. \`simulate\` replays such a run with the errors of the next section.

${runs(estimatedRuns())}

## Replays

A run of a real engine is replayed request by request; what counts is what each request met. The engine's times begin when it queues the request, on the CPU
when the client sends it. The GPU runs are of LLMServingSim's repository (MIT); those of the slower CPU were measured by \`benchmark/cpu-engine.ts\`, twice:
first with the unloaded engine before all runs, prompt after prompt in order of length, then with it before each run and after the last, in any order and with
pauses. Two requests a second are nearly all that this engine serves, or more, so that a step that is 3 % longer than predicted makes waits a tenth longer.

${replays(scores)}

The runs on the CPU are bounded by what they are measured by. An engine that is measured in order and without pauses reads prompts that it was not waiting
for: first tokens of requests that met no other in the engine then come later than predicted. Measured between the runs they do so by half as much. What is
left is the machine: tokens of requests that met no other, and steps of the unloaded engine, differ among themselves by more than the target, and coefficients
that are fitted to the run itself keep errors a request beyond it, as one step more or less that a request waits for is some percent of its time. Steps of two
sequences take longer than those of one and of four (36.5 ms, 32.1 ms and 31.3 ms at short contexts on the slower CPU), as a library multiplies few rows
otherwise: they are predicted 8 to 10 % short, and where two requests meet they are most of what is written.

${bounds(scores)}

aisimulate-core 0.13, which was not fitted to it, replays all 300 requests of the second run with errors of 34 % for TTFT and 24 % for TPOT a request, and a
mean TTFT of 25.3 s in place of 36.9 s.

## Where it is weakest, and what would mend it

1. **Times to the first token of closed loops.** How many requests a benchmark sent, what was warm and what was in a cache is not in the measurements.
   It takes times per request, with the time at which each was sent, of one configuration at three loads.
2. **Mixtures of experts.** Experts are taken for equally popular, and all engines for one kernel; TPOT of a new model is off by a fifth, prefill by up to several times.
   It takes the times of steps by tokens in the step, one engine and release at a time.
3. **Trainium 2.** ${scoreOf(groups[1].fitted, 'tpot').count} decode rows of ${groups[1].configurations} configurations by three engines: a left-out model has little to lean on. The row that is
   furthest off is gpt-oss-120b, the one mixture of experts that the vLLM Neuron plugin was measured with: it writes a token in 7.0 ms, half of what layers with
   experts take in NxD Inference and optimum-neuron, and reads a prompt in 252 ms, as if tokens did not pass all experts. The plugin has kernels of its own for a
   layer's experts (nkilib), where the others load the experts of one token of a step after the other; one row does not say what that saves of another model.
   Next are Llama-3.1-8B of two clients by the same plugin, and Llama-3.1-405B, without which nothing is left of its size.
   It takes step times of a second mixture by that plugin, of any dense model at batches from 1 to 32, and of one model by two of the engines.
4. **Trainium 1.** Long prompts are read at 3 to 7 % of the peak by Llama-2-13B and Mistral, and at 13 to 23 % by Llama-3, whose sample fuses projections and lays attention
   out otherwise; no model was measured both ways. Of one stream of the former two, the throughput beside the times is 0.42 to 0.6 of what the times give, so that these rows
   contradict themselves; they are kept. Furthest off in decode is Llama-3-8B of one stream, predicted 13 to 15 % short where batches of 8 are met: by its sample it picks one of
   128,256 tokens on the device. Llama-3-70B is quicker than Llama-2-70B at batch 1 and slower at batch 4, by 1 ms each, where bytes and layers are alike.
   It takes the time of prompts of 128 to 8,192 tokens of one model with either layout, and steps at batch 1, 4 and 8 with tokens picked on the device and off it.
`;
}

function table(groups: readonly GroupScore[]): string {
  const header = ['group', 'configurations', 'rows', 'metric', 'before: MAPE', 'device set, held out: MAPE (median, bias)', 'coverage', 'calibrated, fitted: MAPE (median, bias)',
    'calibrated, held out: MAPE (median, bias)', 'coverage'];
  const all = [...groups, together('dense models on GPUs', groups.filter(isDenseGpu)), together('all', groups)];
  return markdown(header, all.flatMap((one) => METRICS.map((metric) => {
    const [start, shipped, fitted, heldOut] = [one.start, one.shipped, one.fitted, one.heldOut].map((compared) => scoreOf(compared, metric));
    return [one.group, String(one.configurations), String(fitted.count), metric.toUpperCase(), percent(start.mape), errors(shipped),
      percent(shipped.coverage!), errors(fitted), errors(heldOut), percent(heldOut.coverage!)];
  })));
}

function isDenseGpu({ group }: GroupScore): boolean {
  return /^[HB]\d+ .*dense$/.test(group);
}

/** Times per output token by estimates of what was measured in closed loops. */
function estimates(groups: readonly GroupScore[]): string {
  const of = groups.filter(({ estimated }) => estimated.heldOut.length > 0);
  const kinds = [
    together('dense models on GPUs', of.filter(isDenseGpu)),
    together('mixtures of experts on GPUs', of.filter((one) => !isDenseGpu(one))),
    together('all', of),
  ];
  const header = ['TPOT of estimates', 'configurations', 'rows', 'device set, held out: MAPE (median, bias)', 'within the interval', 'calibrated, held out: MAPE (median, bias)',
    'within the interval'];
  return markdown(header, kinds.map(({ group, configurations, estimated }) => {
    const [shipped, heldOut] = [estimated.shipped, estimated.heldOut].map(score);
    const judged = [shipped, heldOut].flatMap((one) => [errors(one), percent(one.coverage!)]);
    return [group, String(configurations), String(heldOut.count), ...judged];
  }));
}

/** Runs beside what is estimated of them. */
function runs(of: readonly EstimatedRun[]): string {
  const figure = ({ measured, predicted, low, high }: Ranged) => (
    `${seconds(measured)}: ${seconds(predicted)} (${seconds(low)} to ${seconds(high)})${low <= measured && measured <= high ? '' : ', outside'}`);
  return markdown(['run', 'metric', ...RUN_FIGURES.map((name) => `${name}, measured: estimated`)], of.flatMap(({ name, figures }) => METRICS.map((metric) => (
    [name, metric.toUpperCase(), ...figures === undefined ? RUN_FIGURES.map(() => 'more than the engine serves') : figures[metric].map(figure)]))));
}

/** Targets, beside what is reached. */
function targets(groups: readonly GroupScore[]): string {
  const dense = together('dense models on GPUs', groups.filter(isDenseGpu));
  const worst = (metric: typeof METRICS[number]) => (
    groups.filter(isDenseGpu).map((one) => ({ group: one.group, mape: scoreOf(one.heldOut, metric).mape })).sort((x, y) => y.mape - x.mape)[0]);
  const row = (what: string, asked: number, reached: number, note = ''): string[] => (
    [what, `${(100 * asked).toFixed(0)} %`, percent(reached), reached <= asked ? 'yes' : `no, by ${(100 * (reached - asked)).toFixed(1)} points${note}`]);
  const calibrated = (metric: typeof METRICS[number], asked: number) => {
    const { mape, median } = scoreOf(dense.heldOut, metric);
    const { group, mape: most } = worst(metric);
    const note = `; the median is ${percent(median)}, the worst group ${group}: ${percent(most)}`;
    return row(`${metric.toUpperCase()} of dense models on GPUs, calibrated, held out`, asked, mape, note);
  };
  const trainium = (one: GroupScore, device: string, asked: number) => {
    const { mape, median } = scoreOf(one.heldOut, 'tpot');
    const [furthest, ...others] = one.heldOut.filter(({ metric }) => metric === 'tpot').sort((x, y) => Math.abs(errorOf(y)) - Math.abs(errorOf(x)));
    const note = `; the median is ${percent(median)}, one row is off by ${signed(errorOf(furthest))}, the others by ${percent(scoreOf(others, 'tpot').mape)} on average`;
    return row(`TPOT of ${device}, held out`, asked, mape, note);
  };
  return markdown(['MAPE', 'asked', 'reached', 'held'], [
    calibrated('tpot', 0.08),
    calibrated('ttft', 0.25),
    row('TPOT of dense models on GPUs, device set, held out', 0.15, scoreOf(dense.shipped, 'tpot').mape),
    trainium(groups[0], 'Trainium 1', 0.05),
    trainium(groups[1], 'Trainium 2', 0.1),
  ]);
}

/** The same of replays: what their means are off by, and their requests. */
function replayTargets(scores: readonly ReplayScore[]): string {
  const asked = [['TPOT, mean', 0.03], ['TPOT a request', 0.03], ['TTFT, mean', 0.1], ['TTFT a request', 0.15]] as const;
  return markdown(['replay', ...asked.map(([what, most]) => `${what}: asked ${(100 * most).toFixed(0)} %`)], scores.map(({ name, meanSeconds: { ttft, tpot }, scores: of }) => {
    const reached = [errorOf(tpot), of.tpot.mape, errorOf(ttft), of.ttft.mape];
    return [name, ...reached.map((value, i) => `${i % 2 === 0 ? signed(value) : percent(value)}${Math.abs(value) <= asked[i][1] ? '' : ', missed'}`)];
  }));
}

function errorOf({ measured, predicted }: Pick<Compared, 'measured' | 'predicted'>): number {
  return predicted / measured - 1;
}

function together(name: string, of: readonly GroupScore[]): GroupScore {
  return {
    group: `**${name}**`,
    configurations: of.reduce((sum, one) => sum + one.configurations, 0),
    start: of.flatMap((one) => one.start),
    fitted: of.flatMap((one) => one.fitted),
    shipped: of.flatMap((one) => one.shipped),
    heldOut: of.flatMap((one) => one.heldOut),
    estimated: { shipped: of.flatMap(({ estimated }) => estimated.shipped), heldOut: of.flatMap(({ estimated }) => estimated.heldOut) },
  };
}

function replays(scores: readonly ReplayScore[]): string {
  const header = ['run', 'calibrated on', 'judged requests', 'metric', 'measured mean', 'predicted mean', 'MAPE a request (median, bias)'];
  return markdown(header, scores.flatMap(({ name, fittedTo, requests, meanSeconds, scores: of }) => METRICS.map((metric) => {
    const { measured, predicted } = meanSeconds[metric];
    return [name, fittedTo, String(requests), metric.toUpperCase(), seconds(measured), `${seconds(predicted)} (${signed(predicted / measured - 1)})`, errors(of[metric])];
  })));
}

function bounds(scores: readonly ReplayScore[]): string {
  const header = ['run', 'fitted to itself: TTFT', 'TPOT', 'requests that met no other', 'TTFT of these: MAPE (median, bias)', 'TPOT of these: MAPE (median, bias)'];
  return markdown(header, scores.flatMap(({ name, bounds: of }) => {
    if (of === undefined) {
      return [];
    }
    const [own, alone] = [of.own.scores, of.alone.scores];
    const ofAlone = alone.ttft.count === 0 ? ['', ''] : [errors(alone.ttft), errors(alone.tpot)];
    return [[name, errors(own.ttft), errors(own.tpot), String(alone.ttft.count), ...ofAlone]];
  }));
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
