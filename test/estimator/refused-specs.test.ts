import { estimateOf, steady, trn2 } from './specs';
import { DeploymentSpec, Estimator, FleetPlanner } from '../../src/estimator';
import { ProblemsError } from '../../src/problems';

const problemsOf = (spec: unknown): string[] => {
  try {
    Estimator.estimate(spec as DeploymentSpec);
  } catch (error) {
    if (error instanceof ProblemsError) {
      return error.problems.map((problem) => `${problem.path} ${problem.rule}`);
    }
    throw error;
  }
  return [];
};

describe('refusals', () => {
  test('more load than capacity: how many instances are short', () => {
    const spec = trn2({ workload: steady(40, 1000, 400) });
    const { refusal } = Estimator.estimate(spec);
    expect(refusal).toMatchObject({ kind: 'unstable', stage: 'decode' });
    const decode = (instances: number) => Estimator.estimate({
      ...spec, prefill: { hardware: 'trn2.48xlarge', instances: 64 }, decode: { hardware: 'trn2.48xlarge', instances },
    });
    const { instances } = refusal!.shortfalls!.find(({ stage }) => stage === 'decode')!;
    expect(decode(1 + instances).estimate).toBeDefined();
    expect(decode(instances).refusal).toMatchObject({ kind: 'unstable', shortfalls: [{ stage: 'decode', instances: 1 }] });
  });

  // a fleet of the counts that are said to be missing is stable, and no smaller one is
  test.each<[string, number, Partial<DeploymentSpec>]>([
    ['apart', 40, {}],
    ['apart, thousands', 40_000, {}],
    ['apart, over a narrow link', 400, { link: { bytesPerSecond: 1e8 } }],
    ['apart, of unequal pools', 3000, { prefill: { hardware: 'p5en.48xlarge', instances: 3 } }],
    ['with wafers', 5000, { decode: { hardware: 'cs-3', instances: 2 } }],
    ['aggregated', 40_000, { prefill: undefined }],
    ['aggregated, in chunks', 40_000, { prefill: undefined, decode: { hardware: 'p5.48xlarge', instances: 2, maxBatchedTokens: 2048 } }],
    ['more than are planned', 1e6, { prefill: { hardware: 'trn2.48xlarge' }, decode: { hardware: 'trn2.48xlarge' }, objective: { tpotSeconds: 0.05 } }],
    ['more than are planned, aggregated', 1e6, { prefill: undefined, decode: { hardware: 'trn2.48xlarge' }, objective: { tpotSeconds: 0.05 } }],
  ])('of %s: short by so many instances of each pool', (_, rate, more) => {
    const spec = trn2({ workload: steady(rate, 1000, 400), ...more });
    const { refusal } = Estimator.estimate(spec);
    expect(refusal).toMatchObject({ kind: 'unstable' });
    const { shortfalls = [], reason } = refusal!;
    shortfalls.forEach(({ instances, stage }) => (
      expect(reason).toMatch(new RegExp(`short by .*\\b${instances} ${stage === 'aggregated' ? 'instances' : stage}\\b`))));
    const lacking = (stage: string, given: number | undefined) => (given ?? 1000) + (shortfalls.find((one) => one.stage === stage)?.instances ?? 0);
    const counts = {
      prefill: spec.prefill && lacking('prefill', spec.prefill.instances),
      decode: lacking(spec.prefill ? 'decode' : 'aggregated', spec.decode.instances),
    };
    const refused = ({ prefill, decode }: typeof counts) => Estimator.estimate({
      ...spec,
      objective: undefined,
      prefill: spec.prefill && { ...spec.prefill, instances: prefill },
      decode: { ...spec.decode, instances: decode },
    }).refusal;
    expect(refused(counts)).toBeUndefined();
    for (const { stage } of shortfalls) {
      const pool = stage === 'prefill' ? 'prefill' : 'decode';
      expect(refused({ ...counts, [pool]: counts[pool]! - 1 })).toMatchObject({ kind: 'unstable', shortfalls: [{ stage, instances: 1 }] });
    }
  });

  test.each<[string, Partial<DeploymentSpec>, object]>([
    ['a model that does not fit', { model: { id: 'llama-3.1-405b' }, decode: { hardware: 'p5.48xlarge', instances: 1 } }, { kind: 'infeasible', stage: 'decode', reason: expect.stringContaining('bytes') }],
    ['hardware that nobody measured', { prefill: undefined, decode: { hardware: 'p4d.24xlarge', instances: 1 } }, { kind: 'unknown' }],
    ['Inferentia2', { decode: { hardware: 'inf2.48xlarge', instances: 1 } }, { kind: 'unknown', reason: expect.stringContaining('inferentia2') }],
    ['a chip without a published peak, whatever was measured', { decode: { hardware: 'p6-b300.48xlarge', instances: 1 }, calibration: { coefficientSet: 'b200', decode: { decodeLayerSeconds: 1e-4 } } },
      { kind: 'unknown', stage: 'decode', reason: 'no figure is published for the peak FLOP/s of b300, the accelerator of p6-b300.48xlarge, that sources agree on' }],
    ['CS-4', { decode: { hardware: 'cs-4', instances: 1 } }, { kind: 'unknown', reason: expect.stringContaining('cs-4') }],
    ['no EFA', { model: { id: 'llama-3.1-8b' }, prefill: { hardware: 'trn1.2xlarge', instances: 1 } }, { kind: 'infeasible', stage: 'kv-transfer', reason: expect.stringContaining('no EFA') }],
    ['EFA through the host', { model: { id: 'llama-3.1-8b' }, prefill: { hardware: 'trn2.3xlarge', instances: 1 } }, { kind: 'infeasible', stage: 'kv-transfer' }],
    ['a prompt beyond the engines that read it', { prefill: { hardware: 'trn2.48xlarge', instances: 1, maxSequenceTokens: 1000 } }, { kind: 'infeasible', stage: 'prefill', reason: 'the longest requests have 1001 tokens and the engines take 1000' }],
    ['prompt and output beyond the engines that write it', { decode: { hardware: 'trn2.48xlarge', instances: 1, maxSequenceTokens: 1199 } }, { kind: 'infeasible', stage: 'decode', reason: 'the longest requests have 1200 tokens and the engines take 1199' }],
    ['a load of many times the capacity', { workload: steady(1e5, 1000, 400) }, { kind: 'unstable', reason: expect.stringMatching(/^decode needs \d+ times its capacity: short by \d+ prefill and \d+ decode instances$/) }],
    ['a context beyond the model', { workload: steady(1, 131_000, 1000) }, { kind: 'infeasible' }],
    ['a link too narrow', { link: { bytesPerSecond: 1e8 } }, { kind: 'unstable', stage: 'kv-transfer' }],
    ['an objective that no fleet holds', { objective: { tpotSeconds: 0.001 }, decode: { hardware: 'trn2.48xlarge' } }, { kind: 'infeasible', reason: expect.stringContaining('TPOT p95') }],
  ])('%s', (_, overrides, refusal) => {
    const outcome = Estimator.estimate(trn2(overrides));
    expect(outcome.estimate).toBeUndefined();
    expect(outcome.refusal).toMatchObject(refusal);
    expect(outcome.refusal!.mend.length).toBeGreaterThan(0);
  });
});

