import { Json } from './template-json';
import { Value, isScalar } from './value';

// a pattern of more than these could take long to try.
const MAX_TEXT = 64;
const MAX_REPETITIONS = 3;
const MAX_CHOICES = 10;

/** Parameters of a set of templates, by an identity that each has in it. */
export class Parameters {
  private readonly known = new Map<string, { readonly name: string; readonly declared: Json }>();

  /**
   * Identity of a parameter.
   *
   * @param stack name of its stack.
   * @param name its name.
   * @param declared the parameter as the template declares it.
   */
  public register(stack: string, name: string, declared: Json): string {
    const id = JSON.stringify([stack, name]);
    this.known.set(id, { name, declared });
    return id;
  }

  /** Name of a parameter. */
  public nameOf(id: string): string | undefined {
    return this.known.get(id)?.name;
  }

  /** Texts that a parameter may have; undefined where it may have any. */
  public allowedValues(id: string): string[] | undefined {
    const values: unknown = this.known.get(id)?.declared.AllowedValues;
    return Array.isArray(values) && values.length > 0 && values.every((value) => isScalar(value as Value)) ? values.map(String) : undefined;
  }

  /** Whether the other limits of a parameter let it have a text. */
  public lets(id: string, text: string): boolean {
    return withinLimits(this.known.get(id)?.declared ?? {}, text);
  }
}

/**
 * Whether the limits of a parameter let it have a text: AllowedPattern, MinLength and MaxLength of a text, MinValue and MaxValue of a number.
 *
 * Of other types nothing is said: the pattern of a list is for each of its items.
 * CloudFormation's patterns are Java's; one that is none here, or that could take long to try, lets every text pass.
 *
 * @param declared the parameter as the template declares it.
 * @param text what it would be.
 */
function withinLimits(declared: Json, text: string): boolean {
  const { AllowedPattern: pattern, Type: type = 'String' } = declared;
  const limit = (name: string) => (declared[name] === undefined ? NaN : Number(declared[name]));
  if (type === 'Number') {
    const number = Number(text);
    return text.trim() !== '' && !Number.isNaN(number) && !(number < limit('MinValue')) && !(number > limit('MaxValue'));
  }
  if (type !== 'String') {
    return true;
  }
  return !(text.length < limit('MinLength')) && !(text.length > limit('MaxLength')) && (typeof pattern !== 'string' || matches(pattern, text));
}

function matches(pattern: string, text: string): boolean {
  const count = (signs: RegExp) => pattern.match(signs)?.length ?? 0;
  // what a repeated group takes may double with every character.
  if (/\)[+*{]/.test(pattern) || count(/[+*{]/g) > MAX_REPETITIONS || count(/[?|]/g) > MAX_CHOICES || text.length > MAX_TEXT) {
    return true;
  }
  try {
    return new RegExp(`^(?:${pattern})$`).test(text);
  } catch {
    return true;
  }
}
