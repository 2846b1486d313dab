import { Json } from './template-json';

// a pattern of more than these could take long to try.
const MOST_TEXT = 64;
const MOST_REPETITIONS = 3;
const MOST_CHOICES = 10;

/**
 * Whether the limits of a parameter let it have a text: AllowedPattern, MinLength and MaxLength of a text, MinValue and MaxValue of a number.
 *
 * Of other types nothing is said: the pattern of a list is for each of its items.
 * CloudFormation's patterns are Java's; one that is none here, or that could take long to try, lets every text pass.
 *
 * @param declared the parameter as the template declares it.
 * @param text what it would be.
 */
export function withinLimits(declared: Json, text: string): boolean {
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
  if (/\)[+*{]/.test(pattern) || count(/[+*{]/g) > MOST_REPETITIONS || count(/[?|]/g) > MOST_CHOICES || text.length > MOST_TEXT) {
    return true;
  }
  try {
    return new RegExp(`^(?:${pattern})$`).test(text);
  } catch {
    return true;
  }
}
