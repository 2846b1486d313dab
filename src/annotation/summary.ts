import { Estimate, Range } from '../estimator';
import { isHeld } from '../estimator/verdict';

/** The number with so many significant digits, so that a template does not change with the last bit of a figure. */
export function toSignificant(value: number, digits: number): number {
  return Number(value.toPrecision(digits));
}

/** Every number in a JSON value with so many significant digits. */
export function roundNumbers(value: unknown, digits: number): unknown {
  if (typeof value === 'number') {
    return toSignificant(value, digits);
  }
  if (Array.isArray(value)) {
    return value.map((entry) => roundNumbers(entry, digits));
  }
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, roundNumbers(entry, digits)]));
  }
  return value;
}

/** The stable part of an estimate: what a template's metadata carries. Figures are strings: template linters know no fractions in metadata. */
export function templateSummary(estimate: Estimate): object {
  const rounded = (value: number) => String(toSignificant(value, 2));
  const cost = estimate.costUsdPerMillionOutputTokens;
  return {
    serving: estimate.serving,
    fleet: fleetText(estimate),
    ttftP95Seconds: rounded(estimate.ttftSeconds.p95.value),
    tpotP95Seconds: rounded(estimate.tpotSeconds.p95.value),
    outputTokensPerSecond: rounded(estimate.outputTokensPerSecond.value),
    goodputRequestsPerSecond: rounded(estimate.goodputRequestsPerSecond.value),
    ...(cost === undefined ? {} : { costUsdPerMillionOutputTokens: rounded(cost.value) }),
    bottleneck: estimate.bottleneck,
    objectivesHeld: estimate.objectives.every(isHeld),
    confidence: estimate.confidence.level,
  };
}

/** One line for a person: fleet, load, latencies against what is promised, price, bottleneck, confidence. */
export function infoLine(estimate: Estimate): string {
  const cost = estimate.costUsdPerMillionOutputTokens;
  const { requestsPerSecond, peakToMeanRatio = 1 } = estimate.spec.workload;
  const peak = peakToMeanRatio === 1 ? '' : `, ${toSignificant(requestsPerSecond * peakToMeanRatio, 2)} in the busiest minute`;
  const promise = estimate.objectives.length > 0 ? ' within the objective' : '';
  return [
    `${fleetText(estimate)} for ${toSignificant(requestsPerSecond, 2)} requests/s${peak} (${figure(estimate.outputTokensPerSecond)} output tokens/s)`,
    latencyText(estimate, 'TTFT', 'ttftSeconds'),
    latencyText(estimate, 'TPOT', 'tpotSeconds'),
    cost ? `$${figure(cost)} per million output tokens` : 'no published price',
    `at most ${figure(estimate.goodputRequestsPerSecond)} requests/s${peak === '' ? '' : ' on average'}${promise}`,
    `bottleneck ${estimate.bottleneck}`,
    ...claimTexts(estimate),
    `confidence ${estimate.confidence.level}: ${estimate.confidence.reason}`,
  ].join(', ') + ' (ranges are 80 % intervals)';
}

/** What a vendor claims of a figure that is estimated too. */
function claimTexts({ vendorClaims }: Estimate): string[] {
  return vendorClaims.flatMap(({ figure: name, claimed, estimated }) => claimed === undefined || estimated === undefined ? []
    : [`${name} ${figure(estimated)} estimated and ${toSignificant(claimed, 2)} claimed by the vendor`]);
}

function latencyText(estimate: Estimate, name: string, metric: 'ttftSeconds' | 'tpotSeconds'): string {
  const promise = estimate.objectives.find((objective) => objective.metric === metric);
  if (promise) {
    const { estimateSeconds, simulatedSeconds } = promise;
    const simulated = simulatedSeconds === undefined ? '' : `, ${toSignificant(simulatedSeconds * 1000, 2)} ms as simulated,`;
    return `${name} p${promise.percentile} ${promise.verdict} at ${milliseconds(estimateSeconds)}${simulated} of ${toSignificant(promise.objectiveSeconds * 1000, 3)} ms promised`;
  }
  return `${name} p95 ${milliseconds(estimate[metric].p95)}`;
}

/** A latency with its interval, such as `420 ms (310 to 610)`. */
export function milliseconds(range: Range): string {
  const [value, low, high] = [range.value, range.low, range.high].map((seconds) => toSignificant(seconds * 1000, 2));
  return `${value} ms (${low} to ${high})`;
}

function figure(range: Range): string {
  const [value, low, high] = [range.value, range.low, range.high].map((entry) => toSignificant(entry, 2));
  return low === high ? `${value}` : `${value} (${low} to ${high})`;
}

function fleetText(estimate: Estimate): string {
  return estimate.stages
    .filter((stage) => stage.name !== 'kv-transfer')
    .map((stage) => `${stage.instances} x ${stage.hardware} ${stage.name}`)
    .join(' + ');
}
