import { bottleneckOf } from './bottleneck';
import { END_TO_END, TPOT, TTFT } from './closed-form';
import { confidence } from './confidence';
import { usdPerMillionTokens } from './cost';
import { Estimate, EstimateOutcome, LatencyEstimate, ObjectiveVerdict, Range, StageEstimate } from './estimate';
import { Counts, Service } from './service';
import { DRAWS, interval } from './uncertainty';
import { vendorClaims } from './vendor-claims';
import { UNKNOWN, verdictOf } from './verdict';

/** The version of the estimate that is written. */
const ESTIMATE_SCHEMA = 'cdk-disaggregated-inference/estimate/v1';

/** The estimate at these counts, or that they are too few. */
export function estimateAt(service: Service, counts: Counts): EstimateOutcome {
  service.solve(counts.prefill, counts.decode);
  return service.form.stable ? { estimate: report(service, counts.prefill, counts.decode) } : { refusal: service.shortcoming()! };
}

/**
 * The estimate of a service that is stable at these counts, with intervals.
 */
export function report(service: Service, prefillInstances: number, decodeInstances: number): Estimate {
  service.solve(prefillInstances, decodeInstances);
  const { form, resolved, aggregated } = service;
  const stages = service.stages();
  const centres = [...form.latencies];
  const ttftParts = [
    { name: 'gateway', seconds: form.gatewaySeconds },
    { name: 'prefill-queue', seconds: form.prefillQueueSeconds },
    { name: 'prefill', seconds: form.prefillMeanSeconds },
    ...(aggregated ? [] : [{ name: 'kv-transfer', seconds: form.transferMeanSeconds }]),
    { name: 'decode-admission', seconds: form.admissionSeconds },
    ...(aggregated ? [] : [{ name: 'first-decode-step', seconds: form.firstStepSeconds }]),
  ];
  const bottlenecks = stages.map((stage) => bottleneckOf(service, stage.name));
  const goodput = service.goodput(true);
  service.solve(prefillInstances, decodeInstances);

  const offered = service.spec.workload.requestsPerSecond * form.requests.meanOutputTokens;
  // where bursts outrun the slots, figures lie between those of nobody and of everybody waiting for one
  const drawn = (resolved.plant.arrivalScv > 1 ? [0, 1] : [undefined]).map((waiting) => draws(service, offered, waiting));
  const { latencies: least, goodputs: highest, loads, tokens, streams, unstable } = drawn[0];
  const { latencies: longest, goodputs: lowest } = drawn[drawn.length - 1];
  const [ttftSigma, tpotSigma] = [service.predictionSigma('ttft'), service.predictionSigma('tpot')];
  const ranges = centres.map((centre, i) => {
    const ttft = i < TPOT ? 1 : i < END_TO_END ? 0 : Math.min(1, centres[i - END_TO_END] / centre);
    const sigma = ttft * ttftSigma + (1 - ttft) * tpotSigma;
    return { ...interval(centre, longest[i], sigma), low: interval(centre, least[i], sigma).low };
  });
  const outputTokensPerSecond = interval(offered, tokens);

  const usdPerHour = fleetPrice(service, prefillInstances, decodeInstances);
  const estimates = stages.map((stage, i): StageEstimate => {
    const pool = stage.name === 'prefill' ? resolved.prefill : resolved.decode;
    const price = stage.name === 'kv-transfer' ? undefined : pool!.price;
    return {
      name: stage.name,
      hardware: stage.hardware,
      instances: stage.instances,
      tensorParallelDegree: stage.name === 'kv-transfer' ? 1 : pool!.tensorParallelDegree,
      utilisation: interval(stage.load, loads[i]),
      bottleneck: bottlenecks[i],
      ...(price && { usdPerHour: price.usdPerHour * stage.instances }),
      coefficients: service.coefficients(stage.name),
    };
  });
  return {
    schema: ESTIMATE_SCHEMA,
    spec: filledSpec(service, prefillInstances, decodeInstances),
    serving: aggregated ? 'aggregated' : 'disaggregated',
    ttftSeconds: latency(ranges, TTFT),
    tpotSeconds: latency(ranges, TPOT),
    endToEndSeconds: latency(ranges, END_TO_END),
    ttftParts,
    outputTokensPerSecond,
    goodputRequestsPerSecond: { ...interval(goodput, highest), low: interval(goodput, lowest).low },
    stages: estimates,
    bottleneck: stages.reduce((most, stage) => (stage.load > most.load ? stage : most)).name,
    ...(usdPerHour !== undefined && {
      usdPerHour,
      costUsdPerMillionOutputTokens: {
        value: usdPerMillionTokens(usdPerHour, outputTokensPerSecond.value),
        low: usdPerMillionTokens(usdPerHour, outputTokensPerSecond.high),
        high: usdPerMillionTokens(usdPerHour, outputTokensPerSecond.low),
      },
    }),
    objectives: service.promises.map((promise): ObjectiveVerdict => ({
      metric: promise.metric,
      percentile: promise.percentile,
      objectiveSeconds: promise.seconds,
      estimateSeconds: ranges[promise.index],
      verdict: service.isTold(promise) ? verdictOf(ranges[promise.index], promise.seconds) : UNKNOWN,
    })),
    solver: 'closed-form',
    confidence: confidence(service, unstable),
    vendorClaims: vendorClaims(service, streams),
  };
}

