import { Problem, Problems } from '../problems';

/** What `--set` may be put into: parsed JSON. */
type Container = { [name: string]: unknown } | unknown[];

/**
 * Puts values into a parsed spec, in the order given.
 *
 * @param spec the parsed spec, which is changed.
 * @param assignments `path=value` each; the value is JSON, or else a string, and `null` takes out what is there. Objects on the way that are missing are
 * made: whether the path exists in the format is for the schema to say. The name of a spec whose model is another one goes with the old model.
 */
export function setValues(spec: unknown, assignments: string[]): void {
  const sets = (path: RegExp) => assignments.some((assignment) => path.test(assignment));
  if (sets(/^model(\.id)?=/) && !sets(/^name=/)) {
    delete (Object(spec) as { name?: unknown }).name;
  }
  Problems.throwIfAny(assignments.flatMap((assignment) => setValue(spec, assignment)));
}

function setValue(spec: unknown, assignment: string): Problem[] {
  const refuse = (message: string, mend: string): Problem[] => [{ rule: 'SetNotApplicable', path: `--set ${assignment}`, message, mend }];
  const match = /^([^.[\]=]+(?:\.[^.[\]=]+|\[\d+\])*)=(.*)$/s.exec(assignment);
  if (!match) {
    return refuse('this is not an assignment', 'write path=value, such as decode.instances=4 or workload.lengthClasses[0].weight=1');
  }
  const steps = [...match[1].matchAll(/\[(\d+)\]|[^.[\]]+/g)].map((step) => step[1] === undefined ? step[0] : Number(step[1]));
  let container = spec as Container;
  for (const [i, step] of steps.entries()) {
    const kind = typeof step === 'number' ? 'array' : 'object';
    if (typeof container !== 'object' || container === null || Array.isArray(container) !== (kind === 'array')) {
      return refuse(`what ${JSON.stringify(step)} belongs to is not an ${kind}`, 'shorten the path, or set the whole value as JSON');
    }
    if (typeof step === 'number' && step >= (container as unknown[]).length) {
      return refuse(`the array has ${(container as unknown[]).length} elements`, 'set an element that is there, or the whole array as JSON');
    }
    const present = Object.hasOwn(container, step) ? (container as { [name: string]: unknown })[step] : {};
    const value = i === steps.length - 1 ? parseValue(match[2]) : present;
    if (value === null && !Array.isArray(container)) {
      delete container[step];
      break;
    }
    // not an assignment, which would reach a prototype by the name __proto__.
    Object.defineProperty(container, step, { value, enumerable: true, configurable: true, writable: true });
    container = value as Container;
  }
  return [];
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
