import { nearestNames } from '../nearest';
import { ProblemsError } from '../problems';

/**
 * The number formats that weights and KV caches are stored in.
 *
 * Block formats count their scales: `mxfp4` has one 8-bit scale for 32 elements (4.25 bits an element), `mxfp8` likewise (8.25 bits),
 * `nvfp4` one for 16 (4.5 bits); see the OCP Microscaling Formats specification 1.0 and NVIDIA's NVFP4. Scales of `fp8`, `int8` and `int4`
 * depend on the checkpoint and are not counted.
 */
export class Precision {
  /** bfloat16, 2 bytes. */
  public static readonly BF16 = 'bf16';

  /** IEEE half precision, 2 bytes. */
  public static readonly FP16 = 'fp16';

  /** 8-bit floating point, 1 byte. */
  public static readonly FP8 = 'fp8';

  /** 8-bit integer, 1 byte. */
  public static readonly INT8 = 'int8';

  /** 8-bit floating point with a scale for 32 elements, 8.25 bits. */
  public static readonly MXFP8 = 'mxfp8';

  /** 4-bit floating point with a scale for 32 elements, 4.25 bits. */
  public static readonly MXFP4 = 'mxfp4';

  /** 4-bit floating point with a scale for 16 elements, 4.5 bits. */
  public static readonly NVFP4 = 'nvfp4';

  /** 4-bit integer, half a byte. */
  public static readonly INT4 = 'int4';

  /**
   * Bytes of one element.
   *
   * Throws a `ProblemsError` (`PrecisionUnknown`) if there is no such format.
   *
   * @param precision a format such as `bf16`.
   */
  public static bytesPerElement(precision: string): number {
    const bits = BITS.get(precision);
    if (bits === undefined) {
      const nearest = nearestNames(String(precision), [...BITS.keys()]);
      throw new ProblemsError([{
        rule: 'PrecisionUnknown',
        path: 'precision',
        value: JSON.stringify(precision),
        message: 'there is no number format of this name',
        mend: `use one of ${(nearest.length > 0 ? nearest : [...BITS.keys()]).join(', ')}`,
      }]);
    }
    return bits / 8;
  }

  /** Every format. */
  public static all(): string[] {
    return [...BITS.keys()];
  }

  private constructor() {}
}

const BITS = new Map<string, number>([
  [Precision.BF16, 16],
  [Precision.FP16, 16],
  [Precision.FP8, 8],
  [Precision.INT8, 8],
  [Precision.MXFP8, 8.25],
  [Precision.MXFP4, 4.25],
  [Precision.NVFP4, 4.5],
  [Precision.INT4, 4],
]);
