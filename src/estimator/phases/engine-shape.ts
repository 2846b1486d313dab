import { EngineShape, ModelShape } from './shapes';
import { Accelerator } from '../../hardware';

/** Columns of the array that a NeuronCore multiplies with (Neuron SDK, NeuronCore architecture: 128 x 128 processing elements). */
const ARRAY_COLUMNS = 128;

/**
 * One engine that splits every layer over `ranks` ranks; undefined where a peak or the links between its chips are not published.
 *
 * @param lowPrecision whether weights are in a format that the chips multiply faster than 16 bit.
 * @param stages stages that the layers are split over.
 * @param expertSharers engines that the routed experts are spread over.
 */
export function engineShape(
  chip: Accelerator, ranks: number, model: ModelShape, lowPrecision: boolean, stages = 1, expertSharers = 1,
): EngineShape | undefined {
  const chips = ranks / (chip.logicalNeuronCores ?? 1);
  const isNeuron = chip.logicalNeuronCores !== undefined;
  const linkBytesPerSecond = chip.linkBytesPerSecond ?? (chips * stages * expertSharers > 1 ? undefined : 0);
  if (chip.bf16FlopsPerSecond === undefined || linkBytesPerSecond === undefined) {
    return undefined;
  }
  return {
    flopsPerSecond: chip.bf16FlopsPerSecond * chips,
    memoryBytesPerSecond: chip.hbmBytesPerSecond * chips,
    memoryBytes: chip.hbmBytes * chips,
    ranks,
    // a part of a chip is a chip that has no others.
    chips: Math.max(1, chips),
    stages,
    expertSharers,
    linkBytesPerSecond,
    // every rank holds whole heads: copies where there are fewer than ranks, padding where they do not divide.
    kvCopies: Math.ceil(model.kvShards / ranks) * ranks / model.kvShards,
    serialKvHeads: isNeuron ? Math.ceil(model.kvShards / ranks) : 1,
    contextLayerTokens: 0,
    expertPasses: !isNeuron ? 0 : model.experts * paddingOf(model.expertColumns / ranks),
    lowPrecision,
  };
}

function paddingOf(columns: number): number {
  return columns === 0 ? 1 : Math.ceil(columns / ARRAY_COLUMNS) * ARRAY_COLUMNS / columns;
}
