import { EngineShape, ModelShape } from './shapes';
import { Accelerator } from '../../hardware';
import { Precision } from '../../model';

/** What of an accelerator its engines' times depend on. */
export type Chip = Pick<Accelerator,
'bf16FlopsPerSecond' | 'fp8FlopsPerSecond' | 'fp4FlopsPerSecond' | 'hbmBytes' | 'hbmBytesPerSecond' | 'linkBytesPerSecond' | 'logicalNeuronCores'>;

/** Formats that are multiplied as they are; whole numbers are of weights alone, which engines widen. */
const EIGHT_BIT: readonly string[] = [Precision.FP8, Precision.MXFP8];
const FOUR_BIT: readonly string[] = [Precision.MXFP4, Precision.NVFP4];

/** Columns of the array that a NeuronCore multiplies with (Neuron SDK, NeuronCore architecture: 128 x 128 processing elements). */
const ARRAY_COLUMNS = 128;

/**
 * One engine that splits every layer over `ranks` ranks; undefined where a peak or the links between its chips are not published.
 *
 * @param weights number format of the weights.
 * @param stages stages that the layers are split over.
 * @param expertSharers engines that the routed experts are spread over.
 */
export function engineShape(
  chip: Chip, ranks: number, model: ModelShape, weights: string, stages = 1, expertSharers = 1,
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
    peakDoublings: peakDoublings(chip, weights),
  };
}

function paddingOf(columns: number): number {
  return columns === 0 ? 1 : Math.ceil(columns / ARRAY_COLUMNS) * ARRAY_COLUMNS / columns;
}

/**
 * Doublings of the peak at 16 bit that a chip multiplies weights of this format at: 0 where it has no units for the format, as weights are widened to 16 bit then.
 */
function peakDoublings({ bf16FlopsPerSecond, fp8FlopsPerSecond, fp4FlopsPerSecond }: Chip, weights: string): number {
  const peak = EIGHT_BIT.includes(weights) ? fp8FlopsPerSecond : FOUR_BIT.includes(weights) ? fp4FlopsPerSecond : undefined;
  return peak === undefined || bf16FlopsPerSecond === undefined ? 0 : Math.log2(peak / bf16FlopsPerSecond);
}
