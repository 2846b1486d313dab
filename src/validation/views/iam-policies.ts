import { handedOn } from './handed-on';
import { partialText } from './partial-text';
import { viewOf } from './view';
import { HOLE, Link, Resource, TemplateGraph, Unknown, Value, asList, linked, several, valueAt } from '../graph/template-graph';

/** One statement of a policy, what is unknown kept as undefined. */
export interface PolicyStatement {
  /** The resource that it is written in. */
  readonly resource: Resource;
  /** Its path below `Properties`. */
  readonly property: string;
  readonly effect: Value | undefined;
  /** Patterns of actions; an undefined one may be any. */
  readonly actions: readonly (string | undefined)[];
  readonly resources: readonly PolicyTarget[];
}

/** What a statement is about. */
export interface PolicyTarget {
  readonly value: Value | undefined;
  /** The pattern as far as it is known, see `partialText`; undefined when it may be any. */
  readonly text?: string;
}

/** A role of the set with all that is attached to it. */
export interface RolePolicies {
  readonly role: Resource;
  readonly statements: readonly PolicyStatement[];
  /** False when policies are attached that are not known, or may grant something of Amazon Bedrock. */
  readonly isAllOfBedrock: boolean;
}

/** Policies of AWS that grant nothing of Amazon Bedrock and are known by their last part. */
const AWS_MANAGED_WITHOUT_BEDROCK = new Set([
  'AWSLambdaBasicExecutionRole', 'AWSLambdaVPCAccessExecutionRole', 'AWSXRayDaemonWriteAccess', 'AmazonSSMManagedInstanceCore',
  'AmazonECSTaskExecutionRolePolicy', 'AmazonEC2ContainerServiceforEC2Role', 'AmazonEC2ContainerRegistryReadOnly',
  'AmazonEC2ContainerRegistryPullOnly', 'AmazonEKSWorkerNodePolicy', 'AmazonEKS_CNI_Policy', 'CloudWatchAgentServerPolicy',
  'AmazonS3ReadOnlyAccess',
]);

const statementsOfResource = new WeakMap<Resource, Map<string, PolicyStatement[]>>();

/** Every role of the set. */
export const rolePoliciesOf = viewOf((graph): RolePolicies[] => {
  const attached = attachedStatements(graph);
  return graph.ofType('AWS::IAM::Role').map((role) => policiesOfRole(graph, role, attached));
});

/** Every statement of an identity's policy, attached or not, policy by policy. */
export function identityPoliciesOf(graph: TemplateGraph): PolicyStatement[][] {
  return graph.resources.flatMap((resource) => {
    if (['AWS::IAM::Role', 'AWS::IAM::User', 'AWS::IAM::Group'].includes(resource.type)) {
      return inlinePolicies(resource).map((policy, index) => statementsOf(resource, `Policies.${index}.PolicyDocument`, valueAt(policy, 'PolicyDocument')));
    }
    return DOCUMENT_TYPES.has(resource.type) ? [statementsOf(resource, 'PolicyDocument', resource.get('PolicyDocument'))] : [];
  });
}

/**
 * The statements of a policy document.
 *
 * @param resource the resource that it is written in.
 * @param property its path below `Properties`.
 * @param document the document.
 */
export function statementsOf(resource: Resource, property: string, document: Value | undefined): PolicyStatement[] {
  const known = statementsOfResource.get(resource) ?? new Map<string, PolicyStatement[]>();
  statementsOfResource.set(resource, known);
  const statements = known.get(property) ?? readStatements(resource, property, document);
  known.set(property, statements);
  return statements;
}

function readStatements(resource: Resource, property: string, document: Value | undefined): PolicyStatement[] {
  if (document === undefined) {
    return [];
  }
  const listed = document instanceof Unknown ? document : valueAt(typeof document === 'string' ? parsed(document) : document, 'Statement');
  return several(listed).map((statement, index) => ({
    resource,
    property: `${property}.Statement${Array.isArray(listed) ? `.${index}` : ''}`,
    effect: valueAt(statement, 'Effect'),
    // all but some actions may be any action.
    actions: valueAt(statement, 'NotAction') !== undefined ? [undefined]
      : several(valueAt(statement, 'Action')).map((action) => typeof action === 'string' ? action : undefined),
    resources: valueAt(statement, 'NotResource') !== undefined ? [{ value: undefined }]
      : several(valueAt(statement, 'Resource')).map((value) => ({ value, text: targetText(value) })),
  }));
}

// of a policy variable such as ${aws:PrincipalTag/model} anything may become.
function targetText(value: Value): string | undefined {
  return partialText(value)?.replaceAll(/\$\{[^}]*\}/g, HOLE);
}

// CloudFormation takes a document as JSON text too; of any other text nothing is known.
function parsed(text: string): Value {
  try {
    return JSON.parse(text) as Value;
  } catch {
    return { Statement: new Unknown('a policy document that is a text', '') };
  }
}