/** What the draws of the coefficients give, with so many waiting for a slot where bursts outrun the slots. */
function draws(service: Service, offeredTokensPerSecond: number, waitingInBursts: number | undefined) {
  const { form } = service;
  const latencies = Array.from(form.latencies, () => new Float64Array(DRAWS));
  const loads = service.stages().map(() => new Float64Array(DRAWS));
  const tokens = new Float64Array(DRAWS);
  const streams = new Float64Array(DRAWS);
  const goodputs = new Float64Array(DRAWS);
  let unstable = 0;
  form.waitingInBursts = waitingInBursts;
  service.eachDraw((draw) => {
    latencies.forEach((column, i) => {
      column[draw] = form.latencies[i];
    });
    service.stages().forEach((stage, i) => {
      loads[i][draw] = Math.min(1, stage.load);
    });
    // a fleet that falls behind gives what its fullest stage gives; one that does in the busiest minute alone catches up
    tokens[draw] = offeredTokensPerSecond / Math.max(1, service.fullest / service.peakToMeanRatio);
    streams[draw] = 1 / form.stepSeconds(1);
    unstable += form.stable ? 0 : 1;
    goodputs[draw] = service.goodput(false);
  });
  form.waitingInBursts = undefined;
  return { latencies, loads, tokens, streams, goodputs, unstable };
}

/** Price of a fleet in USD per hour; undefined where a price is missing. */
export function fleetPrice(service: Service, prefillInstances: number, decodeInstances: number): number | undefined {
  const { prefill, decode } = service.resolved;
  if (decode.price === undefined || (prefill !== undefined && prefill.price === undefined)) {
    return undefined;
  }
  return prefillInstances * (prefill?.price?.usdPerHour ?? 0) + decodeInstances * decode.price.usdPerHour;
}

function latency(ranges: Range[], at: number): LatencyEstimate {
  return { mean: ranges[at], p50: ranges[at + 1], p90: ranges[at + 2], p95: ranges[at + 3], p99: ranges[at + 4] };
}

function filledSpec(service: Service, prefillInstances: number, decodeInstances: number): Estimate['spec'] {
  const { spec, resolved } = service;
  const { prefill, decode, plant } = resolved;
  const known = (pool: typeof decode) => ({
    ...(pool.promptBuckets.length > 0 && { promptBuckets: [...pool.promptBuckets] }),
    ...(pool.price && { usdPerInstanceHour: pool.price.usdPerHour, priceSource: pool.price.source }),
  });
  return {
    ...spec,
    name: spec.name ?? spec.model.id,
    precision: { weights: 'bf16', kvCache: 'bf16', ...spec.precision },
    ...(spec.objective && { objective: { ...spec.objective, percentile: spec.objective.percentile ?? 95 } }),
    ...(prefill && {
      prefill: {
        ...spec.prefill!,
        instances: prefillInstances,
        tensorParallelDegree: prefill.tensorParallelDegree,
        enginesPerInstance: plant.prefill!.enginesPerInstance / plant.prefill!.engine.stages,
        ...known(prefill),
      },
      link: { ...spec.link, overlap: spec.link?.overlap ?? 'after-prefill' },
    }),
    decode: {
      ...spec.decode,
      instances: decodeInstances,
      maxConcurrentSequences: Math.ceil(plant.decode.slots * (plant.decode.engine?.stages ?? 1)),
      ...(plant.decode.wafers === undefined
        ? { tensorParallelDegree: decode.tensorParallelDegree, enginesPerInstance: plant.decode.enginesPerInstance / plant.decode.engine.stages }
        : { wafersPerReplica: plant.decode.wafers }),
      ...known(decode),
    },
  };
}
