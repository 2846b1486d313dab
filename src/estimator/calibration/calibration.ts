import * as b200 from './b200.json';
import * as cs3 from './cs-3.json';
import * as h100 from './h100.json';
import * as h200 from './h200.json';
import * as trainium1 from './trainium1.json';
import * as trainium2 from './trainium2.json';
import * as trainium3 from './trainium3.json';
import * as unmeasured from './unmeasured.json';
import { nearestNames } from '../../nearest';
import { Problem } from '../../problems';
import { HeldOutSpec } from '../calibration-spec';
import { choleskyFactor } from '../cholesky';
import { COEFFICIENT_NAMES, CoefficientName, Coefficients } from '../phases/coefficients';
import { ModelShape } from '../phases/shapes';

/** A coefficient with its spread and where it comes from. */
export interface Coefficient {
  readonly value: number;
  /** Standard deviation of the logarithm: 0.2 for about 20 %. */
  readonly relativeSigma: number;
  readonly source: string;
  /** Whether the user measured it. */
  readonly isOwn?: boolean;
}

/** Correlations of the logarithms of coefficients, each pair once, by two names; 0 of those that are not there. */
export interface Correlations {
  readonly [name: string]: { readonly [other: string]: number };
}

/** The correlation of two coefficients, 1 of one with itself. */
export function correlationOf(correlations: Correlations, name: string, other: string): number {
  return name === other ? 1 : correlations[name]?.[other] ?? correlations[other]?.[name] ?? 0;
}

/** How far predictions were off on measurements that were left out of the fit, beyond what the spread of the coefficients explains. */
export interface PredictionSpread {
  /** Standard deviation of the logarithm. */
  readonly relativeSigma: number;
  /** Measurements that were left out, by configuration. */
  readonly sampleSize: number;
  readonly source: string;
  /** Whether the user says so. */
  readonly isOwn?: boolean;
}

/** The same by metric; absent where nothing could be left out. */
export interface PredictionSpreads {
  readonly ttft?: PredictionSpread;
  readonly tpot?: PredictionSpread;
}

/** What coefficients that the user measured were judged by. */
export interface OwnEvidence {
  /** Model that was measured; that of the spec if undefined. */
  readonly model?: string;
  readonly ttft?: HeldOutSpec;
  readonly tpot?: HeldOutSpec;
}

/** The coefficients of one accelerator. */
export interface CoefficientSet {
  readonly name: string;
  /** Those that it is of; none of the set that what nobody has measured starts from. */
  readonly accelerators: readonly string[];
  /** `high`, `medium` or `low`. */
  readonly confidence: string;
  readonly reason: string;
  readonly coefficients: { readonly [name: string]: Coefficient };
  /** Of those that were fitted together. */
  readonly correlations?: Correlations;
  /** Of dense models and of mixtures of experts. */
  readonly predictions?: { readonly dense?: PredictionSpreads; readonly experts?: PredictionSpreads };
  /** Of coefficients that the user measured. */
  readonly evidence?: OwnEvidence;
}

const SETS: readonly CoefficientSet[] = [trainium1, trainium2, trainium3, h100, h200, b200, cs3, unmeasured];

/** Shares and gains beyond a factor of a million, and times beyond a day, are of no engine. */
const MIN_RATIO = 1e-6;
const MAX_SECONDS = 86_400;

const CORRELATION_DECIMALS = 6;

/** What these round away: pivots of their matrix no further from 0 are taken for it. */
export const CORRELATION_TOLERANCE = 1e-5;

/** A factor of twenty either way is no knowledge. */
const MAX_SIGMA = 3;

/** Names of the shipped coefficient sets that another accelerator can start from: all but the wafers'. */
export const COEFFICIENT_SETS: readonly string[] = SETS.filter((set) => set !== cs3).map((set) => set.name);

/** The set of a name; undefined if there is none. */
export function setNamed(name: string): CoefficientSet | undefined {
  return SETS.find((set) => set.name === name);
}

/** The set of an accelerator or wafer system; undefined if nobody has measured it. */
export function setOf(accelerator: string): CoefficientSet | undefined {
  return SETS.find((set) => set.accelerators.includes(accelerator));
}

/** Coefficients that the user measured. */
export interface MeasuredCoefficients {
  readonly values?: { readonly [name: string]: number };
  /** Standard deviations of their logarithms; 0 where there is none. */
  readonly relativeSigmas?: { readonly [name: string]: number };
  readonly correlations?: Correlations;
  /** Spreads of predictions of measurements that were left out; the set's where there is none. */
  readonly ttftRelativeSigma?: number;
  readonly tpotRelativeSigma?: number;
  readonly ttftHeldOut?: HeldOutSpec;
  readonly tpotHeldOut?: HeldOutSpec;
  readonly model?: string;
  readonly source?: string;
}

