import { FieldProblems, isObject } from './fields';

/**
 * What a field may hold. Requests are nearly always right, so that is found out first, and fast; what is wrong is looked for afterwards.
 */
export interface Kind {
  /** Whether a value is of this kind. */
  holds(value: unknown): boolean;

  /**
   * Notes what is wrong with a value that is not.
   *
   * @param value the value; undefined where it is missing.
   * @param path of the field; empty for a whole request.
   */
  tell(value: unknown, path: string, problems: FieldProblems): void;
}

/** Notes what is wrong with a value if it is not of a kind. */
export function check(expected: Kind, value: unknown, path: string, problems: FieldProblems): void {
  if (!expected.holds(value)) {
    expected.tell(value, path, problems);
  }
}

/** A kind that is said in some words. */
export function kind(expected: string, holds: (value: unknown) => boolean): Kind {
  return { holds, tell: (value, path, problems) => problems.unexpected(path, expected, value) };
}

export const TEXT = kind('a string', (value) => typeof value === 'string');
export const BOOLEAN = kind('true or false', (value) => typeof value === 'boolean');
/** What only the engine knows the insides of. */
export const OBJECT = kind('an object', isObject);

/** What no engine here honours: it may be there as long as it asks for nothing. */
export const UNSUPPORTED: Kind = {
  holds: (value) => typeof value === 'object' && Object.keys(value as object).length === 0,
  tell: (_, path, problems) => problems.add(path, 'this is not supported here'),
};

/** What is none of a caller's to say, for a reason. */
export function refused(reason: string): Kind {
  return { holds: () => false, tell: (_, path, problems) => problems.add(path, `this is not for callers to give: ${reason}`) };
}

/** A number within bounds, both included. */
export function number(least: number, most: number): Kind {
  return kind(`a number from ${least} to ${most}`, (value) => typeof value === 'number' && value >= least && value <= most);
}

/** A whole number within bounds, both included. */
export function whole(least: number, most = 2 ** 31 - 1): Kind {
  return kind(`a whole number from ${least} to ${most}`, (value) => Number.isInteger(value) && value as number >= least && value as number <= most);
}

/** One of some values. */
export function oneOf(...allowed: readonly unknown[]): Kind {
  return kind(allowed.map((one) => JSON.stringify(one)).join(' or '), (value) => allowed.includes(value));
}

/** A list of one kind, of so many at least and at most. */
export function listOf(one: Kind, least = 0, most = Infinity): Kind {
  return {
    holds: (value) => {
      if (!Array.isArray(value) || value.length < least || value.length > most) {
        return false;
      }
      for (const item of value) {
        if (!one.holds(item)) {
          return false;
        }
      }
      return true;
    },
    tell: (value, path, problems) => {
      if (!Array.isArray(value)) {
        problems.unexpected(path, 'a list', value);
      } else if (value.length < least || value.length > most) {
        problems.add(path, `expected ${value.length < least ? `at least ${least}` : `at most ${most}`}, got ${value.length || 'none'}`);
      } else {
        value.forEach((item, i) => check(one, item, `${path}[${i}]`, problems));
      }
    },
  };
}

/** One kind, or else a list or an object of another. */
export function either(simple: Kind, nested: Kind): Kind {
  return {
    holds: (value) => simple.holds(value) || nested.holds(value),
    tell: (value, path, problems) => (typeof value === 'object' && value !== null ? nested : simple).tell(value, path, problems),
  };
}

/** Members by name. One that is null is as good as not given. */
export interface Members {
  readonly [name: string]: Kind;
}

/**
 * An object of known members.
 *
 * @param members all of them.
 * @param required those that must be given.
 */
export function object(members: Members, required: readonly string[] = []): Kind {
  return new ObjectKind(members, required, false);
}

/** An object that may have members which are not known here, as chat templates read whatever their messages have. */
export function openObject(members: Members, required: readonly string[] = []): Kind {
  return new ObjectKind(members, required, true);
}

/** An object whose kind one of its members names. */
export function tagged(tag: string, kinds: Members): Kind {
  const byTag = new Map(Object.entries(kinds));
  const tags = oneOf(...byTag.keys());
  const kindOf = (value: unknown) => (isObject(value) ? byTag.get(value[tag] as string) : undefined);
  return {
    holds: (value) => kindOf(value)?.holds(value) ?? false,
    tell: (value, path, problems) => {
      const named = kindOf(value);
      if (named !== undefined) {
        named.tell(value, path, problems);
      } else if (isObject(value)) {
        tags.tell(value[tag], `${path}.${tag}`, problems);
      } else {
        OBJECT.tell(value, path, problems);
      }
    },
  };
}

class ObjectKind implements Kind {
  private readonly members: ReadonlyMap<string, Kind>;
  private readonly required: readonly string[];
  private readonly isOpen: boolean;

  constructor(members: Members, required: readonly string[], isOpen: boolean) {
    this.members = new Map(Object.entries(members));
    this.required = required;
    this.isOpen = isOpen;
  }

  public holds(value: unknown): boolean {
    if (!isObject(value)) {
      return false;
    }
    for (const name in value) {
      const member = value[name];
      if (member !== null && !(this.members.get(name)?.holds(member) ?? this.isOpen)) {
        return false;
      }
    }
    for (const name of this.required) {
      if ((value[name] ?? null) === null) {
        return false;
      }
    }
    return true;
  }

  public tell(value: unknown, path: string, problems: FieldProblems): void {
    if (!isObject(value)) {
      OBJECT.tell(value, path, problems);
      return;
    }
    const at = (name: string) => (path === '' ? name : `${path}.${name}`);
    if (!this.isOpen) {
      problems.known(value, path, [...this.members.keys()]);
    }
    for (const [name, expected] of this.members) {
      const member = value[name] ?? undefined;
      if (member !== undefined || this.required.includes(name)) {
        check(expected, member, at(name), problems);
      }
    }
  }
}