describe('wrong specs', () => {
  test('every problem at once, with its JSON path', () => {
    expect(problemsOf({
      schema: 'v0',
      model: { id: 'lama-3.3-70b' },
      precision: { weights: 'bf8' },
      workload: { source: 'x', requestsPerSecond: NaN, lengthClasses: [{ weight: 1, inputTokens: -1, outputTokens: 10 }] },
      objective: { ttftSeconds: 0 },
      prefill: { hardware: 'trn2.48xlrge', instances: 0, promptBuckets: [512, 256], maxSequenceTokens: 0, purchaseOption: 'lease' },
      link: { bytesPerSecond: -1, overlap: 'sometimes' },
      decode: { hardware: 'trn2.48xlarge', instances: 1.5, tensorParallelDegree: 128, wafersPerReplica: 4, usdPerInstanceHour: Infinity },
      calibration: { coefficientSet: 'trainium9', decode: { decodeLayerSecond: 1, weightBandwidthUtilisation: 2 } },
    })).toEqual([
      'schema SpecSchemaUnknown', 'model.id ModelUnknown', 'precision.weights PrecisionUnknown',
      'workload.requestsPerSecond WorkloadRateNotPositive', 'workload.lengthClasses[0].inputTokens WorkloadLengthOutOfRange',
      'objective.ttftSeconds ObjectiveNotPositive', 'prefill.hardware HardwareUnknown', 'prefill.instances CountNotPositive',
      'prefill.maxSequenceTokens CountNotPositive', 'prefill.purchaseOption PurchaseOptionUnknown',
      'prefill.promptBuckets PromptBucketsNotAscending', 'link.bytesPerSecond NumberNotPositive', 'link.overlap LinkOverlapUnknown',
      'decode.instances CountNotPositive', 'decode.usdPerInstanceHour NumberNotPositive', 'decode.tensorParallelDegree TensorParallelDegreeTooHigh',
      'decode.wafersPerReplica WaferOptionWithoutWafer', 'calibration.coefficientSet CoefficientSetUnknown',
      'calibration.decode.decodeLayerSecond CalibrationCoefficientUnknown', 'calibration.decode.weightBandwidthUtilisation CalibrationCoefficientOutOfRange',
    ]);
  });

  test('sequences longer than the model\'s context', () => {
    expect(problemsOf(trn2({ decode: { hardware: 'trn2.48xlarge', instances: 1, maxSequenceTokens: 200_000 } })))
      .toEqual(['decode.maxSequenceTokens MaxSequenceBeyondContext']);
  });

  test('steps that read and write are for aggregated engines without compiled prompt lengths', () => {
    const p5 = { hardware: 'p5.48xlarge', instances: 1, maxBatchedTokens: 2048 };
    expect(problemsOf(trn2({ decode: p5 }))).toEqual(['decode.maxBatchedTokens ChunkedPrefillElsewhere']);
    expect(problemsOf(trn2({ prefill: undefined, decode: { ...p5, promptBuckets: [128] } }))).toEqual(['decode.maxBatchedTokens ChunkedPrefillElsewhere']);
    expect(problemsOf(trn2({ prefill: undefined, decode: { ...p5, maxBatchedTokens: 0.5 } }))).toEqual(['decode.maxBatchedTokens CountNotPositive']);
    expect(Estimator.estimate(trn2({ prefill: undefined, decode: { ...p5, hardware: 'trn2.48xlarge' } })).refusal).toMatchObject({ kind: 'unknown' });
    expect(Estimator.estimate(trn2({ prefill: undefined, decode: p5 })).estimate).toBeDefined();
  });

  test('drafts are for engines whose steps read no prompts and whose speed is not a published one', () => {
    const drafted = (decode: object) => problemsOf(trn2({ prefill: undefined, decode: { hardware: 'p5.48xlarge', instances: 1, ...decode } }));
    const speculation = { draftTokens: 3, acceptanceRate: 0.7 };
    expect(drafted({ speculation, maxBatchedTokens: 2048 })).toEqual(['decode.speculation SpeculationElsewhere']);
    expect(drafted({ speculation: { draftTokens: 0, acceptanceRate: 1.1, draftStepShare: NaN } })).toEqual([
      'decode.speculation.draftTokens SpeculationDraftOutOfRange', 'decode.speculation.acceptanceRate SpeculationShareOutOfRange',
      'decode.speculation.draftStepShare SpeculationShareOutOfRange',
    ]);
    expect(problemsOf(trn2({ decode: { hardware: 'cs-3', instances: 1, speculation } }))).toEqual(['decode.speculation SpeculationElsewhere']);
    expect(problemsOf(trn2({ link: { path: 'usb', blockTokens: 0.5 } }))).toEqual(['link.blockTokens CountNotPositive', 'link.path LinkPathUnknown']);
  });

  test('degrees have to fit the instance, and experts to be there to be shared', () => {
    const of = (id: string, degrees: object) => problemsOf(trn2({
      model: { id }, prefill: undefined, decode: { hardware: 'p5.48xlarge', instances: 1, tensorParallelDegree: 2, ...degrees },
    }));
    expect(of('deepseek-v3', { pipelineParallelDegree: 0, dataParallelDegree: 1.5 })).toEqual([
      'decode.pipelineParallelDegree CountNotPositive', 'decode.dataParallelDegree CountNotPositive',
    ]);
    expect(of('deepseek-v3', { pipelineParallelDegree: 2, dataParallelDegree: 4 })).toEqual(['decode.dataParallelDegree EnginesPerInstanceTooMany']);
    expect(of('deepseek-v3', { dataParallelDegree: 2, enginesPerInstance: 3 })).toEqual(['decode.enginesPerInstance EnginesShareUnevenly']);
    expect(of('qwen3-32b', { dataParallelDegree: 2 })).toEqual(['decode.dataParallelDegree DataParallelWithoutExperts']);
    expect(of('deepseek-v3', { dataParallelDegree: 4 })).toEqual([]);
  });

  test('an unknown name comes with the nearest ones', () => {
    expect(() => Estimator.estimate(trn2({ decode: { hardware: 'trn2.48xlrge', instances: 1 } }))).toThrow(/trn2\.48xlarge/);
  });

  test.each([[null, ['spec SpecNotAnObject']], [{}, ['schema SpecSchemaUnknown', 'model SpecPartMissing', 'workload SpecPartMissing', 'decode SpecPartMissing']]])(
    '%j is refused', (spec, problems) => {
      expect(problemsOf(spec)).toEqual(problems);
    },
  );

  test('a count to plan needs an objective', () => {
    expect(problemsOf(trn2({ decode: { hardware: 'trn2.48xlarge' } }))).toEqual(['decode.instances CountWithoutObjective']);
    expect(() => FleetPlanner.plan(trn2({ prefill: { hardware: 'trn2.48xlarge' } }))).toThrow(ProblemsError);
  });
});

