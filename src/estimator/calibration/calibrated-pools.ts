import { setNamed, setOf } from './calibration';
import { Hardware } from '../../hardware';
import { Precision } from '../../model';
import { Problem, shown } from '../../problems';
import { DeploymentSpec, PoolSpec } from '../deployment-spec';
import { chipOf } from '../machine';

const POOLS = ['prefill', 'decode'] as const;

/** Whether the calibration of a deployment is of this pool: it has coefficients for it, or for none, or there is no other pool. */
export function isCalibrated({ calibration, prefill }: DeploymentSpec, pool: 'prefill' | 'decode'): boolean {
  const { [pool]: own, prefill: ofPrompts, decode: ofTokens } = calibration ?? {};
  return calibration !== undefined && (own !== undefined || prefill === undefined || (ofPrompts === undefined && ofTokens === undefined));
}

/**
 * Why a calibration is not of the deployment that it is given for: what was measured of one accelerator or engine, or with weights of one format, says nothing
 * of another.
 */
export function foreignCalibrationProblems(spec: DeploymentSpec): Problem[] {
  const { calibration = {}, engine, precision } = spec;
  const { accelerator, coefficientSet, weights } = calibration;
  const asked = precision?.weights ?? Precision.BF16;
  return [
    ...POOLS.filter((pool) => isCalibrated(spec, pool)).flatMap((pool): Problem[] => {
      const own = Object(spec[pool]) as PoolSpec;
      const { hardware } = own;
      const chip = hardware === undefined ? undefined : chipOf(own);
      const measured = accelerator ?? coefficientSet;
      // unknown hardware is told elsewhere
      const isOfIt = chip === undefined
        || (accelerator === undefined || accelerator === chip) && mayStartFrom(coefficientSet, chip, calibration[pool] !== undefined);
      return isOfIt ? [] : [{
        rule: 'CalibrationOfOtherHardware',
        path: accelerator === undefined ? 'calibration.coefficientSet' : 'calibration.accelerator',
        value: JSON.stringify(measured),
        message: `the calibration is of ${measured}, and ${pool}.hardware is ${hardware}, which has ${chip}`,
        mend: `measure ${hardware} and calibrate again, or leave the calibration out`,
      }];
    }),
    ...weights === undefined || weights === asked ? [] : [{
      rule: 'CalibrationOfOtherPrecision',
      path: 'calibration.weights',
      value: JSON.stringify(weights),
      message: `the calibration is of engines with ${weights} weights, and the spec asks for ${asked}`,
      mend: 'measure engines of this format and calibrate again, or leave the calibration out',
    }],
    ...engine === undefined || calibration.engine === undefined || isSameEngine(calibration.engine, engine) ? [] : [{
      rule: 'CalibrationOfOtherEngine',
      path: 'calibration.engine',
      value: shown(calibration.engine),
      message: `the calibration is of ${calibration.engine}, and the pools run ${engine}`,
      mend: `measure ${engine} and calibrate again, or leave the calibration out`,
    }],
  ];
}

/** Whether two names of engines are of one. */
export function isSameEngine(one: string, other: string): boolean {
  return String(one).toLowerCase() === String(other).toLowerCase();
}

// only what nobody has measured borrows the set of another; that of wafers is not borrowed and borrows none
function mayStartFrom(coefficientSet: string | undefined, chip: string, hasCoefficients: boolean): boolean {
  const named = coefficientSet === undefined ? undefined : setNamed(coefficientSet);
  const own = setOf(chip);
  return named === undefined || own === undefined || own === named || (Hardware.wafer(chip) !== undefined && !hasCoefficients);
}
