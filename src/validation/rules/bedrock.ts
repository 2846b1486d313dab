import { Link, Resource, TemplateGraph, Unknown, Value, asList, same, valueAt } from '../graph/template-graph';
import { Outcome, Rule, found, notChecked } from '../rule';
import {
  PolicyStatement, PolicyTarget, allows, identityPoliciesOf, matchesPattern, mayAllow, rolePoliciesOf, statementsOf,
} from '../views/iam-policies';
import { hasHole, partialText } from '../views/partial-text';

const FAMILY = 'bedrock';
const AUTHORIZATION_REFERENCE = 'https://docs.aws.amazon.com/service-authorization/latest/reference/list_bedrock.html';
const PROFILE_GUIDE = 'https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html';

/** The only actions that Bedrock's invocation of models is authorised by. */
const INVOKE_ACTIONS = ['bedrock:InvokeModel', 'bedrock:InvokeModelWithResponseStream'];

/** Names that look like actions and are none, with the action that authorises what is meant; in lower case. */
const MISNAMED_ACTIONS: { readonly [action: string]: string } = {
  'bedrock:converse': 'bedrock:InvokeModel',
  'bedrock:converse*': 'bedrock:InvokeModel',
  'bedrock:conversestream': 'bedrock:InvokeModelWithResponseStream',
  'bedrock:conversemodel': 'bedrock:InvokeModel',
  'bedrock:invoke': 'bedrock:InvokeModel',
  'bedrock:invokemodelwithresponse': 'bedrock:InvokeModelWithResponseStream',
  'bedrock:invokemodelwithstream': 'bedrock:InvokeModelWithResponseStream',
  'bedrock:invokemodelstream': 'bedrock:InvokeModelWithResponseStream',
  'bedrock-runtime:*': 'bedrock:InvokeModel',
  'bedrock-runtime:converse': 'bedrock:InvokeModel',
  'bedrock-runtime:conversestream': 'bedrock:InvokeModelWithResponseStream',
  'bedrock-runtime:invokemodel': 'bedrock:InvokeModel',
  'bedrock-runtime:invoke*': 'bedrock:InvokeModel',
  'bedrock-runtime:invokemodelwith*': 'bedrock:InvokeModelWithResponseStream',
  'bedrock-runtime:invokemodel*': 'bedrock:InvokeModel',
  'bedrock-runtime:invokemodelwithresponsestream': 'bedrock:InvokeModelWithResponseStream',
  'bedrock:createinference': 'bedrock-mantle:CreateInference',
  'bedrock-mantle:invokemodel': 'bedrock-mantle:CreateInference',
};

/** Kinds of resource whose ARN names an account; a foundation model's names none. */
const KINDS_WITH_ACCOUNT = new Set([
  'inference-profile', 'application-inference-profile', 'provisioned-model', 'custom-model', 'custom-model-deployment', 'imported-model',
  'prompt-router', 'default-prompt-router', 'guardrail', 'guardrail-profile',
]);

/** What the ids of system-defined inference profiles begin with. */
const ROUTES = '(us|eu|apac|us-gov|jp|au|ca|global)';

interface BedrockArn {
  readonly service: string;
  readonly region: string;
  readonly account: string;
  /** Such as `foundation-model`. */
  readonly kind: string;
  /** What follows the kind; it may have holes. */
  readonly id: string;
}