describe('a calibration', () => {
  const decode = { decodeLayerSeconds: 1e-4 };
  const on = (hardware: string, calibration: DeploymentSpec['calibration'], rest: Partial<DeploymentSpec> = {}) => (
    problemsOf(trn2({ decode: { hardware, instances: 1, tensorParallelDegree: 8 }, prefill: undefined, calibration, ...rest })));

  test.each<[string, string, DeploymentSpec['calibration'], Partial<DeploymentSpec>, string[]]>([
    ['of another accelerator', 'trn2.48xlarge', { accelerator: 'h100', decode }, {}, ['calibration.accelerator CalibrationOfOtherHardware']],
    ['that starts from another accelerator\'s set', 'trn2.48xlarge', { coefficientSet: 'h100', decode }, {}, ['calibration.coefficientSet CalibrationOfOtherHardware']],
    ['of other weights', 'p5.48xlarge', { accelerator: 'h100', weights: 'bf16', decode }, { precision: { weights: 'fp8' } }, ['calibration.weights CalibrationOfOtherPrecision']],
    ['of another engine', 'p5.48xlarge', { engine: 'sglang', decode }, { engine: 'vLLM' }, ['calibration.engine CalibrationOfOtherEngine']],
    ['of the same engine', 'p5.48xlarge', { engine: 'vllm', decode }, { engine: 'vLLM' }, []],
    ['of an engine, where the spec names none', 'p5.48xlarge', { engine: 'sglang', decode }, {}, []],
    ['of the same', 'p5.48xlarge', { accelerator: 'h100', coefficientSet: 'h100', weights: 'bf16', decode }, {}, []],
    ['of what nobody else has measured, with a borrowed set', 'inf2.48xlarge', { accelerator: 'inferentia2', coefficientSet: 'trainium1', decode }, {}, []],
    ['of the prefill pool alone, beside wafers', 'cs-3', { accelerator: 'trainium2', coefficientSet: 'trainium2', prefill: { prefillLayerSeconds: 1e-4 } }, {
      prefill: { hardware: 'trn2.48xlarge', instances: 1 }, decode: { hardware: 'cs-3', instances: 1 },
    }, []],
  ])('%s', (_, hardware, calibration, rest, problems) => {
    expect(on(hardware, calibration, rest)).toEqual(problems);
  });

  test('of one pool leaves the other what it is', () => {
    const prefill = { hardware: 'trn1.32xlarge', instances: 1 };
    const spec = trn2({ prefill, link: { path: 'host-staged' } });
    const calibrated = estimateOf({ ...spec, calibration: { coefficientSet: 'trainium2', decode } });
    expect(calibrated.stages[0]).toEqual(estimateOf(spec).stages[0]);
  });
});

test('a link without a prefill pool is refused, as it would have no effect', () => {
  expect(problemsOf(trn2({ prefill: undefined, link: { bytesPerSecond: 1e9 } }))).toEqual(['link LinkWithoutPrefill']);
});