/** The set with coefficients that the user measured in place of the shipped ones. */
export function withMeasured(set: CoefficientSet, measured: MeasuredCoefficients): CoefficientSet {
  const { values, relativeSigmas, correlations = {}, ttftRelativeSigma, tpotRelativeSigma, source = 'given in the spec' } = measured;
  if (values === undefined) {
    return set;
  }
  const own = Object.entries(values).map(([name, value]) => (
    [name, { value, relativeSigma: relativeSigmas?.[name] ?? 0, source, isOwn: true }]));
  const spread = (relativeSigma: number): PredictionSpread => ({ relativeSigma, sampleSize: 0, source, isOwn: true });
  const spreads = {
    ...ttftRelativeSigma !== undefined && { ttft: spread(ttftRelativeSigma) },
    ...tpotRelativeSigma !== undefined && { tpot: spread(tpotRelativeSigma) },
  };
  const reason = `${measured.source ?? 'coefficients given in the spec'}; where those say nothing, ${set.reason}`;
  return {
    ...set,
    reason,
    coefficients: { ...set.coefficients, ...Object.fromEntries(own) },
    correlations: { ...withoutNames(set.correlations ?? {}, values), ...correlations },
    predictions: { dense: { ...set.predictions?.dense, ...spreads }, experts: { ...set.predictions?.experts, ...spreads } },
    evidence: { model: measured.model, ttft: measured.ttftHeldOut, tpot: measured.tpotHeldOut },
  };
}

/** Correlations as they are written, without those of coefficients that do not go together. */
export function roundedCorrelations(correlations: Correlations): Correlations {
  return Object.fromEntries(Object.entries(correlations).flatMap(([name, others]) => {
    const own = Object.entries(others).map(([other, value]) => [other, Number(value.toFixed(CORRELATION_DECIMALS))] as const)
      .filter(([, value]) => value !== 0);
    return own.length === 0 ? [] : [[name, Object.fromEntries(own)]];
  }));
}

/** Correlations of those that have other names. */
function withoutNames(correlations: Correlations, names: object): Correlations {
  const isOther = ([name]: readonly [string, unknown]) => !Object.hasOwn(names, name);
  const among = (others: object) => Object.fromEntries(Object.entries(others).filter(isOther));
  return Object.fromEntries(Object.entries(among(correlations)).map(([name, others]) => [name, among(others)]));
}

/** Wrong names or values in coefficients that the user gave. */
export function measuredProblems(measured: unknown, path: string): Problem[] {
  if (measured === undefined) {
    return [];
  }
  if (measured === null || typeof measured !== 'object' || Array.isArray(measured)) {
    return [{
      rule: 'CalibrationNotAnObject',
      path,
      value: JSON.stringify(measured),
      message: 'the coefficients are not an object of numbers',
      mend: 'give coefficients by name',
    }];
  }
  return Object.entries(measured as { [name: string]: unknown }).flatMap(([name, value]): Problem[] => {
    if (!COEFFICIENT_NAMES.includes(name as CoefficientName)) {
      const nearest = nearestNames(name, COEFFICIENT_NAMES);
      return [{
        rule: 'CalibrationCoefficientUnknown',
        path: `${path}.${name}`,
        value: JSON.stringify(value),
        message: 'there is no coefficient of this name',
        mend: `use one of ${(nearest.length > 0 ? nearest : COEFFICIENT_NAMES).join(', ')}`,
      }];
    }
    const ratio = name.endsWith('Utilisation');
    // times may be 0, shares and gains may not: what is divided by one that is next to nothing is without end.
    const [least, most] = name.endsWith('Seconds') ? [0, MAX_SECONDS] : [MIN_RATIO, ratio ? 1 : 1 / MIN_RATIO];
    const ok = typeof value === 'number' && value >= least && value <= most;
    return ok ? [] : [{
      rule: 'CalibrationCoefficientOutOfRange',
      path: `${path}.${name}`,
      value: typeof value === 'number' ? String(value) : JSON.stringify(value),
      message: `the ${ratio ? 'share' : 'coefficient'} is not a number from ${least} to ${most}`,
      mend: ratio ? 'give a share of the peak, such as 0.6' : 'give it in the unit of its name',
    }];
  });
}

