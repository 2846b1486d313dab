import { FieldProblems, Fields, isObject, Kind } from './fields';

/** A kind that is said in some words. */
export function kind<T>(expected: string, holds: (value: unknown) => boolean): Kind<T> {
  return { holds: holds as (value: unknown) => value is T, tell: (value, path, problems) => problems.unexpected(path, expected, value) };
}

export const TEXT = kind<string>('a string', (value) => typeof value === 'string');
export const BOOLEAN = kind<boolean>('true or false', (value) => typeof value === 'boolean');
/** What only the engine knows the insides of. */
export const OBJECT = kind<Fields>('an object', isObject);
/** Whatever is there. */
export const ANY = kind<unknown>('anything', () => true);

/** What no engine here honours: it may be there as long as it asks for nothing. */
export const UNSUPPORTED: Kind = {
  holds: (value): value is unknown => typeof value === 'object' && Object.keys(value as object).length === 0,
  tell: (_, path, problems) => problems.add(path, 'this is not supported here'),
};

/** What no engine here honours, and asks for something by being there at all. */
export const ABSENT: Kind = { holds: (_): _ is unknown => false, tell: UNSUPPORTED.tell };

/** What is none of a caller's to say, for a reason. */
export function refused(reason: string): Kind {
  return { holds: (_): _ is unknown => false, tell: (_, path, problems) => problems.add(path, `this is not for callers to give: ${reason}`) };
}

/** A number within bounds, both included. */
export function number(least: number, most: number): Kind<number> {
  return kind(`a number from ${least} to ${most}`, (value) => typeof value === 'number' && value >= least && value <= most);
}

/** A whole number within bounds, both included. */
export function whole(least: number, most = 2 ** 31 - 1): Kind<number> {
  return kind(`a whole number from ${least} to ${most}`, (value) => Number.isInteger(value) && value as number >= least && value as number <= most);
}

/** One of some values. */
export function oneOf<T extends string | number | boolean>(...allowed: readonly T[]): Kind<T> {
  return kind(allowed.map((one) => JSON.stringify(one)).join(' or '), (value) => allowed.includes(value as T));
}

/** A list of one kind, of so many at least and at most. */
export function listOf<T>(one: Kind<T>, least = 0, most = Infinity): Kind<readonly T[]> {
  return {
    holds: (value): value is readonly T[] => {
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
        value.forEach((item, i) => problems.required(item, `${path}[${i}]`, one));
      }
    },
  };
}

/** Texts by name, so many at most. */
export function textsByName(most: number): Kind<Fields> {
  return {
    holds: (value): value is Fields => isObject(value) && Object.keys(value).length <= most && Object.values(value).every(TEXT.holds),
    tell: (value, path, problems) => {
      const given = Object.entries(problems.object(value, path));
      if (given.length > most) {
        problems.add(path, `expected at most ${most} members, got ${given.length}`);
      }
      given.slice(0, most).forEach(([name, text]) => problems.required(text, `${path}.${name}`, TEXT));
    },
  };
}

/** One kind, or else a list or an object of another. */
export function either<A, B>(simple: Kind<A>, nested: Kind<B>): Kind<A | B> {
  return {
    holds: (value): value is A | B => simple.holds(value) || nested.holds(value),
    tell: (value, path, problems) => (typeof value === 'object' && value !== null ? nested : simple).tell(value, path, problems),
  };
}

/** Members by name. One that is null is as good as not given. */
export interface Members {
  readonly [name: string]: Kind;
}

/** The values of members, each of which may be missing or null as far as is known of all objects. */
type Values<M extends Members> = { readonly [name in keyof M]?: (M[name] extends Kind<infer T> ? T : never) | null };

/**
 * An object of known members.
 *
 * @param members all of them.
 * @param required those that must be given.
 */
export function object<M extends Members>(members: M, required: readonly string[] = []): Kind<Values<M>> {
  return new ObjectKind(members, required, false);
}

/** An object that may have members which are not known here, as chat templates read whatever their messages have. */
export function openObject(members: Members, required: readonly string[] = []): Kind<Fields> {
  return new ObjectKind(members, required, true);
}

/** An object whose kind one of its members names. */
export function tagged(tag: string, kinds: Members): Kind<Fields> {
  const byTag = new Map(Object.entries(kinds));
  const tags = oneOf(...byTag.keys());
  const kindOf = (value: unknown) => (isObject(value) ? byTag.get(value[tag] as string) : undefined);
  return {
    holds: (value): value is Fields => kindOf(value)?.holds(value) ?? false,
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

class ObjectKind<T> implements Kind<T> {
  private readonly members: ReadonlyMap<string, Kind>;
  private readonly required: readonly string[];
  private readonly isOpen: boolean;

  constructor(members: Members, required: readonly string[], isOpen: boolean) {
    this.members = new Map(Object.entries(members));
    this.required = required;
    this.isOpen = isOpen;
  }

  public holds(value: unknown): value is T {
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
        problems.required(member, at(name), expected);
      }
    }
  }
}
