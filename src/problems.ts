/** Problems of one long input that are told one by one. */
const MAX_TOLD = 20;

/** Characters of a wrong value that are repeated in a message. */
const MAX_VALUE_LENGTH = 80;

/**
 * One thing wrong with what the user gave, and how to mend it.
 */
export interface Problem {
  /** Stable id of the rule that refused the value, in PascalCase, such as `TraceFieldNotANumber`. */
  readonly rule: string;

  /** Where it is: a construct path, a JSON path such as `workload.requestsPerSecond`, or `file:line:column`. */
  readonly path: string;

  /**
   * The value as it was given, as JSON text.
   *
   * @default - the problem is that something is missing
   */
  readonly value?: string;

  /** What is wrong, as one sentence without a full stop. */
  readonly message: string;

  /** What to do about it, as one sentence without a full stop. */
  readonly mend: string;
}

/**
 * Wrong input, with every problem that was found.
 */
export class ProblemsError extends Error {
  /** Every problem that was found, in the order of the input. */
  public readonly problems: Problem[];

  /**
   * @param problems every problem that was found, at least one.
   */
  constructor(problems: Problem[]) {
    super(Problems.format(problems));
    this.name = 'ProblemsError';
    this.problems = problems;
  }
}

/**
 * Formats problems the same way in every room.
 */
export class Problems {
  /**
   * What is wrong with a file that cannot be read, in the same words wherever one is named.
   *
   * @param rule the rule that the file is read by.
   * @param path the file, or what names it.
   * @param error what reading it failed with.
   */
  public static unreadableFile(rule: string, path: string, error: unknown): Problem {
    const { code } = error as { code?: string };
    switch (code) {
      case 'ENOENT':
        return { rule, path, message: 'there is no such file', mend: 'give the path of a file that exists' };
      case 'EACCES':
      case 'EPERM':
        return { rule, path, message: 'the file may not be read', mend: 'give yourself permission to read it' };
      default:
        return { rule, path, message: `the file cannot be read: ${code ?? String(error)}`, mend: 'give the path of a readable file' };
    }
  }

  /**
   * One line a problem: `[path] message, got: value (mend) [rule]`.
   *
   * @param problems the problems to format.
   */
  public static format(problems: Problem[]): string {
    return problems.map((problem) => {
      const got = problem.value === undefined ? '' : `, got: ${problem.value}`;
      return `[${problem.path}] ${problem.message}${got} (${problem.mend}) [${problem.rule}]`;
    }).join('\n');
  }

  /**
   * Throws if there is any problem.
   *
   * @param problems the problems that were found, possibly none.
   * @throws ProblemsError with all of them.
   */
  public static throwIfAny(problems: Problem[]): void {
    if (problems.length > 0) {
      throw new ProblemsError(problems);
    }
  }

  private constructor() {}
}

/** Problems of an input that may have no end of them: the first are told one by one, each with how often it is there again, and the others are counted. */
export class ToldProblems {
  private readonly told = new Map<string, { readonly problem: Problem; again: number }>();
  private untold = 0;

  /**
   * @param path of the input as a whole.
   */
  constructor(private readonly path: string) {}

  /** Notes a problem. */
  public add(problem: Problem): void {
    const { path, ...alike } = problem;
    const key = JSON.stringify(alike);
    const same = this.told.get(key);
    if (same !== undefined) {
      same.again++;
    } else if (this.told.size < MAX_TOLD) {
      this.told.set(key, { problem, again: 0 });
    } else {
      this.untold++;
    }
  }

  /** Throws all that was noted. */
  public throwIfAny(): void {
    const more = { rule: 'MoreProblems', path: this.path, message: `and ${this.untold} more`, mend: 'mend those above first' };
    const told = [...this.told.values()].map(({ problem, again }) => (
      again === 0 ? problem : { ...problem, message: `${problem.message}, here and in ${again} more place${again === 1 ? '' : 's'}` }));
    Problems.throwIfAny([...told, ...this.untold > 0 ? [more] : []]);
  }
}

/** A wrong value as it was given, for messages: JSON text, of which a long one is cut. */
export function shown(value: unknown): string {
  // NaN and Infinity have no JSON
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value) ?? 'undefined';
  return text.length <= MAX_VALUE_LENGTH ? text : `${text.slice(0, MAX_VALUE_LENGTH)}...`;
}

/** Properties that have to be given and are not, as it happens where no compiler looks. */
export function missingProperties(props: object, names: string[], path: string): Problem[] {
  return names.filter((name) => (props as { [name: string]: unknown })[name] === undefined).map((name) => ({
    rule: 'PropertyMissing', path: `${path}.${name}`, message: `${name} is missing`, mend: `give ${name}`,
  }));
}
