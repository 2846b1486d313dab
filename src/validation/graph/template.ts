import { expandLoops } from './loops';
import { referencesOf } from './references';
import { Json, asObject, intrinsicOf, isObject, walk } from './template-json';
import { TemplateProblem, problemsOf } from './template-problems';

/** A template, and which stack it is of. */
export interface TemplateInput {
  /** Name of the stack: a construct path or a file name. It only has to be unique in the set. */
  readonly stack: string;
  /** The parsed template. Anything may be in it: what is malformed becomes unknown, and a problem where it certainly fails. */
  readonly template: unknown;
  /** Region that the stack is deployed to, such as `us-east-2`; without it, the region is unknown. */
  readonly region?: string;
  /** Account that the stack is deployed to; without it, the account is unknown. */
  readonly account?: string;
  /** The `AWS::CloudFormation::Stack` of another template of the set that deploys this one as a nested stack. */
  readonly parent?: { readonly stack: string; readonly logicalId: string };
}

/** A template, read once for all that is asked of it. */
export interface Template {
  readonly input: TemplateInput;
  readonly parameters: Json;
  readonly mappings: Json;
  readonly conditions: Json;
  /** What CloudFormation asserts about parameters before it deploys anything. */
  readonly rules: Json;
  /** Resources with a type. */
  readonly resources: ReadonlyMap<string, Json>;
  readonly outputs: Json;
  /** True when a macro or a loop adds resources that are not seen here. */
  readonly hasUnseenResources: boolean;
  /** Macros, loops and transforms whose results are not seen here. */
  readonly unexpanded: readonly string[];
  /** Conditions that decide about a resource, a property or an output. */
  readonly usedConditions: ReadonlySet<string>;
  /** Names that resources and outputs refer to. */
  readonly references: ReadonlySet<string>;
  readonly problems: readonly TemplateProblem[];
}

/** Transforms that add no resource which a rule looks at. */
const HARMLESS_TRANSFORMS = ['AWS::LanguageExtensions', 'AWS::Serverless-2016-10-31'];

/**
 * Reads a template. Nothing that is in it makes this throw.
 *
 * @param input the template.
 */
export function readTemplate(input: TemplateInput): Template {
  const raw = asObject(input.template);
  const transforms = transformsOf(raw.Transform);
  const template = transforms.includes('AWS::LanguageExtensions') ? asObject(expandLoops(raw)) : raw;
  const resources = new Map<string, Json>();
  const makers = [...'Fn::Transform' in template ? ['Fn::Transform'] : [], ...transforms.filter((name) => !HARMLESS_TRANSFORMS.includes(name))];
  for (const [logicalId, resource] of Object.entries(asObject(template.Resources))) {
    if (logicalId.startsWith('Fn::')) {
      makers.push(logicalId);
    } else if (isObject(resource) && typeof resource.Type === 'string') {
      resources.set(logicalId, resource);
    }
  }
  const outputs = asObject(template.Outputs);
  return {
    input,
    parameters: asObject(template.Parameters),
    mappings: asObject(template.Mappings),
    conditions: asObject(template.Conditions),
    rules: asObject(template.Rules),
    resources,
    outputs,
    hasUnseenResources: makers.length > 0,
    unexpanded: [...makers, ...transforms.filter((name) => name.startsWith('AWS::Serverless'))],
    ...namesOf(resources, outputs),
    problems: problemsOf(input.stack, input.template, transforms.length === 0 && makers.length === 0),
  };
}

function transformsOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : value === undefined ? [] : [value])
    .map((item) => [item, asObject(item).Name].find((name) => typeof name === 'string') ?? 'a macro') as string[];
}

function namesOf(resources: ReadonlyMap<string, Json>, outputs: Json): Pick<Template, 'usedConditions' | 'references'> {
  const usedConditions = new Set<string>();
  const references = new Set<string>();
  const read = (value: unknown) => walk(value, [], (node) => {
    const [name, argument] = intrinsicOf(node) ?? [];
    if (name === 'Fn::If' && Array.isArray(argument) && typeof argument[0] === 'string') {
      usedConditions.add(argument[0]);
    }
    referencesOf(node).forEach((id) => references.add(id));
  });
  for (const entry of [...resources.values(), ...Object.values(outputs)].map(asObject)) {
    // this one is of no interest to any rule, and its condition depends on the region.
    if (entry.Type !== 'AWS::CDK::Metadata') {
      if (typeof entry.Condition === 'string') {
        usedConditions.add(entry.Condition);
      }
      read(entry);
    }
  }
  return { usedConditions, references };
}
