import { nearestNames } from '../nearest';
import { AcceleratedInstanceType } from './accelerated-instance-type';
import { GpuInstanceType } from './gpu-instance-type';
import { NeuronInstanceType } from './neuron-instance-type';
import { UltraServer } from './ultra-server';
import { WaferScaleSystem } from './wafer-scale-system';

/**
 * Everything that can serve a pool, by the name that a deployment spec gives it.
 */
export class Hardware {
  /**
   * The EC2 instance type of that name; undefined if there is none.
   *
   * @param name a name such as `trn2.48xlarge`.
   */
  public static accelerated(name: string): AcceleratedInstanceType | undefined {
    return ACCELERATED.get(name);
  }

  /**
   * The UltraServer of that name; undefined if there is none.
   *
   * @param name a name such as `u-trn2x64`.
   */
  public static ultraServer(name: string): UltraServer | undefined {
    return ULTRA_SERVERS.get(name);
  }

  /**
   * The wafer-scale system of that name; undefined if there is none.
   *
   * @param name a name such as `cs-3`.
   */
  public static wafer(name: string): WaferScaleSystem | undefined {
    return WAFERS.get(name);
  }

  /** Every name: instance types, then UltraServers, then wafer-scale systems. */
  public static names(): string[] {
    return [...NAMES];
  }

  /**
   * The names that are closest to a mistyped one, by edit distance; at most three, none if nothing is close.
   *
   * @param name what was given.
   */
  public static nearest(name: string): string[] {
    return nearestNames(name, NAMES);
  }

  private constructor() {}
}

const ACCELERATED = new Map<string, AcceleratedInstanceType>(
  [...NeuronInstanceType.all(), ...GpuInstanceType.all()].map((type) => [type.name, type]),
);

const ULTRA_SERVERS = new Map(UltraServer.all().map((server) => [server.name, server]));

const WAFERS = new Map(WaferScaleSystem.all().map((system) => [system.name, system]));

const NAMES = [...ACCELERATED.keys(), ...ULTRA_SERVERS.keys(), ...WAFERS.keys()];
