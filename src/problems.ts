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

/** Properties that have to be given and are not, as it happens where no compiler looks. */
export function missingProperties(props: object, names: string[], path: string): Problem[] {
  return names.filter((name) => (props as { [name: string]: unknown })[name] === undefined).map((name) => ({
    rule: 'PropertyMissing', path: `${path}.${name}`, message: `${name} is missing`, mend: `give ${name}`,
  }));
}
