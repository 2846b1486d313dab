import { Estimate, LatencyEstimate, ObjectiveVerdict, Refusal } from '../estimator';
import { interval, number, table, time } from './text-table';
import { isKnown } from '../estimator/verdict';
import { WorkloadSpec } from '../workload';

const METRICS: { [name: string]: string } = {
  ttftSeconds: 'time to first token',
  tpotSeconds: 'time per output token',
  endToEndSeconds: 'end to end',
};

/**
 * An estimate as text for a terminal.
 */
export function estimateText(estimate: Estimate): string {
  return [heading(estimate), latencies(estimate), totals(estimate), stages(estimate), parts(estimate), verdicts(estimate), ...claims(estimate)].join('\n\n');
}

/**
 * A refusal as text for a terminal.
 */
export function refusalText(refusal: Refusal): string {
  return `no estimate, ${refusal.kind}${refusal.stage ? ` at ${refusal.stage}` : ''}: ${refusal.reason}\n${refusal.mend}`;
}

function heading(estimate: Estimate): string {
  return [
    `${estimate.spec.name ?? estimate.spec.model.id}, ${estimate.serving}, ${loadText(estimate.spec.workload)}`,
    `confidence ${estimate.confidence.level}: ${estimate.confidence.reason}`,
  ].join('\n');
}

/** Its rate, and that of its busiest minute, which latencies are those of. */
export function loadText({ requestsPerSecond, peakToMeanRatio = 1, source }: WorkloadSpec): string {
  const peak = peakToMeanRatio === 1 ? '' : `, ${number(requestsPerSecond * peakToMeanRatio)}/s in the busiest minute`;
  return `${number(requestsPerSecond)} requests/s of ${source}${peak}`;
}

function latencies(estimate: Estimate): string {
  const rows = [['', 'mean', 'p50', 'p90', 'p95', 'p99']];
  for (const [metric, name] of Object.entries(METRICS)) {
    const latency = estimate[metric as 'ttftSeconds'];
    const columns = (['mean', 'p50', 'p90', 'p95', 'p99'] as (keyof LatencyEstimate)[]).map((column) => latency[column]);
    rows.push([name, ...columns.map((range) => time(range.value))]);
    rows.push(['  80 % interval', ...columns.map((range) => interval(range, time))]);
  }
  return table(rows, 1);
}

function totals(estimate: Estimate): string {
  const { outputTokensPerSecond, goodputRequestsPerSecond, costUsdPerMillionOutputTokens: cost } = estimate;
  return table([
    ['output tokens per second', number(outputTokensPerSecond.value), interval(outputTokensPerSecond, number)],
    ['goodput, requests per second', number(goodputRequestsPerSecond.value), interval(goodputRequestsPerSecond, number)],
    ['USD per million output tokens', cost ? number(cost.value) : 'unknown', cost ? interval(cost, number) : 'a price is not known'],
    ['USD per hour', estimate.usdPerHour === undefined ? 'unknown' : number(estimate.usdPerHour), ''],
    ['bottleneck', estimate.bottleneck, ''],
    ['solver', estimate.solver, ''],
  ], 1);
}

function stages(estimate: Estimate): string {
  return table([
    ['stage', 'hardware', 'instances', 'TP', 'utilisation', '80 % interval', 'USD/h', 'bound by'],
    ...estimate.stages.map((stage) => [
      stage.name,
      stage.hardware,
      String(stage.instances),
      String(stage.tensorParallelDegree),
      number(stage.utilisation.value),
      interval(stage.utilisation, number),
      stage.usdPerHour === undefined ? '-' : number(stage.usdPerHour),
      stage.bottleneck,
    ]),
  ], 2, 7);
}

function parts(estimate: Estimate): string {
  return table([['mean time to first token', ''], ...estimate.ttftParts.map((part) => [`  ${part.name}`, time(part.seconds)])], 1);
}

function verdictText(objective: ObjectiveVerdict): string {
  const { verdict, simulatedSeconds } = objective;
  return !isKnown(objective) ? `${verdict}: simulate tells` : simulatedSeconds === undefined ? verdict : `${verdict}, ${time(simulatedSeconds)} as simulated`;
}

function verdicts(estimate: Estimate): string {
  if (estimate.objectives.length === 0) {
    return 'no objective';
  }
  return table([
    ['objective', '', 'promise', 'estimate', '80 % interval', ''],
    ...estimate.objectives.map((verdict) => [
      `  ${METRICS[verdict.metric] ?? verdict.metric}`,
      `p${verdict.percentile}`,
      time(verdict.objectiveSeconds),
      time(verdict.estimateSeconds.value),
      interval(verdict.estimateSeconds, time),
      verdictText(verdict),
    ]),
  ], 1, 5);
}

/** What vendors claim, each beside what is estimated of it. */
function claims({ vendorClaims }: Estimate): string[] {
  const lines = vendorClaims.flatMap(({ figure, claimed, estimated, input, source }) => [
    `  ${[
      `${figure}: ${claimed === undefined ? 'nothing claimed' : `${number(claimed)} claimed`}`,
      estimated === undefined ? 'not estimated' : `${number(estimated.value)} estimated${estimated.low === estimated.high ? '' : `, ${interval(estimated, number)}`}`,
      ...input === undefined ? [] : [`give yours as ${input}`],
    ].join('; ')}`,
    `    ${source}`,
  ]);
  return lines.length === 0 ? [] : [['claims of vendors, which nothing here confirms, beside this estimate', ...lines].join('\n')];
}