/** Wrong names or values in the spreads of coefficients that the user gave. */
export function sigmaProblems(sigmas: unknown, measured: unknown, path: string): Problem[] {
  if (sigmas === undefined) {
    return [];
  }
  return Object.entries(Object(sigmas) as { [name: string]: unknown }).flatMap(([name, sigma]): Problem[] => {
    const value = typeof sigma === 'number' ? String(sigma) : JSON.stringify(sigma);
    return !Object.hasOwn(Object(measured) as object, name) ? [{
      rule: 'CalibrationSpreadAlone', path: `${path}.${name}`, value, message: 'the spread is of a coefficient that is not given', mend: 'give the coefficient too, or drop the spread',
    }] : typeof sigma === 'number' && sigma >= 0 && sigma <= MAX_SIGMA ? [] : [{
      rule: 'CalibrationSpreadOutOfRange', path: `${path}.${name}`, value, message: `the spread is not a number from 0 to ${MAX_SIGMA}`, mend: 'give a standard deviation of the logarithm, such as 0.1',
    }];
  });
}

/** What is wrong with what a calibration was judged by. */
export function heldOutProblems(heldOut: unknown, path: string): Problem[] {
  if (heldOut === undefined) {
    return [];
  }
  const { times, meanError } = Object(heldOut) as { [name: string]: unknown };
  const isRight = Number.isSafeInteger(times) && (times as number) > 0 && typeof meanError === 'number' && meanError >= 0 && Number.isFinite(meanError);
  return isRight ? [] : [{
    rule: 'CalibrationHeldOutInvalid',
    path,
    value: JSON.stringify(heldOut),
    message: 'what was held out is not a number of times, and what they were off by on average',
    mend: 'give it as "calibrate" wrote it, such as {"times": 40, "meanError": 0.05}',
  }];
}

/** Wrong names or values in the correlations of coefficients that the user gave. */
export function correlationProblems(correlations: unknown, measured: unknown, path: string): Problem[] {
  if (correlations === undefined) {
    return [];
  }
  const given = Object.entries(Object(correlations) as { [name: string]: unknown })
    .flatMap(([name, others]) => Object.entries(Object(others) as { [name: string]: unknown }).map(([other, value]) => ({ name, other, value })));
  const seen = new Set<string>();
  const problems = given.flatMap(({ name, other, value }): Problem[] => {
    const pair = [name, other].sort().join(' ');
    const isSecond = name === other || seen.has(pair);
    seen.add(pair);
    const isGiven = [name, other].every((one) => Object.hasOwn(Object(measured) as object, one));
    const at = { path: `${path}.${name}.${other}`, value: typeof value === 'number' ? String(value) : JSON.stringify(value) };
    return !isGiven ? [{
      rule: 'CalibrationCorrelationAlone',
      ...at,
      message: 'the correlation is of a coefficient that is not given',
      mend: 'give the coefficient too, or drop the correlation',
    }] : isSecond ? [{
      rule: 'CalibrationCorrelationTwice', ...at, message: 'the correlation is of one coefficient, or of two that have one already', mend: 'give each pair once',
    }] : typeof value === 'number' && Math.abs(value) <= 1 ? [] : [{
      rule: 'CalibrationCorrelationOutOfRange', ...at, message: 'the correlation is not a number from -1 to 1', mend: 'give it as "calibrate" wrote it',
    }];
  });
  const names = [...new Set(given.flatMap(({ name, other }) => [name, other]))];
  const matrix = () => names.map((name) => names.map((other) => correlationOf(correlations as Correlations, name, other)));
  const isPossible = problems.length > 0 || choleskyFactor(matrix(), CORRELATION_TOLERANCE) !== undefined;
  return isPossible ? problems : [{
    rule: 'CalibrationCorrelationsImpossible', path, message: 'no coefficients can have these correlations together', mend: 'give them as "calibrate" wrote them',
  }];
}

/** A wrong spread of predictions that the user gave. */
export function predictionSigmaProblems(sigma: unknown, path: string): Problem[] {
  return sigma === undefined || typeof sigma === 'number' && sigma >= 0 && sigma <= MAX_SIGMA ? [] : [{
    rule: 'CalibrationSpreadOutOfRange', path, value: JSON.stringify(sigma), message: `the spread is not a number from 0 to ${MAX_SIGMA}`, mend: 'give a standard deviation of the logarithm, such as 0.1',
  }];
}

/** How far a set's predictions of such a model are off besides; undefined where nobody knows. */
export function predictionSpreads({ predictions }: CoefficientSet, model: ModelShape): PredictionSpreads {
  return (model.experts > 0 ? predictions?.experts : predictions?.dense) ?? {};
}

/** Writes the centres of a set into `into`. */
export function fill(into: Coefficients, set: CoefficientSet): Coefficients {
  for (const name of COEFFICIENT_NAMES) {
    const coefficient = set.coefficients[name];
    if (coefficient !== undefined) {
      into[name] = coefficient.value;
    }
  }
  return into;
}