export const BEDROCK_RULES: Rule[] = [
  {
    id: 'BedrockModelArnMalformed',
    family: FAMILY,
    severity: 'error',
    title: 'The ARN of a Bedrock model or profile has the parts that its kind has',
    why: 'a policy with such an ARN matches nothing, so the first call fails with AccessDeniedException',
    mend: 'write arn:aws:bedrock:REGION::foundation-model/ID for a foundation model, which is of no account, '
      + 'and arn:aws:bedrock:REGION:ACCOUNT:KIND/ID for profiles and all else',
    source: AUTHORIZATION_REFERENCE,
    *check(graph) {
      for (const policy of [...identityPoliciesOf(graph), ...endpointPoliciesOf(graph)]) {
        // a denial that matches nothing lets no call fail.
        for (const statement of policy.filter(({ effect }) => effect !== 'Deny')) {
          for (const { value, text } of statement.resources) {
            const fault = text === undefined ? undefined : arnFault(text);
            // one that matches nothing does no harm beside one that lets the same be done with the same model.
            if (fault && !policy.some((other) => mayAllowSame(other, statement) && other.resources.some((target) => target.text !== undefined
              && arnFault(target.text) === undefined && covers(target, fault.kind) && mayMeanSame(target.text, text!)))) {
              yield found(statement.resource, `${statement.property}.Resource`, value, fault.message);
            }
          }
        }
      }
      for (const { resource, property, arn } of modelArnsOf(graph)) {
        const text = partialText(arn);
        const fault = text === undefined ? undefined : arnFault(text);
        if (fault) {
          yield found(resource, property, arn, fault.message);
        }
      }
    },
  },
  {
    id: 'BedrockActionUnknown',
    family: FAMILY,
    severity: 'error',
    title: 'A policy that lets somebody call Bedrock models names the actions that exist',
    why: 'IAM accepts any name and such a statement grants nothing: Converse is authorised by bedrock:InvokeModel and ConverseStream by '
      + 'bedrock:InvokeModelWithResponseStream, and bedrock-runtime is no prefix of actions, so the first call fails with AccessDeniedException',
    mend: 'allow bedrock:InvokeModel and, for streams, bedrock:InvokeModelWithResponseStream',
    source: AUTHORIZATION_REFERENCE,
    *check(graph) {
      const whole = rolePoliciesOf(graph).filter(({ isAllOfBedrock }) => isAllOfBedrock).map(({ statements }) => statements);
      const spokenOf = new Set<string>();
      for (const { statement, action, meant } of policiesOfOthers(graph).flatMap(misnamedActions)) {
        yield notChecked(statement.resource, `${statement.property}.Action`,
          `there is no action ${action}, and it is not known whether another policy of whoever has this one allows ${meant}`);
      }
      for (const statements of [...whole, ...endpointPoliciesOf(graph)]) {
        for (const { statement, action, meant } of misnamedActions(statements)) {
          const place = `${statement.resource.stack} ${statement.resource.logicalId} ${statement.property} ${action}`;
          if (!spokenOf.has(place)) {
            spokenOf.add(place);
            yield found(statement.resource, `${statement.property}.Action`, action, `there is no such action, and nothing here allows ${meant}, which is the one that counts, on the same resources`);
          }
        }
      }
    },
  },
  {
    id: 'BedrockProfileWithoutModels',
    family: FAMILY,
    severity: 'error',
    title: 'Who may invoke an inference profile may invoke the foundation models that it routes to',
    why: 'a call through a profile is authorised for the profile and for the foundation model: without the second it fails with AccessDeniedException',
    mend: 'allow the same actions on the foundation model in every destination region, arn:aws:bedrock:REGION::foundation-model/ID, '
      + 'with the condition bedrock:InferenceProfileArn to keep it to that profile',
    source: PROFILE_GUIDE,
    *check(graph) {
      for (const statements of policiesOfOthers(graph)) {
        for (const statement of statements.filter((one) => withoutModel(one, statements))) {
          yield notChecked(statement.resource, `${statement.property}.Resource`,
            'it is not known whether another policy of whoever has this one allows the foundation model of the profile');
        }
      }
      for (const { statements } of rolePoliciesOf(graph).filter(({ isAllOfBedrock }) => isAllOfBedrock)) {
        for (const statement of statements) {
          const missing = withoutModel(statement, statements);
          if (missing) {
            const { profile, actions } = missing;
            yield found(statement.resource, `${statement.property}.Resource`, profile.value,
              `${actions.join(' and ')} ${actions.length > 1 ? 'are' : 'is'} allowed on an inference profile and not on its foundation model`);
          }
        }
      }
    },
  },
  {
    id: 'BedrockGlobalProfileModels',
    family: FAMILY,
    severity: 'error',
    title: 'Who may invoke a global inference profile may invoke the foundation model without a region',
    why: 'calls through a global profile are authorised for arn:aws:bedrock:::foundation-model/ID, '
      + 'so they fail with AccessDeniedException when only models of named regions are allowed',
    mend: 'allow the same actions on arn:aws:bedrock:::foundation-model/ID too',
    source: 'https://docs.aws.amazon.com/bedrock/latest/userguide/global-cross-region-inference.html',
    check: (graph) => profileOutcomes(graph, /^global\./, (regions) => regions.every((region) => !matchesPattern(region, '')),
      'the foundation model is allowed in named regions only, and a global profile calls the one without a region'),
  },
  {
    id: 'BedrockProfileOneRegion',
    family: FAMILY,
    severity: 'warning',
    title: 'Who may invoke a cross-region inference profile may invoke the foundation model in more than one region',
    why: 'the profile routes to several regions, and calls fail with AccessDeniedException whenever they are routed to one that is not allowed',
    mend: 'allow the foundation model in every destination region that GetInferenceProfile shows',
    source: PROFILE_GUIDE,
    check: (graph) => profileOutcomes(graph, new RegExp(`^(?!global)${ROUTES}\\.`), (regions) => new Set(regions).size === 1 && !/[*?]/.test(regions[0]) && regions[0] !== '',
      'the foundation model is allowed in one region only, and the profile routes to several'),
  },
  {
    id: 'BedrockProfileSourceRegion',
    family: FAMILY,
    severity: 'error',
    title: 'An application inference profile copies from a model or profile of its own region',
    why: 'the deployment fails with "Model not found" or "Inference profile not found"',
    mend: "name the stack's region in ModelSource.CopyFrom",
    source: 'https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateInferenceProfile.html',
    *check(graph) {
      for (const resource of graph.ofType('AWS::Bedrock::ApplicationInferenceProfile')) {
        const copied = resource.get('ModelSource', 'CopyFrom');
        const arn = parseArn(partialText(copied));
        if (arn === undefined || hasHole(arn.region) || resource.region === undefined) {
          if (copied instanceof Unknown || (arn !== undefined && arn.region !== '<region>')) {
            yield notChecked(resource, 'ModelSource.CopyFrom', copied instanceof Unknown ? copied : 'the region of the stack is not known');
          }
        } else if (arn.region !== resource.region) {
          yield found(resource, 'ModelSource.CopyFrom', copied, `it is copied from another region than the stack's, ${resource.region}`);
        }
      }
    },
  },
  {
    id: 'BedrockPromptRouterModels',
    family: FAMILY,
    severity: 'error',
    title: 'A prompt router routes between two models of one provider, and falls back to one of them',
    why: 'the deployment fails: CreatePromptRouter refuses other lists of models',
    mend: 'list two models of one provider in Models, and name one of them in FallbackModel',
    source: 'https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-routing.html',
    *check(graph) {
      for (const router of graph.ofType('AWS::Bedrock::IntelligentPromptRouter')) {
        const known = asList(router.get('Models'))?.map((model) => valueAt(model, 'ModelArn')).filter((arn) => arn !== undefined) ?? [];
        // a model that is not known may be no model at all.
        if (known.length === 0 || (asList(router.get('Models')) ?? []).some((model) => model instanceof Unknown)) {
          continue;
        }
        const providers = new Set(known.map((model) => providerOf(partialText(model))).filter((provider) => provider !== undefined));
        const fallback = router.get('FallbackModel', 'ModelArn');
        if (known.length !== 2) {
          yield found(router, 'Models', known, `${known.length === 1 ? 'one model is' : `${known.length} models are`} listed, and a prompt router has two`);
        } else if (same(known[0], known[1]) === true) {
          yield found(router, 'Models', known, 'both models are the same');
        } else if (providers.size > 1) {
          yield found(router, 'Models', known, `the models are of different providers: ${[...providers].join(' and ')}`);
        } else if (fallback !== undefined && known.every((model) => same(model, fallback) === false)) {
          yield found(router, 'FallbackModel.ModelArn', fallback, 'the fallback model is not one of Models');
        }
      }
    },
  },
];

