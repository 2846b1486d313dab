import * as data from './data/wafer-scale-systems.json';
import { Figure, requiredFigure, sourcesOf } from './figure';

interface WaferData {
  readonly wafersPerSystem: Figure;
  readonly sramPerWafer: Figure;
  readonly ioPerWafer: Figure;
  readonly ioLatency: Figure;
  readonly powerPerWafer: Figure;
}

/**
 * A Cerebras wafer-scale system.
 *
 * It can be estimated only: no instance type, price or interface of one on AWS is public.
 */
export class WaferScaleSystem {
  /** CS-3: one WSE-3 wafer. */
  public static readonly CS3 = new WaferScaleSystem('cs-3');

  /** CS-4: three wafers. */
  public static readonly CS4 = new WaferScaleSystem('cs-4');

  /** Every wafer-scale system. */
  public static all(): WaferScaleSystem[] {
    return Object.values(WaferScaleSystem).filter((value) => value instanceof WaferScaleSystem);
  }

  /** Name, such as `cs-3`. */
  public readonly name: string;

  /** Wafers in one system. */
  public readonly wafersPerSystem: number;

  /** On-wafer memory for weights, KV cache and buffers, in bytes per wafer. */
  public readonly sramBytesPerWafer: number;

  /** External I/O of one wafer in one direction, in bytes per second: the most that a KV cache can enter at. */
  public readonly ioBytesPerSecondPerWafer: number;

  /** Latency of the external I/O, in seconds. */
  public readonly ioLatencySeconds: number;

  /** Peak power of one system, all of its wafers, in watts. */
  public readonly powerWatts: number;

  /** Where the figures come from. */
  public readonly source: string;

  private constructor(name: string) {
    const entry = (data as unknown as { readonly [name: string]: WaferData })[name];
    this.name = name;
    this.wafersPerSystem = requiredFigure(entry.wafersPerSystem);
    this.sramBytesPerWafer = requiredFigure(entry.sramPerWafer);
    this.ioBytesPerSecondPerWafer = requiredFigure(entry.ioPerWafer);
    this.ioLatencySeconds = requiredFigure(entry.ioLatency);
    this.powerWatts = requiredFigure(entry.powerPerWafer) * this.wafersPerSystem;
    this.source = sourcesOf([entry.wafersPerSystem, entry.sramPerWafer, entry.ioPerWafer, entry.ioLatency, entry.powerPerWafer]);
  }
}
