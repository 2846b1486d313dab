import { isUtf8 } from 'node:buffer';
import { ApiError, invalid } from './api-error';
import { jsonSize } from './json-size';
import { JsonSyntaxError, parseJson } from '../../../json-text';
import { nearestNames } from '../../../nearest';

/** A JSON object whose members are not known yet. */
export type Fields = { readonly [name: string]: unknown };

/** Characters of a wrong value that are repeated to the caller. */
const MAX_VALUE_LENGTH = 80;
/** Names of the model that a caller is told who gave none of them. */
const MAX_NAMES = 3;
/** Problems of one request that its caller is told. */
export const MAX_PROBLEMS = 20;
/** Values of all JSON that is within texts of a request: far more than schemas and the arguments of calls have. */
const MAX_TEXT_VALUES = 100_000;

/**
 * What a field may hold. Requests are nearly always right, so that is found out first, and fast; what is wrong is looked for afterwards.
 */
export interface Kind<T = unknown> {
  /** Whether a value is of this kind. */
  holds(value: unknown): value is T;

  /**
   * Notes what is wrong with a value that is not.
   *
   * @param value the value; undefined where it is missing.
   * @param path of the field; empty for a whole request.
   */
  tell(value: unknown, path: string, problems: FieldProblems): void;
}

/**
 * Everything that is wrong with a request, field by field.
 */
export class FieldProblems {
  private readonly problems: string[] = [];
  private firstPath?: string;
  /** Of the JSON within texts that was read. */
  private textValues = 0;

  /** Notes that a field is wrong. Throws ApiError with everything if no more is told. */
  public add(path: string, message: string): void {
    this.problems.push(`${path}: ${message}`);
    this.firstPath ??= path;
    if (this.problems.length === MAX_PROBLEMS) {
      this.throwIfAny();
    }
  }

  /** Notes that a field holds something else than it may. */
  public unexpected(path: string, expected: string, value: unknown): void {
    this.add(path, `expected ${expected}, got ${shown(value)}`);
  }

  /** Notes members of an object that are none of those that are known, and that ask for something. */
  public known(object: Fields, path: string, names: string[]): void {
    for (const name in object) {
      if (object[name] !== null && !names.includes(name)) {
        const field = name.length <= MAX_VALUE_LENGTH ? name : `${name.slice(0, MAX_VALUE_LENGTH)}...`;
        const [near] = name === field ? nearestNames(name, names) : [];
        this.add(path === '' ? field : `${path}.${field}`, `there is no such field${near === undefined ? '' : `, did you mean ${near}?`}`);
      }
    }
  }

  /**
   * The value as an object; an empty one, and a problem, if it is none.
   *
   * @param names of the members that it may have; any by default.
   */
  public object(value: unknown, path: string, names?: string[]): Fields {
    if (isObject(value)) {
      if (names !== undefined) {
        this.known(value, path, names);
      }
      return value;
    }
    this.unexpected(path, 'an object', value);
    return {};
  }

  /** The value if it is of a kind; undefined, and what is wrong with it is noted, if it is not. */
  public required<T>(value: unknown, path: string, expected: Kind<T>): T | undefined {
    if (expected.holds(value)) {
      return value;
    }
    expected.tell(value, path, this);
    return undefined;
  }

  /** The value if it is of a kind, as above; undefined if it is not given. */
  public optional<T>(value: unknown, path: string, expected: Kind<T>): T | undefined {
    return value === undefined || value === null ? undefined : this.required(value, path, expected);
  }

  /** Whether JSON that is within a text is no more than a request may have of it; a problem if it is. */
  public mayRead(json: Buffer, path: string): boolean {
    const { values, problem } = jsonSize(json, MAX_TEXT_VALUES);
    this.textValues += values;
    const told = problem ?? (this.textValues > MAX_TEXT_VALUES ? `has, with that before it, more than ${MAX_TEXT_VALUES} values` : undefined);
    if (told !== undefined) {
      this.add(path, `the JSON ${told}`);
    }
    return told === undefined;
  }

