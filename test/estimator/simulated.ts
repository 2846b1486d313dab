import { steady, trn2 } from './specs';
import { DeploymentSpec, FailedRequest, SimulatedRequest, Simulation, SimulationObserver, SimulationOptions, Simulator } from '../../src/estimator';
import { Service } from '../../src/estimator/service';

export class Seen extends SimulationObserver {
  public readonly requests: SimulatedRequest[] = [];

  public readonly failed: FailedRequest[] = [];

  public onRequest(request: SimulatedRequest): void {
    this.requests.push(request);
  }

  public onFailure(request: FailedRequest): void {
    this.failed.push(request);
  }
}

export function simulated(spec: DeploymentSpec, options: SimulationOptions = {}): Simulation {
  const { simulation, refusal } = Simulator.simulate(spec, options);
  if (simulation === undefined) {
    throw new Error(`refused: ${JSON.stringify(refusal)}`);
  }
  return simulation;
}

export function solved(spec: DeploymentSpec): Service {
  const service = new Service(spec);
  service.solve(spec.prefill?.instances ?? 0, spec.decode.instances!);
  return service;
}

/** The spec at a share of what its fleet can take. */
export function loaded(spec: DeploymentSpec, share: number): DeploymentSpec {
  const service = solved(spec);
  return { ...spec, workload: { ...spec.workload, requestsPerSecond: share * service.rate / service.fullest } };
}

export const single = { hardware: 'trn2.48xlarge', tensorParallelDegree: 64, enginesPerInstance: 1, instances: 1 };
export const apart: DeploymentSpec = trn2({ workload: steady(1, 1000, 200), prefill: single, decode: single });
export const aggregated: DeploymentSpec = trn2({ workload: steady(1, 1000, 200), prefill: undefined, decode: single });
export const mixed: DeploymentSpec = trn2({
  workload: {
    source: 'mixed',
    requestsPerSecond: 1,
    lengthClasses: [
      { weight: 0.5, inputTokens: 300, outputTokens: 50 },
      { weight: 0.3, inputTokens: 1500, outputTokens: 300, cachedInputTokens: 1000 },
      { weight: 0.2, inputTokens: 6000, outputTokens: 1 },
    ],
  },
  prefill: { ...single, instances: 2 },
  decode: { ...single, instances: 3 },
});
