import { Json } from './template-json';

const MOST_TEXT = 256;
const MOST_REPETITIONS = 3;

/**
 * Whether the limits of a parameter let it have a text: AllowedPattern, MinLength and MaxLength of a text, MinValue and MaxValue of a number.
 *
 * CloudFormation's patterns are Java's; one that is none here, or that could take long to try, lets every text pass.
 *
 * @param declared the parameter as the template declares it.
 * @param text what it would be.
 */
export function withinLimits(declared: Json, text: string): boolean {
  const { AllowedPattern: pattern, Type: type } = declared;
  const limit = (name: string) => (declared[name] === undefined ? NaN : Number(declared[name]));
  if (type === 'Number') {
    const number = Number(text);
    return text.trim() !== '' && !Number.isNaN(number) && !(number < limit('MinValue')) && !(number > limit('MaxValue'));
  }
  return !(text.length < limit('MinLength')) && !(text.length > limit('MaxLength')) && (typeof pattern !== 'string' || matches(pattern, text));
}

function matches(pattern: string, text: string): boolean {
  // repeated groups take a time that grows with every character.
  const repetitions = pattern.match(/[+*{]/g)?.length ?? 0;
  if (/\)[+*{]/.test(pattern) || repetitions > MOST_REPETITIONS || text.length > MOST_TEXT) {
    return true;
  }
  try {
    return new RegExp(`^(?:${pattern})$`).test(text);
  } catch {
    return true;
  }
}
