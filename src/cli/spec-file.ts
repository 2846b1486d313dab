import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { CalibrationSpec, DeploymentSpec } from '../estimator';
import { specProblems } from '../estimator/spec-check';
import { JsonSyntaxError, parseJson } from '../json-text';
import { Problem, Problems, ProblemsError } from '../problems';
import { RequestTrace, Workload, WorkloadSpec } from '../workload';
import { attempt } from './attempt';
import { calibrationProblems, schemaProblems } from './schema-problems';
import { setValues } from './set-values';

/**
 * Reads a deployment spec from a file, or from standard input if the file is `-`.
 *
 * Throws a `ProblemsError` if the file cannot be read or is not JSON, else with everything that is wrong with it: what does not follow the schema, what is
 * wrong with the files that it names, and what does not fit together in the parts that follow the schema.
 *
 * @param file path of the file, or `-`.
 * @param assignments `path=value` each, applied before the spec is checked.
 * @param check what is wrong with a spec beyond its form, with JSON paths.
 */
export function readSpec(file: string, assignments: string[], check: (spec: DeploymentSpec) => Problem[] = specProblems): DeploymentSpec {
  return readSpecAndTrace(file, assignments, check).spec;
}

/** The same, and the trace that its workload is of, at the rate of the workload; undefined if it is of none. */
export function readSpecAndTrace(
  file: string, assignments: string[], check: (spec: DeploymentSpec) => Problem[] = specProblems,
): { readonly spec: DeploymentSpec; readonly trace?: RequestTrace } {
  const given = parse(file);
  const problems: Problem[] = [];
  attempt(problems, () => setValues(given, assignments));
  problems.push(...schemaProblems(given));
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    throw new ProblemsError(problems);
  }
  // `$schema` is there for editors alone.
  const { $schema, workload, calibration, ...rest } = given as { [name: string]: any };
  const { trace: named } = Object(workload) as { trace?: unknown };
  const recorded = isPath(named) ? attempt(problems, () => readTrace(file, workload)) : undefined;
  const spec = {
    ...rest,
    workload: named === undefined ? workload : recorded?.workload,
    calibration: isPath(calibration) ? attempt(problems, () => readCalibration(file, calibration)) : calibration,
  } as DeploymentSpec;
  // a part that is wrong in itself is not told to fit no other.
  const told = [...problems.map(({ path }) => path), ...spec.workload === undefined ? ['workload'] : []];
  problems.push(...check(spec).filter(({ path }) => !told.some((one) => isPartOf(one, path) || isPartOf(path, one))));
  Problems.throwIfAny(problems);
  return { spec, trace: recorded?.trace };
}

function isPath(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

/** Whether a JSON path is another one, or leads further into it. */
function isPartOf(path: string, whole: string): boolean {
  return path === whole || path.startsWith(`${whole}.`) || path.startsWith(`${whole}[`);
}

/** A calibration whose path is relative to the spec file. */
function readCalibration(file: string, given: string): CalibrationSpec {
  const path = resolve(file === '-' ? '.' : dirname(file), given);
  const calibration = parse(path, 'Calibration');
  Problems.throwIfAny(typeof calibration === 'object' ? calibrationProblems(calibration).map((one) => ({ ...one, path: `${given}: ${one.path}` })) : [{
    rule: 'CalibrationNotAnObject', path: given, message: 'the calibration is no object', mend: 'give a file that "calibrate --out" wrote',
  }]);
  return calibration as CalibrationSpec;
}

function parse(file: string, holds: 'Spec' | 'Calibration' = 'Spec'): unknown {
  const name = file === '-' ? 'standard input' : file;
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    const problem = Problems.unreadableFile(`${holds}NotReadable`, name, error);
    throw new ProblemsError([holds === 'Spec' ? problem : { ...problem, mend: `${problem.mend} in --calibration, or in "calibration" of the spec` }]);
  }
  try {
    return parseJson(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    if (error instanceof JsonSyntaxError) {
      throw refused(`${holds}NotJson`, `${name}:${error.line}:${error.column}`, `the ${holds.toLowerCase()} is not JSON: ${error.message}`, 'mend the text at this place');
    }
    throw error;
  }
}

/** A trace whose path is relative to the spec file, and its workload, at the rate given if that is one. */
function readTrace(
  file: string, given: { trace: string; requestsPerSecond?: unknown },
): { readonly trace: RequestTrace; readonly workload: WorkloadSpec } {
  const trace = RequestTrace.fromFile(resolve(file === '-' ? '.' : dirname(file), given.trace));
  const workload = Workload.fromRequestTrace(trace);
  const asked = given.requestsPerSecond;
  if (typeof asked !== 'number' || asked <= 0) {
    return { trace, workload: workload.toSpec() };
  }
  const factor = asked / trace.requestsPerSecond;
  return { trace: trace.scaled(factor), workload: workload.scaled(factor).toSpec() };
}

function refused(rule: string, path: string, message: string, mend: string): ProblemsError {
  const problem: Problem = { rule, path, message, mend };
  return new ProblemsError([problem]);
}
