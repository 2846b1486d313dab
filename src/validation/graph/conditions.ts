import { Resolver } from './resolver';
import { Scope } from './scope';
import { MAX_DEPTH, asObject, intrinsicOf, isObject } from './template-json';
import { Unknown, Value, asList, isScalar, own, same } from './value';
import { Choice, Variable } from './world';

/** More worlds than these are not looked at: the conditions of further parameters are unknown. */
const MAX_WORLDS = 32;

/**
 * Whether a condition of a template holds; undefined where that is not known.
 *
 * @param expression the condition's functions.
 * @param scope where it is.
 * @param resolver resolves what it compares.
 * @param depth how deep it is within others.
 */
export function evaluate(expression: unknown, scope: Scope, resolver: Resolver, depth: number = 0): boolean | undefined {
  const [name, argument] = intrinsicOf(expression) ?? conditionOf(expression) ?? [];
  const args: unknown[] = Array.isArray(argument) ? argument : [];
  if (name === 'Condition') {
    return typeof argument === 'string' ? resolver.condition(argument, scope) : undefined;
  }
  if (name === 'Fn::Equals') {
    const [a, b] = args.map((arg) => resolver.resolve(arg, scope));
    return a === undefined || b === undefined ? undefined : same(a, b);
  }
  if (name === 'Fn::Contains') {
    const [list, item] = args.map((arg) => resolver.resolve(arg, scope));
    const answers = item === undefined ? undefined : asList(list)?.map((other) => same(other, item));
    return answers?.includes(true) ? true : answers?.includes(undefined) ? undefined : answers && false;
  }
  if (depth > MAX_DEPTH || args.length === 0) {
    return undefined;
  }
  const answers = args.map((arg) => evaluate(arg, scope, resolver, depth + 1));
  switch (name) {
    case 'Fn::Not': return answers[0] === undefined ? undefined : !answers[0];
    case 'Fn::And': return answers.includes(false) ? false : answers.includes(undefined) ? undefined : true;
    case 'Fn::Or': return answers.includes(true) ? true : answers.includes(undefined) ? undefined : false;
    default: return undefined;
  }
}

/**
 * Whether CloudFormation certainly deploys nothing in the world of a resolver, since a rule of a template is broken in it.
 *
 * @param resolver resolves what the rules compare.
 */
export function isRefused(resolver: Resolver): boolean {
  return resolver.scopes.some((scope) => Object.values(scope.template.rules).map(asObject).some(({ RuleCondition, Assertions }) => {
    const applies = RuleCondition === undefined || evaluate(RuleCondition, scope, resolver) === true;
    return applies && Array.isArray(Assertions) && Assertions.some((assertion) => evaluate(asObject(assertion).Assert, scope, resolver) === false);
  }));
}

/**
 * The parameters that conditions compare with texts, as far as the conditions decide about anything.
 *
 * @param resolver a set of templates, in the world in which nothing is chosen.
 */
export function variablesOf(resolver: Resolver): Variable[] {
  const compared = new Map<string, Set<string>>();
  for (const scope of resolver.scopes) {
    const seen = new Set<string>();
    for (const name of scope.template.usedConditions) {
      for (const [a, b] of comparisons({ Condition: name }, scope, resolver, seen, 0)) {
        const [unknown, text] = a instanceof Unknown ? [a, b] : [b, a];
        if (unknown instanceof Unknown && unknown.facts.parameter !== undefined && isScalar(text)) {
          const texts = compared.get(unknown.facts.parameter) ?? new Set();
          compared.set(unknown.facts.parameter, texts.add(String(text)));
        }
      }
    }
  }
  let worlds = 1;
  return [...compared].flatMap(([id, texts]) => {
    const choices = choicesOf([...texts].filter((text) => resolver.parameters.lets(id, text)), resolver.parameters.allowedValues(id));
    worlds *= choices.length;
    if (worlds > MAX_WORLDS) {
      worlds /= choices.length;
      return [];
    }
    return [{ id, name: resolver.parameters.nameOf(id)!, choices }];
  });
}

// a value for each text that a condition tells apart, and one that stands for all others.
function choicesOf(texts: readonly string[], allowed: readonly string[] | undefined): Choice[] {
  const possible = allowed ? texts.filter((text) => allowed.includes(text)) : texts;
  const others = allowed?.filter((text) => !texts.includes(text));
  const choices: Choice[] = possible.map((value) => ({ value, not: [] }));
  return others?.length === 0 ? choices : [...choices, { value: others?.length === 1 ? others[0] : undefined, not: texts }];
}

/** The two sides of every comparison that a condition depends on. */
function* comparisons(
  expression: unknown, scope: Scope, resolver: Resolver, seen: Set<string>, depth: number,
): Iterable<[Value | undefined, Value | undefined]> {
  const [name, argument] = intrinsicOf(expression) ?? conditionOf(expression) ?? [];
  if (depth > MAX_DEPTH) {
    return;
  }
  if (name === 'Condition' && typeof argument === 'string' && !seen.has(argument)) {
    seen.add(argument);
    yield* comparisons(own(scope.template.conditions, argument), scope, resolver, seen, depth + 1);
  } else if (name === 'Fn::Equals' && Array.isArray(argument)) {
    yield [resolver.resolve(argument[0], scope), resolver.resolve(argument[1], scope)];
  } else if ((name === 'Fn::And' || name === 'Fn::Or' || name === 'Fn::Not') && Array.isArray(argument)) {
    for (const part of argument) {
      yield* comparisons(part, scope, resolver, seen, depth + 1);
    }
  }
}

function conditionOf(value: unknown): [string, unknown] | undefined {
  return isObject(value) && Object.keys(value).length === 1 && 'Condition' in value ? ['Condition', value.Condition] : undefined;
}
