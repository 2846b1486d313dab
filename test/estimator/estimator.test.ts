import { estimateOf, rangesOf, steady, trn2 } from './specs';
import { DeploymentSpec, Estimator } from '../../src/estimator';
import { routingRates } from '../../src/estimator/routing-rates';
import { isHeld } from '../../src/estimator/verdict';

describe('an estimate', () => {
  const estimate = estimateOf(trn2({ objective: { ttftSeconds: 0.9, tpotSeconds: 0.03 } }));

  test('fills the spec in, and the filled spec gives the same estimate', () => {
    expect(estimate.spec.prefill).toMatchObject({ instances: 1, tensorParallelDegree: 64, usdPerInstanceHour: 35.7608 });
    expect(estimate.spec.decode).toMatchObject({ instances: 1, tensorParallelDegree: 64, maxConcurrentSequences: 64 });
    expect(estimate.spec.objective!.percentile).toBe(95);
    expect(estimateOf(estimate.spec)).toEqual({ ...estimate, spec: estimate.spec });
  });

  test('survives JSON and comes out the same again', () => {
    expect(JSON.parse(JSON.stringify(estimate))).toEqual(estimate);
    expect(JSON.stringify(estimateOf(trn2({ objective: { ttftSeconds: 0.9, tpotSeconds: 0.03 } })))).toBe(JSON.stringify(estimate));
  });

  test('its parts of TTFT add up to the mean', () => {
    const sum = estimate.ttftParts.reduce((total, part) => total + part.seconds, 0);
    expect(sum).toBeCloseTo(estimate.ttftSeconds.mean.value, 9);
    expect(estimate.ttftParts.map((part) => part.name)).toEqual(['gateway', 'prefill-queue', 'prefill', 'kv-transfer', 'decode-admission', 'first-decode-step']);
  });

  test('costs what the fleet costs over the tokens that it writes', () => {
    expect(estimate.outputTokensPerSecond.value).toBeCloseTo(400, 9);
    expect(estimate.usdPerHour).toBeCloseTo(71.5216, 9);
    expect(estimate.costUsdPerMillionOutputTokens!.value).toBeCloseTo(71.5216 / 3600 / 400 * 1e6, 9);
  });

  test('names stages, coefficients with sources, and the fullest stage', () => {
    expect(estimate.stages.map((stage) => stage.name)).toEqual(['prefill', 'kv-transfer', 'decode']);
    const fullest = estimate.stages.reduce((most, stage) => (stage.utilisation.value > most.utilisation.value ? stage : most));
    expect(estimate.bottleneck).toBe(fullest.name);
    // steps that write multiply too
    [0, 2].forEach((stage) => expect(estimate.stages[stage].coefficients.map((use) => use.name)).toContain('denseUtilisation'));
    expect(estimate.stages[2].coefficients.every((use) => use.source.length > 10)).toBe(true);
    expect(estimate.confidence.level).toBe('medium');
  });

  test('holds its objective up to the goodput and not beyond', () => {
    expect(estimate.objectives.every(isHeld)).toBe(true);
    const at = (factor: number) => estimateOf(trn2({
      objective: { ttftSeconds: 0.9, tpotSeconds: 0.03 },
      workload: steady(estimate.goodputRequestsPerSecond.value * factor, 1000, 200),
    })).objectives.every(isHeld);
    expect(at(0.999)).toBe(true);
    expect(at(1.001)).toBe(false);
  });

  test('mean batch, rate and time in decode keep Little\'s law', () => {
    const { utilisation } = estimate.stages[2];
    expect(utilisation.value).toBeGreaterThan(0);
    expect(utilisation.value).toBeLessThan(1);
    // at a crawling rate a token sees its own sequence alone
    const idle = estimateOf(trn2({ workload: steady(1e-6, 1000, 200) }));
    expect(idle.tpotSeconds.p99.value).toBeCloseTo(idle.tpotSeconds.p50.value, 5);
    expect(idle.endToEndSeconds.mean.value).toBeCloseTo(idle.ttftSeconds.mean.value + 199 * idle.tpotSeconds.mean.value, 9);
  });

  test('without a price there is no cost', () => {
    const ultra = estimateOf(trn2({ decode: { hardware: 'Trn3 Gen2 UltraServer', instances: 1 } }));
    expect(ultra.usdPerHour).toBeUndefined();
    expect(ultra.costUsdPerMillionOutputTokens).toBeUndefined();
    expect(ultra.stages[0].usdPerHour).toBeCloseTo(35.7608, 9);
    expect(ultra.confidence.level).toBe('low');
  });
});

