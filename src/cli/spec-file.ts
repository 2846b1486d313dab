import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { CalibrationSpec, DeploymentSpec } from '../estimator';
import { JsonSyntaxError, parseJson } from '../json-text';
import { Problem, Problems, ProblemsError } from '../problems';
import { Workload, WorkloadSpec } from '../workload';
import { calibrationProblems, schemaProblems } from './schema-problems';
import { setValues } from './set-values';

/**
 * Reads a deployment spec from a file, or from standard input if the file is `-`.
 *
 * Throws a `ProblemsError` if the file cannot be read, is not JSON, or does not follow the schema.
 *
 * @param file path of the file, or `-`.
 * @param assignments `path=value` each, applied before the spec is checked.
 */
export function readSpec(file: string, assignments: string[]): DeploymentSpec {
  const spec = parse(file);
  setValues(spec, assignments);
  Problems.throwIfAny(schemaProblems(spec));
  // `$schema` is there for editors alone.
  const { $schema, workload, calibration, ...rest } = spec as { [name: string]: any };
  return {
    ...rest,
    workload: 'trace' in workload ? readTrace(file, workload) : workload,
    calibration: typeof calibration === 'string' ? readCalibration(file, calibration) : calibration,
  } as DeploymentSpec;
}

/** A calibration whose path is relative to the spec file. */
function readCalibration(file: string, given: string): CalibrationSpec {
  const path = resolve(file === '-' ? '.' : dirname(file), given);
  const calibration = parse(path);
  Problems.throwIfAny(typeof calibration === 'object' ? calibrationProblems(calibration).map((one) => ({ ...one, path: `${given}: ${one.path}` })) : [{
    rule: 'CalibrationNotAnObject', path: given, message: 'the calibration is no object', mend: 'give a file that "calibrate --out" wrote',
  }]);
  return calibration as CalibrationSpec;
}

function parse(file: string): unknown {
  const name = file === '-' ? 'standard input' : file;
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw refused('SpecNotReadable', name, `the spec cannot be read: ${(error as NodeJS.ErrnoException).code}`,
      'give the path of a deployment spec, or - for standard input');
  }
  try {
    return parseJson(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    if (error instanceof JsonSyntaxError) {
      throw refused('SpecNotJson', `${name}:${error.line}:${error.column}`, `the spec is not JSON: ${error.message}`, 'mend the text at this place');
    }
    throw error;
  }
}

/** The workload of a trace whose path is relative to the spec file. */
function readTrace(file: string, given: { trace: string; requestsPerSecond?: number }): WorkloadSpec {
  const workload = Workload.fromTrace(resolve(file === '-' ? '.' : dirname(file), given.trace));
  const { requestsPerSecond } = workload.toSpec();
  return (given.requestsPerSecond === undefined ? workload : workload.scaled(given.requestsPerSecond / requestsPerSecond)).toSpec();
}

function refused(rule: string, path: string, message: string, mend: string): ProblemsError {
  const problem: Problem = { rule, path, message, mend };
  return new ProblemsError([problem]);
}