/** Whether a statement certainly allows an action on something. */
export function allows(statement: PolicyStatement, action: string): boolean {
  return statement.effect === 'Allow' && statement.actions.some((pattern) => pattern !== undefined && matchesAction(pattern, action));
}

/** Whether a statement may allow an action: all that is unknown is taken for a yes. */
export function mayAllow(statement: PolicyStatement, action: string): boolean {
  return statement.effect !== 'Deny' && statement.actions.some((pattern) => pattern === undefined || matchesAction(pattern, action));
}

/** Whether a text fits a pattern of IAM, with `*` for any text and `?` for one character. */
export function matchesPattern(pattern: string, text: string): boolean {
  let [at, position, star, resume] = [0, 0, -1, 0];
  while (position < text.length) {
    if (pattern[at] === '*') {
      [star, resume] = [at, position];
      at += 1;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === text[position])) {
      at += 1;
      position += 1;
    } else if (star >= 0) {
      resume += 1;
      [at, position] = [star + 1, resume];
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(at));
}

function matchesAction(pattern: string, action: string): boolean {
  return matchesPattern(pattern.toLowerCase(), action.toLowerCase());
}

const DOCUMENT_TYPES = new Set([
  'AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy', 'AWS::IAM::RolePolicy', 'AWS::IAM::UserPolicy', 'AWS::IAM::GroupPolicy',
]);

function policiesOfRole(graph: TemplateGraph, role: Resource, attached: Map<Resource | string, PolicyStatement[]>): RolePolicies {
  const statements = [...attached.get(role) ?? []];
  const name = role.get('RoleName');
  if (typeof name === 'string') {
    statements.push(...attached.get(`${role.place} ${name}`) ?? []);
  }
  inlinePolicies(role).forEach((policy, index) => {
    statements.push(...statementsOf(role, `Policies.${index}.PolicyDocument`, valueAt(policy, 'PolicyDocument')));
  });
  let isAllOfBedrock = !graph.hasUnseenResources && !handedOn(graph).has(role) && !(role.get('Policies') instanceof Unknown) && !attached.has('');
  for (const arn of several(role.get('ManagedPolicyArns'))) {
    const managed = linked(arn, 'AWS::IAM::ManagedPolicy');
    if (managed) {
      statements.push(...statementsOf(managed, 'PolicyDocument', managed.get('PolicyDocument')));
    } else {
      const text = partialText(arn) ?? '';
      isAllOfBedrock &&= text.includes(':iam::aws:policy/') && AWS_MANAGED_WITHOUT_BEDROCK.has(text.split('/').at(-1)!);
    }
  }
  return { role, statements, isAllOfBedrock };
}

// by the role itself, or by its name.
function attachedStatements(graph: TemplateGraph): Map<Resource | string, PolicyStatement[]> {
  const result = new Map<Resource | string, PolicyStatement[]>();
  for (const [type, property] of [['AWS::IAM::Policy', 'Roles'], ['AWS::IAM::ManagedPolicy', 'Roles'], ['AWS::IAM::RolePolicy', 'RoleName']]) {
    for (const policy of graph.ofType(type)) {
      const statements = statementsOf(policy, 'PolicyDocument', policy.get('PolicyDocument'));
      for (const role of several(policy.get(property))) {
        // a role that is not known may be any: '' is no name of a role.
        const key = role instanceof Link ? role.resource : typeof role === 'string' ? `${policy.place} ${role}` : '';
        result.set(key, [...result.get(key) ?? [], ...statements]);
      }
    }
  }
  return result;
}

function inlinePolicies(resource: Resource): Value[] {
  return asList(resource.get('Policies')) ?? [];
}

/** Whether a role certainly has no policy at all. */
export function hasNoPolicy(graph: TemplateGraph, role: Resource): boolean {
  const isEmpty = (name: string) => asList(role.get(name))?.length === 0;
  const { roles, mayNameAny } = policyHolders(graph);
  return isEmpty('ManagedPolicyArns') && isEmpty('Policies') && !graph.hasUnseenResources && !handedOn(graph).has(role) && !mayNameAny && !roles.has(role);
}

/** Roles that policies are attached to by reference, and whether one is attached by a name, which may be any role's. */
const policyHolders = viewOf((graph): { readonly roles: ReadonlySet<Resource>; readonly mayNameAny: boolean } => {
  const named = ['AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy', 'AWS::IAM::RolePolicy'].flatMap((type) => graph.ofType(type))
    .flatMap((policy) => several(policy.get('RoleName') ?? policy.get('Roles')));
  return {
    roles: new Set(named.flatMap((role) => role instanceof Link ? [role.resource] : [])),
    mayNameAny: named.some((role) => !(role instanceof Link)),
  };
});
