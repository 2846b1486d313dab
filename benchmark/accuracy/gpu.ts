import { GPU_START } from './gpu-start';
import { GroupScore, MeasuredDeployment, scoreDevice } from './group-score';
import { gpuServing } from '../../test/estimator/gpu-serving';

/** Accuracy over closed loops of GPU servers, by device, engine and kind of model. */
export function gpuScores(): GroupScore[] {
  const devices = new Map<string, Map<string, MeasuredDeployment[]>>();
  for (const { accelerator, engine, deployment, configuration } of gpuServing()) {
    const groups = devices.get(accelerator) ?? new Map<string, MeasuredDeployment[]>();
    const group = `${accelerator.toUpperCase()} ${engine}, ${configuration.measured.model.experts > 0 ? 'MoE' : 'dense'}`;
    groups.set(group, [...groups.get(group) ?? [], { configuration, deployment }]);
    devices.set(accelerator, groups);
  }
  return [...devices.values()].flatMap((groups) => scoreDevice(GPU_START, groups));
}
