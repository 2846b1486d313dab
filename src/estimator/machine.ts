import { Hardware } from '../hardware';
import { AcceleratorSpec, PoolSpec } from './deployment-spec';
import { Chip } from './phases/engine-shape';

/** What one instance of a pool, or UltraServer, computes with. */
export interface Machine {
  readonly accelerator: Chip & { readonly name: string };
  readonly acceleratorCount: number;
  /** Ranks of tensor parallelism. */
  readonly ranks: number;
  /** Undefined where there is no EFA. */
  readonly efaBytesPerSecond?: number;
}

/** The machine that a pool names, or gives the figures of; undefined for wafers and unknown names. */
export function machineOf({ hardware, accelerator: own }: Pick<PoolSpec, 'hardware' | 'accelerator'>): Machine | undefined {
  if (own !== undefined) {
    // what is no object is told elsewhere
    const { count = 1, ...figures } = Object(own) as AcceleratorSpec;
    return { accelerator: { name: hardware, ...figures }, acceleratorCount: count, ranks: count };
  }
  const server = Hardware.ultraServer(hardware);
  const type = Hardware.accelerated(hardware);
  const known = server ?? type;
  return known && {
    accelerator: known.accelerator,
    acceleratorCount: known.acceleratorCount,
    ranks: known.acceleratorCount * (known.accelerator.logicalNeuronCores ?? 1),
    efaBytesPerSecond: server?.efaBytesPerSecond ?? type?.efa?.bytesPerSecond,
  };
}

/** The accelerator of a pool, or its wafer system; undefined for unknown names. */
export function chipOf(pool: Pick<PoolSpec, 'hardware' | 'accelerator'>): string | undefined {
  return machineOf(pool)?.accelerator.name ?? Hardware.wafer(pool.hardware)?.name;
}