describe('what changes an estimate', () => {
  test('prompts are padded to buckets on Neuron', () => {
    const ttft = (inputTokens: number, promptBuckets?: number[]) => estimateOf(trn2({
      workload: steady(0.01, inputTokens, 200), prefill: { hardware: 'trn2.48xlarge', instances: 1, promptBuckets },
    })).ttftParts.find((part) => part.name === 'prefill')!.seconds;
    expect(ttft(1030)).toBe(ttft(2048));
    expect(ttft(1030)).toBeGreaterThan(ttft(1024));
    expect(ttft(1030, [4096])).toBe(ttft(4096));
  });

  test('prompts beyond the last bucket are read in segments, which costs more than one pass and less than padding all of them', () => {
    const ttft = (promptBuckets: number[]) => estimateOf(trn2({
      workload: steady(0.01, 5000, 200), prefill: { hardware: 'trn2.48xlarge', instances: 1, promptBuckets },
    })).ttftParts.find((part) => part.name === 'prefill')!.seconds;
    expect(ttft([1024])).toBeGreaterThan(ttft([5120]));
    expect(ttft([1024, 4096])).toBeLessThan(ttft([4096]));
  });

  test('stages let an instance hold a model that none of its ranks does, and work on as many batches', () => {
    const over = (degrees: object) => trn2({
      workload: steady(0.01, 1000, 200), prefill: undefined, decode: { hardware: 'p5.48xlarge', instances: 1, maxConcurrentSequences: 16, ...degrees },
    });
    expect(Estimator.estimate(over({ tensorParallelDegree: 1 })).refusal?.kind).toBe('infeasible');
    const { spec, tpotSeconds } = estimateOf(over({ tensorParallelDegree: 1, pipelineParallelDegree: 4 }));
    expect(spec.decode).toMatchObject({ tensorParallelDegree: 1, pipelineParallelDegree: 4, enginesPerInstance: 2, maxConcurrentSequences: 16 });
    // all layers are passed one after the other
    expect(tpotSeconds.mean.value).toBeGreaterThan(2 * estimateOf(over({ tensorParallelDegree: 8 })).tpotSeconds.mean.value);
    expect(estimateOf(spec)).toMatchObject({ tpotSeconds });
  });

  test('several engines of an instance share it, each over its part of the chips', () => {
    const shared = (pool: { hardware: string }) => estimateOf(trn2({
      workload: steady(0.01, 1000, 200), prefill: undefined, decode: { instances: 1, enginesPerInstance: 4, ...pool },
    }));
    const { spec, tpotSeconds } = shared({ hardware: 'p5.48xlarge' });
    expect(spec.decode).toMatchObject({ tensorParallelDegree: 2, enginesPerInstance: 4 });
    expect(shared({ hardware: 'trn2.48xlarge' }).spec.decode).toMatchObject({ tensorParallelDegree: 16, enginesPerInstance: 4 });
    expect(estimateOf(spec)).toMatchObject({ tpotSeconds });
  });

  test('tokens of drafts beyond the end of an answer are nobody\'s', () => {
    const { outputTokensPerSecond } = estimateOf(trn2({
      workload: steady(0.5, 1000, 7),
      prefill: undefined,
      decode: { hardware: 'trn2.48xlarge', instances: 1, speculation: { draftTokens: 7, acceptanceRate: 0.9 } },
    }));
    expect(outputTokensPerSecond.value).toBeCloseTo(3.5, 10);
  });

  test('engines that share experts hold a model that one alone does not', () => {
    const over = (degrees: object) => trn2({
      model: { id: 'deepseek-v3' },
      precision: { weights: 'fp8' },
      workload: steady(0.01, 1000, 200),
      prefill: undefined,
      decode: { hardware: 'p5en.48xlarge', instances: 1, tensorParallelDegree: 1, ...degrees },
    });
    expect(Estimator.estimate(over({})).refusal?.kind).toBe('infeasible');
    expect(estimateOf(over({ dataParallelDegree: 8 })).spec.decode).toMatchObject({ dataParallelDegree: 8, enginesPerInstance: 8 });
  });

  test('the longest sequence ends the default buckets', () => {
    const { spec } = estimateOf(trn2({ prefill: { hardware: 'trn2.48xlarge', instances: 1, maxSequenceTokens: 3000 } }));
    expect(spec.prefill!.promptBuckets).toEqual([128, 256, 512, 1024, 2048, 3000]);
  });

  test('the price is that of the purchase option, one that is given wins', () => {
    const priced = (hardware: string, overrides: object) => {
      const { decode } = estimateOf(trn2({ workload: steady(0.1, 500, 100), model: { id: 'llama-3.1-8b' }, decode: { hardware, instances: 1, ...overrides } })).spec;
      return [decode.usdPerInstanceHour, decode.priceSource?.split(':')[0]];
    };
    expect(priced('trn2.48xlarge', {})).toEqual([35.7608, 'capacity-block']);
    expect(priced('trn2.48xlarge', { purchaseOption: 'spot' })).toEqual([14.5593, 'spot us-east-2c 2026-10-03']);
    expect(priced('trn2.48xlarge', { purchaseOption: 'on-demand' })).toEqual([undefined, undefined]);
    expect(priced('trn2.48xlarge', { purchaseOption: 'spot', usdPerInstanceHour: 12 })).toEqual([12, 'given in the spec']);
    expect(priced('p5.48xlarge', { purchaseOption: 'reservation' })).toEqual(priced('p5.48xlarge', { purchaseOption: 'on-demand' }));
  });

  test('cached prefix tokens are skipped in prefill', () => {
    const whole = steady(0.01, 8000, 200);
    const cached = { ...whole, lengthClasses: whole.lengthClasses.map((c) => ({ ...c, cachedInputTokens: 7000 })) };
    const ttft = (workload: DeploymentSpec['workload']) => estimateOf(trn2({ workload })).ttftSeconds.p50.value;
    expect(ttft(cached)).toBeLessThan(0.5 * ttft(whole));
  });

  test('layers that leave early shorten the hand-over; a measured bandwidth replaces EFA', () => {
    const transfer = (link: DeploymentSpec['link']) => estimateOf(trn2({ link })).ttftParts.find((part) => part.name === 'kv-transfer')!.seconds;
    expect(transfer({ overlap: 'layerwise' })).toBeLessThan(transfer(undefined));
    expect(transfer({ bytesPerSecond: 10e9 })).toBeGreaterThan(0.5);
  });

  test('narrower weights shorten decode', () => {
    const tpot = (precision: DeploymentSpec['precision']) => estimateOf(trn2({ precision })).tpotSeconds.p50.value;
    expect(tpot({ weights: 'fp8' })).toBeLessThan(tpot(undefined));
  });

  test('coefficients measured by the user carry no spread, and all of them make the confidence high', () => {
    const measured = (stage: number) => Object.fromEntries(estimateOf(trn2()).stages[stage].coefficients.map((use) => [use.name, use.value]));
    const estimate = estimateOf(trn2({ calibration: { prefill: { ...measured(0), ...measured(1) }, decode: measured(2), source: 'own run' } }));
    expect(estimate.confidence.level).toBe('high');
    expect(estimate.stages[2].coefficients[0]).toMatchObject({ relativeSigma: 0, source: 'own run' });
  });

  test('an instance runs as many engines as the tensor parallel degree leaves room for', () => {
    const decode = (tensorParallelDegree?: number) => estimateOf(trn2({
      model: { id: 'llama-3.1-8b' },
      workload: steady(20, 1000, 200),
      prefill: { hardware: 'trn2.48xlarge', instances: 2 },
      decode: { hardware: 'trn2.48xlarge', instances: 1, tensorParallelDegree },
    })).stages[2];
    // 32 heads: two engines of 32 ranks on 64 logical cores
    expect(decode().tensorParallelDegree).toBe(32);
    expect(decode(8).utilisation.value).toBeLessThan(decode().utilisation.value);
  });
});