function arnFault(text: string): { kind: string; message: string } | undefined {
  if (!text.includes(':bedrock')) {
    return undefined;
  }
  const short = /^arn:[^:]*:bedrock:[^:]*:foundation-model\//.exec(text);
  if (short && !hasHole(short[0])) {
    return { kind: 'foundation-model', message: 'an ARN has two colons between the region and "foundation-model"' };
  }
  const arn = parseArn(text);
  if (arn === undefined) {
    return undefined;
  }
  const known = arn.kind === 'foundation-model' || KINDS_WITH_ACCOUNT.has(arn.kind);
  if (!known) {
    return undefined;
  }
  if (arn.service === 'bedrock-runtime') {
    return { kind: arn.kind, message: 'the service of the ARN is "bedrock": "bedrock-runtime" is the name of an endpoint' };
  }
  if (arn.service !== 'bedrock') {
    return undefined;
  }
  if (arn.kind === 'foundation-model') {
    return hasHole(arn.account) || matchesPattern(arn.account, '') ? undefined : { kind: arn.kind, message: 'the ARN of a foundation model names no account' };
  }
  return arn.account === '' ? { kind: arn.kind, message: `the ARN of ${/^[aeiou]/.test(arn.kind) ? 'an' : 'a'} ${arn.kind} names its account` } : undefined;
}

