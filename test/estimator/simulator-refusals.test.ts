import { aggregated, apart, loaded, simulated } from './simulated';
import { trn2 } from './specs';
import { DeploymentSpec, SimulationOptions, Simulator } from '../../src/estimator';
import { Service } from '../../src/estimator/service';
import { ProblemsError } from '../../src/problems';
import { RequestTrace } from '../../src/workload';

describe('what cannot be simulated', () => {
  test('an unstable fleet is short by a number of engines', () => {
    const { simulation, refusal } = Simulator.simulate(loaded(apart, 2.5));
    expect(simulation).toBeUndefined();
    expect(refusal).toMatchObject({ kind: 'unstable', shortfalls: [{ instances: 2 }, { instances: 2 }], reason: expect.stringMatching(/: short by 2 prefill and 2 decode instances$/) });
  });

  test('a recorded overload is simulated, and said to be one', () => {
    const rate = loaded(apart, 3).workload.requestsPerSecond;
    const rows = Array.from({ length: 3000 }, (_, i) => `${i / rate},1000,200`);
    const trace = RequestTrace.fromText(['arrivalSeconds,inputTokens,outputTokens', ...rows].join('\n'), 'overload.csv');
    expect(simulated(apart, { trace })).toMatchObject({ load: 'trace', requests: 3000, backlogGrows: true });
    expect(simulated(apart, { trace, requests: 10 })).toMatchObject({ requests: 10, backlogGrows: false });
  });

  test('a fleet that is down answers nothing, which is no simulation', () => {
    expect(Simulator.simulate(aggregated, { requests: 5, failures: [{ pool: 'decode', instance: 0, atSeconds: 0 }] }).refusal)
      .toMatchObject({ kind: 'infeasible', reason: expect.stringMatching(/instances fail/) });
  });

  test('a trace whose prompts the memory of the prefill engines does not hold is refused', () => {
    // 40 GB are left beside the weights, and the second prompt takes 43
    const small = trn2({ prefill: { hardware: 'trn2.48xlarge', instances: 1, tensorParallelDegree: 8 } });
    const trace = RequestTrace.fromText('arrivalSeconds,inputTokens,outputTokens\n0,10,10\n1,130000,10', 'long.csv');
    expect(Simulator.simulate(trn2(), { trace }).simulation).toBeDefined();
    expect(Simulator.simulate(small, { trace }).refusal).toMatchObject({ kind: 'infeasible', reason: expect.stringMatching(/^1 of 2 requests .*: long\.csv:3 has 130000 \+ 10 tokens$/) });
  });

  test('a fleet of more engines than memory holds is refused, with the most of them', () => {
    const huge = (pools: Partial<DeploymentSpec>) => Simulator.simulate({ ...apart, ...pools }, { requests: 10 }).refusal;
    const { enginesPerInstance } = new Service(apart).resolved.plant.decode;
    const most = Math.floor(100_000 / enginesPerInstance);
    expect(huge({ decode: { ...apart.decode, instances: most } })).toBeUndefined();
    expect(huge({ decode: { ...apart.decode, instances: most + 1 } })).toMatchObject({
      kind: 'infeasible', reason: `decode.instances ${most + 1} is more than the ${most} of such a pool that can be simulated`,
    });
    expect(huge({ prefill: { ...apart.prefill!, instances: 1e6 } })!.reason).toMatch(/^prefill\.instances 1000000 is more than /);
  });

  test('a recorded prompt that no engine takes is refused', () => {
    const trace = RequestTrace.fromText('arrivalSeconds,inputTokens,outputTokens\n0,10,10\n1,1000000,10', 'long.csv');
    expect(Simulator.simulate(apart, { trace }).refusal).toMatchObject({ kind: 'infeasible', reason: expect.stringMatching(/^1 of 2 requests .*: long\.csv:3 has 1000000 \+ 10 tokens$/) });
  });

  test.each<[unknown, string[]]>([
    [null, ['options']],
    ['x', ['options']],
    [{ trace: [], routing: null, failures: 'x', observer: {} }, ['trace', 'routing', 'failures', 'observer']],
    [{ failures: [null, 3] }, ['failures[0]', 'failures[1]']],
  ])('options of other types are refused by name: %j', (options, paths) => {
    expect.assertions(1);
    try {
      Simulator.simulate(apart, options as SimulationOptions);
    } catch (error) {
      expect((error as ProblemsError).problems.map(({ path }) => path)).toEqual(paths);
    }
  });

  test('wrong options are refused all at once', () => {
    const trace = RequestTrace.fromText('arrivalSeconds,inputTokens,outputTokens\n0,10,10\n1,10,10', 'two.csv');
    let thrown: unknown;
    try {
      Simulator.simulate(apart, { seed: -1, requests: NaN, concurrency: 0.5, trace, routing: { minPromptTokens: NaN } });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ProblemsError);
    expect((thrown as ProblemsError).problems.map(({ path }) => path)).toEqual(['routing.minPromptTokens', 'seed', 'requests', 'concurrency', 'concurrency']);
  });

  test('a router has nothing to decide where there is one path', () => {
    for (const spec of [aggregated, { ...apart, decode: { hardware: 'cs-3', instances: 1 } }]) {
      expect(() => Simulator.simulate(spec, { routing: {} })).toThrow(/there is one path only/);
    }
  });

  test('wrong failures are refused all at once', () => {
    let thrown: unknown;
    try {
      Simulator.simulate(aggregated, {
        failures: [{ pool: 'prefill', instance: 0, atSeconds: NaN }, { pool: 'decode', instance: 1, atSeconds: 5, untilSeconds: 5 }],
      });
    } catch (error) {
      thrown = error;
    }
    expect((thrown as ProblemsError).problems.map(({ path }) => path))
      .toEqual(['failures[0].pool', 'failures[0].atSeconds', 'failures[1].instance', 'failures[1].untilSeconds']);
  });
});
