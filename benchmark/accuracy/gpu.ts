import { GPU_START } from './gpu-start';
import { GroupScore, scoreGroup } from './group-score';
import { MeasuredConfiguration } from '../../src/estimator/calibration/measurements';
import { gpuServing } from '../../test/estimator/gpu-serving';

/** Accuracy over closed loops of GPU servers, by device, engine and kind of model. */
export function gpuScores(): GroupScore[] {
  const groups = new Map<string, MeasuredConfiguration[]>();
  for (const { accelerator, engine, configuration } of gpuServing()) {
    const group = `${accelerator.toUpperCase()} ${engine}, ${configuration.measured.model.experts > 0 ? 'MoE' : 'dense'}`;
    groups.set(group, [...groups.get(group) ?? [], configuration]);
  }
  return [...groups].map(([group, of]) => scoreGroup(group, GPU_START, of));
}
