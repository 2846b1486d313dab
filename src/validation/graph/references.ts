import { asObject, intrinsicOf } from './template-json';

/**
 * Names of the parameters and resources that a function refers to, without those in its arguments; none for any other value.
 *
 * @param node a map of a template.
 */
export function referencesOf(node: unknown): string[] {
  const [name, argument] = intrinsicOf(node) ?? [];
  switch (name) {
    case 'Ref':
      return typeof argument === 'string' ? [argument] : [];
    case 'Fn::GetAtt': {
      const [target]: unknown[] = typeof argument === 'string' ? argument.split('.', 1) : Array.isArray(argument) ? argument : [];
      return typeof target === 'string' ? [target] : [];
    }
    case 'Fn::Sub': {
      const [text, variables]: unknown[] = Array.isArray(argument) ? argument : [argument];
      const names = typeof text === 'string' ? [...text.matchAll(/\$\{([^{}!][^{}]*)\}/g)].map((match) => match[1].trim().split('.')[0]) : [];
      return names.filter((given) => !Object.hasOwn(asObject(variables), given));
    }
    default:
      return [];
  }
}
