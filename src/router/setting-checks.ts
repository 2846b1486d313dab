import { Duration, Token, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { Problem } from '../problems';
import schema from './runtime/router-config.v1.schema.json';

/** What a number may be, as a JSON Schema says it. */
export interface NumberBounds {
  readonly type: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
}

/** A TCP port that somebody listens on. */
export const PORT_BOUNDS: NumberBounds = { type: 'integer', minimum: 1, maximum: 65535 };

/** ARN of a secret, whole or without its last six characters. */
const SECRET_ARN = new RegExp(schema.definitions.auth.properties.apiKeysSecret.properties.arn.pattern);

/** A time as a fraction of seconds. Throws if it is not known at synthesis. */
export function secondsOf(duration: Duration): number {
  return duration.toSeconds({ integral: false });
}

/**
 * Gathers what is wrong with the settings of a router: what its service would refuse at its start. Of tokens nothing is known.
 */
export class SettingChecks {
  public readonly problems: Problem[] = [];

  /** @param path path of the construct. */
  constructor(private readonly path: string) {}

  /** Adds a problem. */
  public refuse(rule: string, where: string, value: unknown, message: string, mend: string): void {
    this.problems.push({
      rule,
      path: `${this.path}.${where}`,
      // JSON has no NaN and no Infinity.
      ...(value === undefined ? {} : { value: typeof value === 'number' ? String(value) : JSON.stringify(value) }),
      message,
      mend,
    });
  }

  /** Refuses a number that is out of bounds; undefined is none. */
  public number(rule: string, where: string, value: number | undefined, bounds: NumberBounds, unit?: string): void {
    if (value !== undefined && !Token.isUnresolved(value) && !isWithin(value, bounds)) {
      this.refuse(rule, where, value, 'the number is out of bounds', `give ${rangeOf(bounds, unit)}`);
    }
  }

  /** Refuses a time that is out of bounds, or not known at synthesis; the bounds are seconds. */
  public time(rule: string, where: string, value: Duration | undefined, bounds: NumberBounds): void {
    if (value?.isUnresolved()) {
      this.refuse(rule, where, undefined, 'the time is not known at synthesis', 'give a number, not a token');
    } else if (value !== undefined && !isWithin(secondsOf(value), bounds)) {
      this.refuse(rule, where, secondsOf(value), 'the time is out of bounds', `give ${rangeOf(bounds, 'seconds')}`);
    }
  }

  /** Refuses an empty text; undefined is none. */
  public text(rule: string, where: string, value: string | undefined, mend: string): void {
    if (value === '') {
      this.refuse(rule, where, value, 'it is empty', mend);
    }
  }

  /** Refuses what was imported as a secret by something else than the ARN of one; undefined is none. */
  public secret(where: string, value: secretsmanager.ISecret | undefined): void {
    if (value !== undefined && !Token.isUnresolved(value.secretArn) && !SECRET_ARN.test(value.secretArn)) {
      this.refuse('RouterSecretArn', where, value.secretArn, 'this is not the ARN of a secret in Secrets Manager', 'import it with Secret.fromSecretCompleteArn');
    }
  }

  /** Refuses names that are empty, or there twice, and a list of them that is a token as a whole. */
  public names(rule: string, where: string, values: string[] = []): void {
    if (Token.isUnresolved(values)) {
      this.refuse(rule, where, undefined, 'how many names there are is not known at synthesis', 'give a list of names, each of which may be a token');
      return;
    }
    const known = values.filter((name) => !Token.isUnresolved(name));
    if (known.some((name, i) => name === '' || known.indexOf(name) < i)) {
      this.refuse(rule, where, known, 'a name is empty, or there twice', 'give each name once');
    }
  }
}

/** Whether a number is within bounds; a token, which is a large negative one, is within none of a port's. */
export function isWithin(value: number, { type, minimum = -Infinity, exclusiveMinimum = -Infinity, maximum = Infinity }: NumberBounds): boolean {
  return (type === 'integer' ? Number.isInteger(value) : Number.isFinite(value)) && value >= minimum && value > exclusiveMinimum && value <= maximum;
}

/** The bounds in words, such as `a whole number of seconds from 1 to 115`. */
function rangeOf({ type, minimum, exclusiveMinimum, maximum }: NumberBounds, unit?: string): string {
  const least = exclusiveMinimum === undefined ? `from ${minimum}` : `above ${exclusiveMinimum}`;
  const most = maximum !== undefined ? ` to ${maximum}` : exclusiveMinimum === undefined ? ' on' : '';
  return `a ${type === 'integer' ? 'whole ' : ''}number${unit === undefined ? '' : ` of ${unit}`} ${least}${most}`;
}
