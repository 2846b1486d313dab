import { Ajv2020, ErrorObject, ValidateFunction } from 'ajv/dist/2020';
import deploymentSpecSchema from '../estimator/schema/deployment-spec.v1.schema.json';
import { nearestNames } from '../nearest';
import { Problem, shown } from '../problems';

/**
 * What is wrong with a parsed spec according to the published schema.
 */
export function schemaProblems(spec: unknown): Problem[] {
  return problemsOf(deploymentSpecSchema, spec);
}

/**
 * What is wrong with a parsed calibration according to the published schema of a spec.
 */
export function calibrationProblems(calibration: unknown): Problem[] {
  return problemsOf({ $ref: '#/$defs/CalibrationSpec', $defs: deploymentSpecSchema.$defs }, calibration);
}

function problemsOf(schema: object, value: unknown): Problem[] {
  // errors that carry value and schema make the compiled schema larger and slower to start, so only a wrong spec pays for them.
  if (compile(schema, false)(value)) {
    return [];
  }
  const explain = compile(schema, true);
  explain(value);
  // `if` only repeats what its branch has said.
  return explain.errors!.filter((error) => error.keyword !== 'if').map(toProblem);
}

function compile(schema: object, verbose: boolean): ValidateFunction {
  // a schema that serves once is not worth optimising, and a test checks it against the metaschema.
  return new Ajv2020({ allErrors: verbose, verbose, strict: false, validateSchema: false, meta: false, inlineRefs: false, code: { optimize: false } })
    .compile(schema);
}

function toProblem(error: ErrorObject): Problem {
  const { params, data } = error;
  const path = jsonPath(error.instancePath);
  const properties = (error.parentSchema?.properties ?? {}) as { [name: string]: { description: string; const?: unknown } };
  switch (error.keyword) {
    case 'additionalProperties': {
      const name: string = params.additionalProperty;
      return {
        rule: 'SpecPropertyUnknown',
        path: join(path, name),
        value: shown((data as { [name: string]: unknown })[name]),
        message: 'there is no such property',
        mend: suggest(name, Object.keys(properties)),
      };
    }
    case 'required': {
      const name: string = params.missingProperty;
      const { description, const: only } = properties[name];
      return {
        rule: 'SpecPropertyMissing',
        path: join(path, name),
        message: 'it is missing',
        mend: only ? `give ${shown(only)}` : `give it: ${firstSentence(description)}`,
      };
    }
    case 'type':
      return problem('SpecTypeWrong', `it is not ${article(params.type)}`, `give ${article(params.type)}`);
    case 'enum':
      return problem('SpecValueUnknown', 'there is no such value', typeof data === 'string' && typeof params.allowedValues[0] === 'string'
        ? suggest(data, params.allowedValues)
        : `give one of ${params.allowedValues.join(', ')}`);
    case 'const':
      return problem('SpecValueUnknown', 'this is another format', `give ${shown(params.allowedValue)}`);
    case 'minLength':
    case 'minItems':
      return problem('SpecValueEmpty', 'it is empty', 'give at least one');
    default:
      // minimum, exclusiveMinimum, maximum: ajv says "must be >= 1".
      return problem('SpecValueOutOfRange', 'it is out of range', `it ${error.message}`);
  }

  function problem(rule: string, message: string, mend: string): Problem {
    return { rule, path: path || 'the spec', value: shown(data), message, mend };
  }
}

/** A mend for an unknown name: what may have been meant, else what is known. */
function suggest(given: string, known: string[]): string {
  const nearest = nearestNames(given, known);
  return nearest.length > 0 ? `did you mean ${nearest.map(shown).join(' or ')}?` : `known are ${known.join(', ')}`;
}

/** `/workload/lengthClasses/0/weight` as `workload.lengthClasses[0].weight`. */
function jsonPath(pointer: string): string {
  return pointer.split('/').slice(1).map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~')).reduce(join, '');
}

function join(path: string, step: string): string {
  return /^\d+$/.test(step) ? `${path}[${step}]` : path === '' ? step : `${path}.${step}`;
}

function article(type: string): string {
  return type === 'integer' ? 'a whole number' : /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

/** The first sentence of a description, as the end of another one. */
function firstSentence(description: string): string {
  const first = description.split(/\. |\.$/)[0];
  return first.charAt(0).toLowerCase() + first.slice(1);
}
