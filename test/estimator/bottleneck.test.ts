import { estimateOf, steady, trn2 } from './specs';
import { WildSpecs } from './wild-specs';
import { DeploymentSpec } from '../../src/estimator';
import { bottleneckOf, partsOfRequest } from '../../src/estimator/bottleneck';
import { fill } from '../../src/estimator/calibration/calibration';
import { Coefficients } from '../../src/estimator/phases/coefficients';
import { StepParts, mixedStepSeconds } from '../../src/estimator/phases/mixed';
import { promptPool } from '../../src/estimator/plant';
import { Refused } from '../../src/estimator/refused';
import { Service } from '../../src/estimator/service';
import { ProblemsError } from '../../src/problems';

const NAMES: [keyof StepParts, string][] = [
  ['computeSeconds', 'compute'], ['memorySeconds', 'memory-bandwidth'], ['layerSeconds', 'layer-latency'], ['exchangeSeconds', 'interconnect'],
  ['hostSeconds', 'host'],
];

/** Services of random fleets that are stable with the counts of the spec. */
function stableServices(count: number): Service[] {
  const specs = new WildSpecs(11);
  const found: Service[] = [];
  while (found.length < count) {
    const spec = specs.next();
    const [prefill, decode] = [spec.prefill?.instances ?? 0, spec.decode?.instances];
    if (decode === undefined || (spec.prefill !== undefined && prefill === 0)) {
      continue;
    }
    try {
      const service = new Service(spec);
      service.solve(prefill, decode);
      if (service.form.stable) {
        found.push(service);
      }
    } catch (error) {
      if (!(error instanceof ProblemsError || error instanceof Refused)) {
        throw error;
      }
    }
  }
  return found;
}

test('of random fleets the parts make the time, and the largest is the bottleneck', () => {
  const named = new Map<string, number>();
  for (const service of stableServices(200)) {
    const { form, resolved: { plant } } = service;
    const batch = Math.min(form.fullBatch, 1 + form.batch);
    const k = fill(new Coefficients(), (service.resolved.prefill ?? service.resolved.decode).set);
    const { engine } = promptPool(plant);
    const prompt = form.reading.steps.reduce((sum, steps, i) => (
      sum + plant.classes.weights[i] * steps.reduce((seconds, step) => seconds + mixedStepSeconds(plant.model, engine, k, step), 0)), 0);
    const tokens = form.stepSeconds(batch) * form.requests.decodedTokens / batch;
    for (const { name } of service.stages()) {
      const bottleneck = bottleneckOf(service, name);
      const inEngine = name !== 'kv-transfer' && (name === 'prefill' || plant.decode.wafers === undefined);
      if (inEngine) {
        const parts = partsOfRequest(service, name);
        const sum = NAMES.reduce((total, [part]) => total + parts[part], 0);
        expect(sum / ({ prefill: prompt, decode: tokens, aggregated: prompt + tokens }[name]!)).toBeCloseTo(1, 9);
        const largest = NAMES.reduce((most, one) => (parts[one[0]] > parts[most[0]] ? one : most))[1];
        expect([largest, 'kv-capacity']).toContain(bottleneck);
        named.set(bottleneck, (named.get(bottleneck) ?? 0) + 1);
      }
    }
  }
  expect(named.size).toBeGreaterThan(2);
});

describe('what is made slow is the bottleneck', () => {
  const slow = (calibration: Record<string, number>, workload: DeploymentSpec['workload']) => estimateOf(trn2({
    workload, calibration: { prefill: calibration, decode: calibration },
  })).stages.filter(({ name }) => name !== 'kv-transfer').map(({ bottleneck }) => bottleneck);

  test.each([
    ['engineStepSeconds', 1, 'host'],
    ['collectiveHopSeconds', 0.1, 'interconnect'],
    ['weightBandwidthUtilisation', 1e-4, 'memory-bandwidth'],
    ['denseUtilisation', 1e-6, 'compute'],
  ])('%s of %d: %s', (name, value, bottleneck) => {
    expect(slow({ [name]: value }, steady(1e-6, 1000, 200))).toEqual([bottleneck, bottleneck]);
  });

  test('the way to experts that engines share, and from stage to stage', () => {
    const links = (decode: object) => estimateOf(trn2({
      model: { id: 'gpt-oss-120b' },
      workload: steady(1e-6, 1000, 200),
      prefill: undefined,
      decode: { hardware: 'p5.48xlarge', instances: 1, tensorParallelDegree: 1, ...decode },
      calibration: { decode: { collectiveHopSeconds: 0.1 } },
    })).stages.map(({ bottleneck }) => bottleneck);
    expect(links({ dataParallelDegree: 8 })).toEqual(['interconnect']);
    expect(links({ pipelineParallelDegree: 8 })).toEqual(['interconnect']);
  });

  test('layers, each phase by its own launches', () => {
    expect(slow({ prefillLayerSeconds: 1, decodeLayerSeconds: 1 }, steady(1e-6, 1000, 200))).toEqual(['layer-latency', 'layer-latency']);
  });

  test('the hops of every segment of a prompt are counted', () => {
    const bottlenecks = (promptBuckets: number[]) => estimateOf(trn2({
      workload: steady(1e-6, 16_384, 10),
      prefill: { hardware: 'trn2.48xlarge', instances: 1, promptBuckets },
      calibration: { prefill: { collectiveHopSeconds: 1e-4, prefillLayerSeconds: 1e-6 } },
    })).stages[0].bottleneck;
    expect([bottlenecks([16_384]), bottlenecks([128])]).toEqual(['compute', 'interconnect']);
  });
});