/** Undefined for what is no ARN of six parts, and for one whose service or kind is unknown; the other parts may have holes. */
function parseArn(text: string | undefined): BedrockArn | undefined {
  const [arn, partition, service, region, account, ...rest] = (text ?? '').split(':');
  const [kind, ...id] = rest.join(':').split('/');
  const unknown = [partition, region, account].includes(undefined!) || [service, kind].some((part) => part === undefined || hasHole(part));
  return arn !== 'arn' || unknown || kind === '' ? undefined : { service, region, account, kind, id: id.join('/') };
}

/** Whether a target may be one of a kind; where it is not known, it may. */
function covers(target: PolicyTarget, kind: string): boolean {
  if (target.value instanceof Link && target.value.resource.type === 'AWS::Bedrock::ApplicationInferenceProfile') {
    return kind === 'application-inference-profile';
  }
  if (target.text === undefined) {
    return true;
  }
  const arn = parseArn(target.text);
  if (arn === undefined) {
    // an ARN that stops early in a wildcard, or one that is not known.
    return hasHole(target.text) || target.text.includes('*') || arnFault(target.text)?.kind === kind;
  }
  return matchesPattern(arn.service, 'bedrock') && matchesPattern(arn.kind, kind) && (kind !== 'foundation-model' || hasHole(arn.account) || matchesPattern(arn.account, ''))
    // a wrong ARN is another rule's finding: it was meant to be one.
    || arnFault(target.text)?.kind === kind;
}

/** Whether a statement may allow an action that another one names. */
function mayAllowSame(statement: PolicyStatement, other: PolicyStatement): boolean {
  return other.actions.some((action) => action === undefined || /[*?]/.test(action) || mayAllow(statement, action));
}

/** Whether the ids at the ends of two ARNs may be one. */
function mayMeanSame(a: string, b: string): boolean {
  return mayOverlap(/[^/]*$/.exec(a)![0], /[^/]*$/.exec(b)![0]);
}

/** Whether two patterns may fit one text; where one is not known, they may. */
function mayOverlap(a: string | undefined, b: string | undefined): boolean {
  return a === undefined || b === undefined || hasHole(a) || hasHole(b) || matchesPattern(a, b) || matchesPattern(b, a);
}

function isProfile(target: PolicyTarget): boolean {
  if (target.value instanceof Link) {
    return target.value.resource.type === 'AWS::Bedrock::ApplicationInferenceProfile';
  }
  const arn = parseArn(target.text);
  return arn !== undefined && arn.service === 'bedrock' && (arn.kind === 'inference-profile' || arn.kind === 'application-inference-profile');
}

/** What may be a foundation model of a profile that an action is allowed on. */
function modelTargets(profile: PolicyTarget, statements: readonly PolicyStatement[], action: string): PolicyTarget[] {
  // the id of a system-defined profile is that of its model, behind where it routes to.
  const id = parseArn(profile.text)?.kind === 'inference-profile' ? new RegExp(`^${ROUTES}\\.(.+)$`).exec(parseArn(profile.text)!.id)?.[2] : undefined;
  const model = id === undefined || hasHole(id) || /[*?]/.test(id) ? undefined : id;
  return statements.filter((statement) => mayAllow(statement, action))
    .flatMap(({ resources }) => resources.filter((target) => covers(target, 'foundation-model') && (model === undefined || mayBeModel(target, model))));
}

function mayBeModel({ text }: PolicyTarget, model: string): boolean {
  const arn = parseArn(text);
  return arn === undefined || arn.kind !== 'foundation-model' || hasHole(arn.id) || matchesPattern(arn.id, model);
}

