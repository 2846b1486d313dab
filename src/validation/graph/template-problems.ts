import { dependencyCycles } from './dependency-cycles';
import { asObject, intrinsicOf, isObject, walk } from './template-json';

/** Something of a template that CloudFormation refuses, so that no rule can be asked about it. */
export interface TemplateProblem {
  readonly stack: string;
  /** The resource; undefined when it is not about one. */
  readonly logicalId?: string;
  /** Where it is, such as `Resources.Group.Properties`; an empty text is the whole template. */
  readonly path: string;
  /** What is wrong, as one sentence without a full stop. */
  readonly message: string;
  /** What to do about it, as one sentence without a full stop. */
  readonly mend: string;
}

interface Shape {
  readonly is: (argument: unknown) => boolean;
  /** What it takes, in words. */
  readonly takes: string;
}

const list = (least: number, most = least): Shape['is'] => (argument) => Array.isArray(argument) && argument.length >= least && argument.length <= most;
const isText: Shape['is'] = (argument) => typeof argument === 'string' || isObject(argument);

/** Arguments of the intrinsic functions, as the CloudFormation template reference gives them. */
const SHAPES: { readonly [name: string]: Shape } = {
  'Ref': { is: (argument) => typeof argument === 'string', takes: 'the name of a parameter or a resource' },
  'Fn::GetAtt': {
    is: (argument) => typeof argument === 'string' ? argument.includes('.') : list(2, 10)(argument),
    takes: 'the name of a resource and an attribute, as a list of two or as "name.attribute"',
  },
  'Fn::Sub': {
    is: (argument) => typeof argument === 'string' || (list(2)(argument) && typeof (argument as unknown[])[0] === 'string' && isObject((argument as unknown[])[1])),
    takes: 'a text, or a list of a text and a map of variables',
  },
  'Fn::Join': {
    is: (argument) => list(2)(argument) && (Array.isArray((argument as unknown[])[1]) || isObject((argument as unknown[])[1])),
    takes: 'a list of a delimiter and a list of values',
  },
  'Fn::Split': { is: list(2), takes: 'a list of a delimiter and a text' },
  'Fn::Select': { is: list(2), takes: 'a list of an index and a list of values' },
  'Fn::If': {
    is: (argument) => list(3)(argument) && typeof (argument as unknown[])[0] === 'string',
    takes: 'a list of the name of a condition, the value when it is true and the value when it is false',
  },
  'Fn::FindInMap': { is: list(3), takes: 'a list of the name of a mapping, a top-level key and a second-level key' },
  'Fn::Cidr': { is: list(2, 3), takes: 'a list of an IP block, a count and the number of bits' },
  'Fn::Base64': { is: isText, takes: 'one text' },
  'Fn::ImportValue': { is: isText, takes: 'the name of an export' },
  'Fn::GetAZs': { is: isText, takes: 'the name of a region' },
  'Fn::Equals': { is: list(2), takes: 'a list of two values' },
  'Fn::Not': { is: list(1), takes: 'a list of one condition' },
  'Fn::And': { is: list(2, 10), takes: 'a list of two to ten conditions' },
  'Fn::Or': { is: list(2, 10), takes: 'a list of two to ten conditions' },
};

const SECTIONS = ['Metadata', 'Parameters', 'Mappings', 'Conditions', 'Resources', 'Outputs', 'Rules', 'Hooks'];

/** A template that is wrong throughout is not told so forever. */
const MAX_PROBLEMS = 100;

/** Resources of a cycle that are named beside the first. */
const MAX_NAMED = 5;

/**
 * What CloudFormation refuses in a template, whatever its resources are.
 *
 * @param stack name of the stack.
 * @param template the parsed template.
 * @param untransformed whether the template reaches CloudFormation as it is: what a macro makes of a function is not known.
 */
