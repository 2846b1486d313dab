import { CPU_RUNS, SMALL_LLAMA_ON_A_CORE, SMALL_LLAMA_SPEC, lines, runName, unloadedMeasurements } from './replays';
import { CalibrationSpec, DeploymentSpec, Estimate, Estimator, LatencyEstimate } from '../../src/estimator';
import { calibrate } from '../../src/estimator/calibration/calibrate';
import { fittedCoefficients } from '../../src/estimator/calibration/fitted-coefficients';
import { configurationsOf, heldOut } from '../../src/estimator/calibration/held-out';
import { ClosedLoop, LoggedRequest } from '../../src/estimator/calibration/measurements';
import { Ranged, mean, misfitSigma } from '../../src/estimator/calibration/score';
import { END_TO_END } from '../../src/estimator/closed-form';
import { Service } from '../../src/estimator/service';

/** A deployment without what is asked of it. */
export type Deployment = Omit<DeploymentSpec, 'workload'>;

/** Configurations that are held out at a time, as by `calibrate`. */
const FOLDS = 6;

/** Bisections of a rate: to a thousandth of a millionth of the capacity. */
const RATE_STEPS = 30;

/** What is estimated of a deployment that is asked for requests of a loop's lengths, at the rate that has as many of them in it on average as the loop has clients. */
export function estimateOfLoop(deployment: Deployment, calibration: CalibrationSpec, loop: ClosedLoop): Estimate {
  const { inputTokens, outputTokens, concurrency, shortestShare = 1 } = loop;
  const tokens = (longest: number) => Math.max(1, Math.round(longest * (1 + shortestShare) / 2));
  const at = (requestsPerSecond: number): DeploymentSpec => ({
    ...deployment,
    calibration,
    workload: {
      source: 'a closed loop', requestsPerSecond, lengthClasses: [{ weight: 1, inputTokens: tokens(inputTokens), outputTokens: tokens(outputTokens) }],
    },
  });
  const service = new Service(at(1));
  service.solve(0, 1);
  let [low, high] = [0, 1 / service.fullest];
  for (let i = 0; i < RATE_STEPS; i++) {
    const middle = (low + high) / 2;
    service.form.solve(middle, 0, 1);
    if (middle * service.form.latencies[END_TO_END] < concurrency) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const { estimate, refusal } = Estimator.estimate(at(low));
  if (estimate === undefined) {
    throw new Error(`a loop of ${concurrency} clients has no estimate: ${refusal!.reason}`);
  }
  return estimate;
}

/** Figures of a run that an estimate has. */
export const RUN_FIGURES = ['mean', 'p50', 'p90'] as const;

/** A run beside what is estimated of its lengths and its rate of arrival. */
export interface EstimatedRun {
  readonly name: string;
  /** By metric, in the order of `RUN_FIGURES`; undefined where the engine cannot keep up with the rate. */
  readonly figures?: { readonly [metric in Ranged['metric']]: readonly Ranged[] };
}

/** Runs of the engine on a CPU, which is calibrated unloaded as by `calibrate`. */
export function estimatedRuns(): EstimatedRun[] {
  return CPU_RUNS.flatMap(([processor, unloaded, runs]) => {
    const calibration = calibrationOfUnloaded(unloaded);
    return runs.map(([rate, file]) => ({ name: runName(processor, rate), figures: estimatedRun(lines<LoggedRequest>(file), calibration) }));
  });
}

function calibrationOfUnloaded(file: string): CalibrationSpec {
  const { start, spread } = SMALL_LLAMA_ON_A_CORE;
  const configurations = configurationsOf(SMALL_LLAMA_ON_A_CORE, unloadedMeasurements(file));
  const held = heldOut(start, configurations, FOLDS)!;
  const misfit = (metric: Ranged['metric']) => misfitSigma(held.map((one) => one.filter((time) => time.metric === metric)), spread[metric]);
  return {
    coefficientSet: SMALL_LLAMA_ON_A_CORE.coefficientSet,
    ...fittedCoefficients('decode', calibrate(start, configurations)),
    ttftRelativeSigma: misfit('ttft'),
    tpotRelativeSigma: misfit('tpot'),
  };
}

function estimatedRun(log: readonly LoggedRequest[], calibration: CalibrationSpec): EstimatedRun['figures'] {
  const { estimate } = Estimator.estimate({
    ...SMALL_LLAMA_SPEC,
    calibration,
    workload: {
      source: 'a run',
      requestsPerSecond: (log.length - 1) / (log[log.length - 1].arrivalSeconds - log[0].arrivalSeconds),
      lengthClasses: log.map(({ inputTokens, outputTokens }) => ({ weight: 1 / log.length, inputTokens, outputTokens })),
    },
  });
  const figures = (metric: Ranged['metric'], times: readonly number[], of: LatencyEstimate) => {
    const sorted = [...times].sort((a, b) => a - b);
    const measured = { mean: mean(times), p50: sorted[Math.floor(0.5 * sorted.length)], p90: sorted[Math.floor(0.9 * sorted.length)] };
    return RUN_FIGURES.map((figure): Ranged => {
      const { value: predicted, low, high } = of[figure];
      return { metric, measured: measured[figure], predicted, low, high };
    });
  };
  return estimate && {
    ttft: figures('ttft', log.map(({ ttftSeconds }) => ttftSeconds!), estimate.ttftSeconds),
    tpot: figures('tpot', log.map(({ ttftSeconds, endToEndSeconds, outputTokens }) => (
      (endToEndSeconds! - ttftSeconds!) / (outputTokens - 1))), estimate.tpotSeconds),
  };
}