describe('aggregated serving', () => {
  const spec = trn2({ prefill: undefined, decode: { hardware: 'p5.48xlarge', instances: 1 } });

  test('one stage, no hand-over, prompts slow tokens down', () => {
    const estimate = estimateOf(spec);
    expect(estimate.serving).toBe('aggregated');
    expect(estimate.stages.map((stage) => stage.name)).toEqual(['aggregated']);
    expect(estimate.ttftParts.map((part) => part.name)).not.toContain('kv-transfer');
    const apart = estimateOf({ ...spec, prefill: { hardware: 'p5.48xlarge', instances: 1 } });
    expect(apart.tpotSeconds.p50.value).toBeLessThan(estimate.tpotSeconds.p50.value);
  });

  test('saturates on prompts alone', () => {
    expect(Estimator.estimate({ ...spec, workload: steady(500, 8000, 1) }).refusal).toMatchObject({ kind: 'unstable', stage: 'aggregated' });
  });
});

describe('CS-3', () => {
  const spec = trn2({ decode: { hardware: 'cs-3', instances: 1 } });

  test('four wafers for 70B, low confidence with the reason, no invented price', () => {
    const estimate = estimateOf(spec);
    expect(estimate.spec.decode.wafersPerReplica).toBe(4);
    expect(estimate.confidence).toMatchObject({ level: 'low', reason: expect.stringContaining('concurrency, KV ingest and hand-over time of CS-3 are not published') });
    expect(estimate.usdPerHour).toBeUndefined();
    expect(1 / estimate.tpotSeconds.p50.value).toBeGreaterThan(1000);
    expect(1 / estimate.tpotSeconds.p50.value).toBeLessThan(2500);
  });

  test('the speed of a stream can be given', () => {
    const given = estimateOf({ ...spec, decode: { ...spec.decode, outputTokensPerSecondPerUser: 2000 } });
    expect(given.tpotSeconds.p50.value).toBeCloseTo(1 / 2000, 9);
  });

  test('what the vendor claims is beside what is estimated, with its source, and changes nothing', () => {
    const { vendorClaims, tpotSeconds } = estimateOf(spec);
    const [stream, sequences, ingest, capacity] = vendorClaims;
    expect(stream).toMatchObject({ claimed: 2100, source: expect.stringContaining('inference-docs.cerebras.ai'), input: 'decode.outputTokensPerSecondPerUser' });
    expect(stream.estimated!.value).toBeCloseTo(1 / tpotSeconds.p50.value, 6);
    expect(stream.estimated!.low).toBeLessThan(stream.estimated!.value);
    expect(sequences.claimed).toBeUndefined();
    expect(ingest).toMatchObject({ source: expect.stringContaining('1.2 Tb/s'), estimated: { value: 127.5, high: 150 } });
    expect(ingest.claimed).toBeUndefined();
    expect(capacity).toMatchObject({ claimed: 5, source: expect.stringContaining('2026-03-13') });
    expect(capacity.estimated).toBeUndefined();
    // what is claimed gives way to what is given
    const given = estimateOf({
      ...spec,
      decode: { ...spec.decode, outputTokensPerSecondPerUser: 2000, maxConcurrentSequences: 8 },
      calibration: { decode: { waferIngestUtilisation: 0.4 } },
    }).vendorClaims;
    expect(given.map(({ estimated }) => estimated?.value)).toEqual([expect.closeTo(2000, 6), 8, expect.closeTo(60, 6), undefined]);
    expect(estimateOf({ ...spec, model: { id: 'llama-2-7b' } }).vendorClaims[0].claimed).toBeUndefined();
    expect(estimateOf(trn2({})).vendorClaims).toEqual([]);
  });

  test('too few wafers for the weights, or for the caches', () => {
    expect(Estimator.estimate({ ...spec, decode: { ...spec.decode, wafersPerReplica: 3 } }).refusal).toMatchObject({ kind: 'infeasible', stage: 'decode' });
    expect(Estimator.estimate({ ...spec, workload: steady(1, 100_000, 1000), decode: { ...spec.decode, wafersPerReplica: 4 } }).refusal)
      .toMatchObject({ kind: 'infeasible', reason: expect.stringContaining('bytes') });
  });

  test('reading prompts on it has no basis', () => {
    expect(Estimator.estimate({ ...spec, prefill: undefined }).refusal).toMatchObject({ kind: 'unknown' });
  });
});