export function problemsOf(stack: string, template: unknown, untransformed: boolean): TemplateProblem[] {
  const problems: TemplateProblem[] = [];
  const add = (path: readonly string[], message: string, mend: string) => {
    if (problems.length < MAX_PROBLEMS) {
      const logicalId = path[0] === 'Resources' && path.length > 1 ? path[1] : undefined;
      problems.push({ stack, logicalId, path: path.join('.'), message, mend });
    }
  };
  if (!isObject(template)) {
    add([], `the template is ${kindOf(template)}`, 'write a map with the section Resources');
    return problems;
  }
  if (template.Resources === undefined && untransformed) {
    add([], 'the template has no section Resources', 'add Resources with at least one resource');
  }
  for (const section of SECTIONS.filter((name) => template[name] !== undefined && !isObject(template[name]))) {
    add([section], `${section} is ${kindOf(template[section])}`, `make ${section} a map from names to what they stand for`);
  }
  for (const [logicalId, resource] of Object.entries(asObject(template.Resources))) {
    if (!logicalId.startsWith('Fn::')) {
      resourceProblems(['Resources', logicalId], resource, add);
    }
  }
  if (untransformed) {
    const check = (value: unknown, path: string[]) => walk(value, path, (node, at) => {
      const [name, argument] = intrinsicOf(node) ?? [];
      const shape = name !== undefined && Object.hasOwn(SHAPES, name) ? SHAPES[name] : undefined;
      // a macro may make any argument.
      if (name !== undefined && shape?.is(argument) === false && intrinsicOf(argument)?.[0] !== 'Fn::Transform') {
        add([...at, name], `${name} has arguments that it does not take`, `give it ${shape.takes}`);
      }
    });
    for (const [logicalId, resource] of Object.entries(asObject(template.Resources))) {
      check(asObject(resource).Properties, ['Resources', logicalId, 'Properties']);
    }
    for (const [name, output] of Object.entries(asObject(template.Outputs))) {
      check(output, ['Outputs', name]);
    }
    check(template.Conditions, ['Conditions']);
    for (const [first, ...others] of dependencyCycles(template, MAX_PROBLEMS)) {
      const way = others.length > MAX_NAMED ? [...others.slice(0, MAX_NAMED), `${others.length - MAX_NAMED} more`] : others;
      add(['Resources', first], others.length === 0 ? 'the resource refers to itself' : `the resource waits for itself, by way of ${way.join(', ')}`,
        'take the reference out, or into a resource of its own, such as AWS::EC2::SecurityGroupIngress for a rule of a security group, '
          + 'or AWS::ECS::ClusterCapacityProviderAssociations for the capacity providers of a cluster');
    }
  }
  return problems;
}

function resourceProblems(path: readonly string[], resource: unknown, add: (path: readonly string[], message: string, mend: string) => void): void {
  if (!isObject(resource)) {
    add(path, `the resource is ${kindOf(resource)}`, 'make it a map with Type and Properties');
    return;
  }
  if ('Fn::Transform' in resource) {
    return;
  }
  if (typeof resource.Type !== 'string' || resource.Type === '') {
    add(path, resource.Type === undefined ? 'the resource has no Type' : `Type of the resource is ${kindOf(resource.Type)}`,
      'set Type to that of the resource, such as AWS::EC2::LaunchTemplate');
  }
  if (resource.Properties !== undefined && !isObject(resource.Properties)) {
    add([...path, 'Properties'], `Properties is ${kindOf(resource.Properties)}`, 'make Properties a map from names to values, or drop it');
  }
  if (resource.Condition !== undefined && typeof resource.Condition !== 'string') {
    add([...path, 'Condition'], `Condition of the resource is ${kindOf(resource.Condition)}`, 'give the name of a condition of the section Conditions');
  }
}

function kindOf(value: unknown): string {
  return value === null || value === undefined ? 'empty' : Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'a map'
    : value === '' ? 'an empty text' : typeof value === 'string' ? 'a text' : `a ${typeof value}`;
}
