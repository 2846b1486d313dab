import { isRefused, variablesOf } from './graph/conditions';
import { Resolver } from './graph/resolver';
import { Template, TemplateInput, readTemplate } from './graph/template';
import { Resource, TemplateGraph } from './graph/template-graph';
import { TemplateProblem } from './graph/template-problems';
import { UNCHOSEN, Variable, World, describeWorlds, worldsOf } from './graph/world';
import { Found, NotChecked, Rule } from './rule';
import { RULES } from './rules';

export type { TemplateProblem } from './graph/template-problems';

/** A rule that is broken at one place. */
export interface Finding extends Found {
  readonly rule: Rule;
  /** Which parameters break it, such as `Purchase is "spot"`, in the message too; undefined when it is broken whatever they are. */
  readonly when?: string;
}

/** A rule that could not be checked everywhere, once a rule. */
export interface Unchecked {
  readonly rule: Rule;
  /** Every place of it, at least one, each once. */
  readonly places: readonly NotChecked[];
}

/** A template whose processed form has more than what is seen of it. */
export interface UnexpandedTemplate {
  readonly stack: string;
  /** Names of what makes more of it, at least one. */
  readonly makers: readonly string[];
}

/** What the rules say about a set of templates. */
export interface CheckResult {
  readonly findings: readonly Finding[];
  readonly unchecked: readonly Unchecked[];
  /** Nested stacks whose templates are not in the set, so that no rule looks into them. */
  readonly unseen: readonly Resource[];
  /** Templates that macros, transforms and loops make more of than is seen here. */
  readonly unexpanded: readonly UnexpandedTemplate[];
  /** What CloudFormation refuses before any rule is asked: such parts of a template are unknown to the rules. */
  readonly problems: readonly TemplateProblem[];
}

/**
 * Checks CloudFormation templates that are deployed together. Imports nothing of the CDK, so that it runs on template files alone.
 *
 * Where conditions depend on what parameters are, the rules are asked once for everything that the conditions tell apart, and what they
 * find is reported once, with the parameters that it depends on. Parameters that a template's own `Rules` refuse are not asked about.
 *
 * @param inputs the templates; references between them are followed.
 */
export function checkTemplates(inputs: readonly TemplateInput[]): CheckResult {
  const templates = inputs.map(readTemplate);
  const problems = templates.flatMap((template) => template.problems);
  const variables = templates.some(({ usedConditions }) => usedConditions.size > 0) ? variablesOf(new Resolver(templates, UNCHOSEN)) : [];
  const unexpanded = templates.filter((template) => template.unexpanded.length > 0)
    .map((template): UnexpandedTemplate => ({ stack: template.input.stack, makers: template.unexpanded }));
  return { ...checkWorlds(templates, variables), unexpanded, problems };
}

function checkWorlds(templates: readonly Template[], variables: readonly Variable[]): Omit<CheckResult, 'problems' | 'unexpanded'> {
  const findings = new Map<string, { finding: Finding; worlds: World[] }>();
  const places = new Map<Rule, Map<string, NotChecked>>();
  const unseen = new Map<string, Resource>();
  const possible = distinctWorlds(templates, variables);
  for (const worlds of possible) {
    const graph = new TemplateGraph(templates, worlds[0]);
    graph.unseenStacks.forEach((resource) => unseen.set(JSON.stringify([resource.stack, resource.logicalId]), resource));
    for (const rule of RULES) {
      for (const outcome of rule.check(graph)) {
        const { stack, logicalId } = outcome.resource;
        if (outcome.kind === 'not-checked') {
          const ofRule = places.get(rule) ?? new Map<string, NotChecked>();
          const key = JSON.stringify([stack, logicalId, outcome.property, outcome.reason]);
          ofRule.set(key, ofRule.get(key) ?? outcome);
          places.set(rule, ofRule);
          continue;
        }
        const key = JSON.stringify([rule.id, stack, logicalId, outcome.property, outcome.value, outcome.message]);
        const known = findings.get(key);
        if (!known) {
          findings.set(key, { finding: { ...outcome, rule }, worlds: [...worlds] });
        } else if (!known.worlds.includes(worlds[0])) {
          known.worlds.push(...worlds);
        }
      }
    }
  }
  const total = possible.flat().length;
  const order = new Map(RULES.map((rule, index) => [rule, index]));
  const byRule = (a: { rule: Rule }, b: { rule: Rule }) => (order.get(a.rule) as number) - (order.get(b.rule) as number);
  return {
    findings: [...findings.values()].map(({ finding, worlds: broken }) => {
      const when = broken.length === total ? undefined : describeWorlds(variables, broken);
      return when === undefined ? finding : { ...finding, when, message: `${finding.message}, when ${when}` };
    }).sort(byRule),
    unchecked: [...places].map(([rule, ofRule]) => ({ rule, places: [...ofRule.values()] })).sort(byRule),
    unseen: [...unseen.values()],
  };
}

// worlds with the same conditions and the same values are one to the rules: two texts may make one condition true.
function distinctWorlds(templates: readonly Template[], variables: readonly Variable[]): World[][] {
  const isReferredTo = (name: string) => templates.some(({ references }) => references.has(name));
  // two other pseudo parameters follow from the region.
  const values = variables.filter(({ name }) => isReferredTo(name) || (name === 'AWS::Region' && ['AWS::Partition', 'AWS::URLSuffix'].some(isReferredTo)));
  if (variables.length === 0) {
    return [[UNCHOSEN]];
  }
  const resolvers = worldsOf(variables).map((world) => ({ world, resolver: new Resolver(templates, world) }));
  const possible = resolvers.filter(({ resolver }) => !isRefused(resolver));
  const distinct = new Map<string, World[]>();
  // rules that refuse everything are no reason to say nothing.
  for (const { world, resolver } of possible.length > 0 ? possible : resolvers) {
    const conditions = resolver.scopes.flatMap((scope) => [...scope.template.usedConditions].map((name) => resolver.condition(name, scope) ?? null));
    const key = JSON.stringify([conditions, values.map(({ id }) => world.get(id))]);
    distinct.set(key, [...distinct.get(key) ?? [], world]);
  }
  return [...distinct.values()];
}