test('ranges are ordered in every example above', () => {
  for (const range of rangesOf(estimateOf(trn2({ decode: { hardware: 'cs-3', instances: 2 } })))) {
    expect(range.low).toBeLessThanOrEqual(range.value);
    expect(range.high).toBeGreaterThanOrEqual(range.value);
  }
});

test('a verdict knows the interval', () => {
  const { p95 } = estimateOf(trn2()).ttftSeconds;
  const verdictAt = (ttftSeconds: number) => estimateOf(trn2({ objective: { ttftSeconds } })).objectives[0].verdict;
  expect(verdictAt(p95.high * 1.001)).toBe('held');
  expect(verdictAt((p95.value + p95.high) / 2)).toBe('likely held');
  expect(verdictAt((p95.low + p95.value) / 2)).toBe('likely missed');
  expect(verdictAt(p95.low * 0.999)).toBe('missed');
});

test('an estimate says which prompts a router would not hand on', () => {
  // a slow link: no prompt of these is worth it
  const slow = trn2({ workload: steady(0.05, 300, 200), link: { bytesPerSecond: 1e8 } });
  const { minPromptTokens } = routingRates(slow)!;
  expect(minPromptTokens).toBeGreaterThan(300);
  expect(estimateOf(slow).confidence.reason).toContain(`a router lets decode engines read prompts below ${minPromptTokens} tokens, 100 % of them`);
  expect(estimateOf(trn2()).confidence.reason).not.toContain('a router lets');
});
