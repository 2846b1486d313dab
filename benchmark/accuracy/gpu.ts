import { GPU_START } from './gpu-start';
import { GroupScore, scoreDevice } from './group-score';
import { MeasuredConfiguration } from '../../src/estimator/calibration/measurements';
import { gpuServing } from '../../test/estimator/gpu-serving';

/** Accuracy over closed loops of GPU servers, by device, engine and kind of model. */
export function gpuScores(): GroupScore[] {
  const devices = new Map<string, Map<string, MeasuredConfiguration[]>>();
  for (const { accelerator, engine, configuration } of gpuServing()) {
    const groups = devices.get(accelerator) ?? new Map<string, MeasuredConfiguration[]>();
    const group = `${accelerator.toUpperCase()} ${engine}, ${configuration.measured.model.experts > 0 ? 'MoE' : 'dense'}`;
    groups.set(group, [...groups.get(group) ?? [], configuration]);
    devices.set(accelerator, groups);
  }
  return [...devices.values()].flatMap((groups) => scoreDevice(GPU_START, groups));
}