  /** The only member of a union that is set; a problem, and undefined, if there is not exactly one. */
  public member(value: unknown, path: string): readonly [name: string, value: unknown] | undefined {
    const members = Object.entries(this.object(value, path)).filter(([, one]) => one !== undefined && one !== null);
    if (members.length === 1) {
      return members[0];
    }
    if (isObject(value)) {
      this.add(path, `expected exactly one member, got ${members.length === 0 ? 'none' : members.map(([name]) => name).join(', ')}`);
    }
    return undefined;
  }

  /** Throws an ApiError with everything that is wrong. */
  public throwIfAny(): void {
    if (this.problems.length > 0) {
      throw invalid('invalid_request', this.problems.join('; '), this.firstPath);
    }
  }
}

/** Reads a body that is to be a JSON object. Throws ApiError if it is not. */
export function jsonObject(json: Buffer | string): Fields {
  if (typeof json !== 'string' && !isUtf8(json)) {
    throw invalid('invalid_json', 'the body is not UTF-8');
  }
  const text = String(json);
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (e) {
    const { line, column, message, got } = e as JsonSyntaxError;
    throw invalid('invalid_json', `the body is not JSON: line ${line}, column ${column}: ${message}, got ${got}`);
  }
  if (!isObject(value)) {
    throw invalid('invalid_json', 'the body is not a JSON object');
  }
  // in UTF-8 there is none but by an escape.
  if (/\\u[dD]/.test(text) && hasHalf(value)) {
    const problems = new FieldProblems();
    tellHalves(value, '', problems);
    problems.throwIfAny();
  }
  return value;
}

/** Whether a text or a name has one half of a character that is written in two, without the other: engines cannot read it. */
function hasHalf(value: unknown): boolean {
  if (typeof value === 'string') {
    // Node has it, the library that types are of does not yet.
    return !(value as string & { isWellFormed(): boolean }).isWellFormed();
  }
  if (Array.isArray(value)) {
    return value.some(hasHalf);
  }
  return isObject(value) && (Object.keys(value).some(hasHalf) || Object.values(value).some(hasHalf));
}

function tellHalves(value: unknown, path: string, problems: FieldProblems): void {
  if (Array.isArray(value)) {
    value.forEach((one, i) => tellHalves(one, `${path}[${i}]`, problems));
  } else if (!isObject(value)) {
    if (hasHalf(value)) {
      problems.add(path, 'half a character is no text: a surrogate has to be one of a pair');
    }
  } else if (Object.keys(value).some(hasHalf)) {
    problems.add(path || 'the body', 'half a character is no text: a name here has a surrogate that is not one of a pair');
  } else {
    Object.entries(value).forEach(([name, member]) => tellHalves(member, path === '' ? name : `${path}.${name}`, problems));
  }
}

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a member says nothing: it is not there, null, or empty. */
export function isNothing(value: unknown): boolean {
  return (value ?? '') === '' || (Array.isArray(value) && value.length === 0);
}

/** The members that have a value. */
export function defined(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
}

/** Throws ApiError unless the model is served. */
export function checkServed(model: unknown, servedNames: readonly string[]): asserts model is string {
  if (typeof model !== 'string') {
    throw invalid('invalid_model', `model is ${model === undefined ? 'missing' : 'not a string'}`, 'model');
  }
  if (!servedNames.includes(model)) {
    const served = servedNames.slice(0, MAX_NAMES).map((name) => JSON.stringify(name)).join(', ');
    const more = servedNames.length > MAX_NAMES ? ` and ${servedNames.length - MAX_NAMES} more` : '';
    throw new ApiError(404, 'invalid_request_error', 'model_not_found',
      `the model ${JSON.stringify(model.slice(0, 256))} is not served here; this router serves ${served}${more}`, {}, 'model');
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= MAX_VALUE_LENGTH ? text : `${text.slice(0, MAX_VALUE_LENGTH)}...`;
}