/** Profiles of these ids whose foundation models are allowed, but not in the regions that are needed. */
function* profileOutcomes(graph: TemplateGraph, id: RegExp, wrong: (regions: string[]) => boolean, message: string): Iterable<Outcome> {
  for (const { statements } of rolePoliciesOf(graph).filter(({ isAllOfBedrock }) => isAllOfBedrock)) {
    for (const statement of statements) {
      const profile = statement.resources.find((target) => isProfile(target) && id.test(parseArn(target.text)?.id ?? ''));
      const action = INVOKE_ACTIONS.find((name) => allows(statement, name));
      if (profile === undefined || action === undefined) {
        continue;
      }
      const models = modelTargets(profile, statements, action);
      const arns = models.map(({ text }) => parseArn(text));
      // models of an unknown or a wrong ARN may be in any region.
      const certain = arns.every((arn) => arn !== undefined && !hasHole(arn.region)) && models.every(({ text }) => arnFault(text!) === undefined);
      if (models.length > 0 && certain && wrong(arns.map((arn) => arn!.region))) {
        yield found(statement.resource, `${statement.property}.Resource`, profile.value, message);
      }
    }
  }
}

function misnamedActions(statements: readonly PolicyStatement[]): { statement: PolicyStatement; action: string; meant: string }[] {
  return statements.filter(({ effect }) => effect === 'Allow').flatMap((statement) => statement.actions.flatMap((action) => {
    const meant = action !== undefined && Object.hasOwn(MISNAMED_ACTIONS, action.toLowerCase()) ? MISNAMED_ACTIONS[action.toLowerCase()] : undefined;
    const isAllowed = meant !== undefined && statements.some((other) => mayAllow(other, meant) && other.resources.some((target) => (
      statement.resources.some((own) => mayOverlap(target.text, own.text)))));
    return meant === undefined || isAllowed ? [] : [{ statement, action: action!, meant }];
  }));
}

// of users, groups and roles that are not known wholly: each may have more policies
function policiesOfOthers(graph: TemplateGraph): PolicyStatement[][] {
  const known = new Set(rolePoliciesOf(graph).filter(({ isAllOfBedrock }) => isAllOfBedrock).flatMap(({ statements }) => statements));
  return identityPoliciesOf(graph).filter((policy) => !policy.some((statement) => known.has(statement)));
}

// what a statement allows on an inference profile while no statement allows it on a foundation model
function withoutModel(statement: PolicyStatement, statements: readonly PolicyStatement[]): { profile: PolicyTarget; actions: string[] } | undefined {
  return statement.resources.filter(isProfile)
    .map((profile) => ({
      profile,
      actions: INVOKE_ACTIONS.filter((action) => allows(statement, action) && modelTargets(profile, statements, action).length === 0),
    }))
    .find(({ actions }) => actions.length > 0);
}

// a policy of a VPC endpoint is all that the endpoint lets through.
function endpointPoliciesOf(graph: TemplateGraph): PolicyStatement[][] {
  return graph.ofType('AWS::EC2::VPCEndpoint').map((endpoint) => statementsOf(endpoint, 'PolicyDocument', endpoint.get('PolicyDocument')));
}

function modelArnsOf(graph: TemplateGraph): { resource: Resource; property: string; arn: Value | undefined }[] {
  return [
    ...graph.ofType('AWS::Bedrock::ApplicationInferenceProfile')
      .map((resource) => ({ resource, property: 'ModelSource.CopyFrom', arn: resource.get('ModelSource', 'CopyFrom') })),
    ...graph.ofType('AWS::Bedrock::IntelligentPromptRouter').flatMap((resource) => (asList(resource.get('Models')) ?? [])
      .map((model, index) => ({ resource, property: `Models.${index}.ModelArn`, arn: valueAt(model, 'ModelArn') }))),
  ];
}

/** The provider of a model, read from its ARN: what is before the first dot, a geography aside. */
function providerOf(text: string | undefined): string | undefined {
  const arn = parseArn(text);
  if (arn === undefined || hasHole(arn.id) || (arn.kind !== 'foundation-model' && arn.kind !== 'inference-profile')) {
    return undefined;
  }
  const [first, second] = arn.id.replace(new RegExp(`^${ROUTES}\\.`), '').split('.');
  return second === undefined ? undefined : first;
}
