import { CfnResource, Stack, Validations, aws_ec2 as ec2, aws_elasticloadbalancingv2 as elbv2 } from 'aws-cdk-lib';
// not from the index of cdk-nag: it loads all of its rules, at every synthesis of every app.
import wildcardPermissions from 'cdk-nag/lib/rules/iam/IAMNoWildcardPermissions';
import { IConstruct } from 'constructs';
import { TrainiumFleetBase } from './fleet/trainium-fleet-base';
import { nearestNames } from './nearest';
import { EfaPlacementGroup } from './network';
import { ProblemsError } from './problems';
import { BedrockRouter } from './router';
import { ServingVpc } from './serving-vpc';

/**
 * A finding of a policy pack of cdk-nag that the constructs of this library leave, and why.
 */
export interface PolicyFinding {
  /** Name of the rule without its pack, such as `EC2RestrictedCommonPorts`. */
  readonly rule: string;

  /** The packs that have it, such as `HIPAA.Security`. */
  readonly packs: string[];

  /** What it is about. */
  readonly resource: string;

  /** Why it stays. */
  readonly reason: string;

  /**
   * What you can do so that it goes away.
   *
   * @default - nothing: a service of this kind cannot satisfy the rule
   */
  readonly option?: string;
}

/**
 * Acknowledges findings of cdk-nag's packs over constructs of this library, with reasons, if you ask for it. Nothing is acknowledged otherwise.
 *
 * Only resources that constructs of this library have defined by then are spoken for, each at its own L1 construct: call it last.
 *
 * @example
 * PolicyAcknowledgements.unavoidable(stack);
 * PolicyAcknowledgements.choices(stack, 'ELBDeletionProtectionEnabled');
 */
export class PolicyAcknowledgements {
  /** Every finding that may be left, in the order of the documentation. */
  public static findings(): PolicyFinding[] {
    return ENTRIES.map(({ rule, packs, resource, reason, option }) => ({
      rule, packs: [...packs], resource, reason, ...(option === undefined ? {} : { option }),
    }));
  }

  /**
   * Acknowledges what no option satisfies.
   *
   * @param scope the app, a stack or a construct; constructs of this library in it are spoken for.
   */
  public static unavoidable(scope: IConstruct): void {
    acknowledge(scope, ENTRIES.filter(({ option }) => option === undefined));
  }

  /**
   * Acknowledges findings that an option would satisfy, which is your choice.
   *
   * Throws a `ProblemsError` (`PolicyRuleUnknown`) if a rule is not one of those with an option.
   *
   * @param scope the app, a stack or a construct; constructs of this library in it are spoken for.
   * @param rules names of rules without their pack, such as `ELBDeletionProtectionEnabled`.
   */
  public static choices(scope: IConstruct, ...rules: string[]): void {
    const choices = ENTRIES.filter(({ option }) => option !== undefined);
    const names = [...new Set(choices.map(({ rule }) => rule))];
    const unknown = rules.filter((rule) => !names.includes(rule));
    if (unknown.length > 0) {
      throw new ProblemsError(unknown.map((rule) => ({
        rule: 'PolicyRuleUnknown',
        path: scope.node.path,
        value: JSON.stringify(rule),
        message: 'no finding of this rule can be acknowledged as a choice',
        mend: `use ${(nearestNames(rule, names)[0] ? nearestNames(rule, names) : names).join(', ')}`,
      })));
    }
    acknowledge(scope, choices.filter(({ rule }) => rules.includes(rule)));
  }

  private constructor() {}
}

const SOLUTIONS = ['AwsSolutions'];
const HIPAA_NIST = ['HIPAA.Security', 'NIST.800.53.R5'];
const NIST_PCI = ['NIST.800.53.R5', 'PCI.DSS.321'];
const ALL_CONFIG = [...HIPAA_NIST, 'PCI.DSS.321'];

interface Entry extends PolicyFinding {
  readonly owner: Owner;
  readonly type: string;
  /** The acknowledgement ids below the rule, such as `[Resource::*]`; the rule itself where it has no findings of its own. */
  readonly findings?: (resource: CfnResource) => string[];
  /** Whether the reason holds for a resource; for all of the type unless given. */
  readonly holds?: (resource: CfnResource) => boolean;
}

/** The class of a construct of this library, which owns the resources below it. */
type Owner = Function & { readonly prototype: IConstruct };

const ENTRIES: Entry[] = [
  {
    rule: 'EC2RestrictedCommonPorts',
    packs: ALL_CONFIG,
    resource: 'ingress of the EFA security group from itself',
    reason: 'EFA needs all traffic (protocol -1) from the security group to itself, and the rule asks not who the source is',
    owner: EfaPlacementGroup,
    type: 'AWS::EC2::SecurityGroupIngress',
    // others may have been let in by you.
    holds: (ingress) => isFromItself(ingress as ec2.CfnSecurityGroupIngress),
  },
  {
    rule: 'ECSTaskDefinitionUserForHostMode',
    packs: ALL_CONFIG,
    resource: 'task definition of a fleet',
    reason: 'the rule asks for privileged containers in host mode; engines run unprivileged as user 1000, and share the host\'s network because EFA is a device of the host',
    owner: TrainiumFleetBase,
    type: 'AWS::ECS::TaskDefinition',
  },
  wildcard('policy of a fleet\'s instances', TrainiumFleetBase, 'Instances', /^Resource::\*$/, 'ecs:DiscoverPollEndpoint takes no resource'),
  wildcard('policy of a fleet\'s instances', TrainiumFleetBase, 'Instances', /:container-instance\/.*\/\*$/, 'an instance does not know the id that ECS will give it'),
  wildcard('policy of a fleet\'s tasks', TrainiumFleetBase, 'TaskPolicy', /^Resource::(arn:.*:s3:::.*|<[^>]*\.Arn>.*)\/.*\*$/, 'the model is whatever lies under its prefix'),
  wildcard('policy of the router\'s execution role', BedrockRouter, 'ExecutionRole', /^Resource::\*$/, 'ecr:GetAuthorizationToken takes no resource'),
  wildcard('policy of a fleet\'s execution role, where the engine\'s image is in Amazon ECR', TrainiumFleetBase, 'ExecutionRole', /^Resource::\*$/,
    'ecr:GetAuthorizationToken takes no resource'),
  {
    rule: 'ELBv2ACMCertificateRequired',
    packs: ALL_CONFIG,
    resource: 'listener that redirects to HTTPS, where the router has RouterListener.tls',
    reason: 'it answers plain HTTP with a redirection to HTTPS, and forwards nothing',
    owner: BedrockRouter,
    type: 'AWS::ElasticLoadBalancingV2::Listener',
    holds: redirects,
  },
  {
    rule: 'VPCNoUnrestrictedRouteToIGW',
    packs: ALL_CONFIG,
    resource: 'route of a public subnet, where the service defines its VPC',
    reason: 'the NAT gateway reaches the internet by it; no instance is in that subnet',
    option: 'give a vpc with VPC endpoints and no public subnets',
    owner: ServingVpc,
    type: 'AWS::EC2::Route',
  },
  {
    rule: 'VPCDefaultSecurityGroupClosed',
    packs: ALL_CONFIG,
    resource: 'VPC, where the service defines it',
    reason: 'closing the default security group takes a custom resource; nothing is in that group',
    option: 'give a vpc with restrictDefaultSecurityGroup',
    owner: ServingVpc,
    type: 'AWS::EC2::VPC',
  },
  ...[TrainiumFleetBase, BedrockRouter, ServingVpc].map((owner): Entry => ({
    rule: 'CloudWatchLogGroupEncrypted',
    packs: ALL_CONFIG,
    resource: owner === TrainiumFleetBase ? 'log group of a fleet' : owner === BedrockRouter ? 'log group of the router' : 'flow logs, where the service defines its VPC',
    reason: 'CloudWatch Logs encrypts with a key of its own',
    option: 'give encryptionKey',
    owner,
    type: 'AWS::Logs::LogGroup',
  })),
  {
    rule: 'AS3',
    packs: SOLUTIONS,
    resource: 'Auto Scaling group of a fleet',
    reason: 'whom to notify is not known',
    option: 'give notificationTopic',
    owner: TrainiumFleetBase,
    type: 'AWS::AutoScaling::AutoScalingGroup',
  },
  ...[['SMG4', SOLUTIONS], ['SecretsManagerRotationEnabled', HIPAA_NIST]].map(([rule, packs]): Entry => ({
    rule: rule as string,
    packs: packs as string[],
    resource: 'API keys of the router',
    reason: 'callers hold the API keys: rotating them is a matter between you and them',
    option: 'give apiKeysSecret with a rotation of your own',
    owner: BedrockRouter,
    type: 'AWS::SecretsManager::Secret',
  })),
  {
    rule: 'SecretsManagerUsingKMSKey',
    packs: ALL_CONFIG,
    resource: 'API keys of the router',
    reason: 'Secrets Manager encrypts with the key that AWS manages for the account',
    option: 'give encryptionKey',
    owner: BedrockRouter,
    type: 'AWS::SecretsManager::Secret',
  },
  ...[['ELB2', SOLUTIONS], ['ELBLoggingEnabled', ALL_CONFIG]].map(([rule, packs]): Entry => ({
    rule: rule as string,
    packs: packs as string[],
    resource: 'load balancer of the router',
    reason: 'access logs need a bucket and a concrete region; requests are in the router\'s own log and metrics',
    option: 'give accessLogsBucket',
    owner: BedrockRouter,
    type: 'AWS::ElasticLoadBalancingV2::LoadBalancer',
  })),
  {
    rule: 'ELBDeletionProtectionEnabled',
    packs: HIPAA_NIST,
    resource: 'load balancer of the router',
    reason: 'a stack with a protected load balancer cannot be deleted',
    option: 'set deletionProtection',
    owner: BedrockRouter,
    type: 'AWS::ElasticLoadBalancingV2::LoadBalancer',
  },
  {
    rule: 'ALBWAFEnabled',
    packs: NIST_PCI,
    resource: 'load balancer of the router',
    reason: 'the load balancer is internal, and prompts trip rules that look for attacks in bodies',
    option: 'associate a web ACL of yours with the router\'s loadBalancer',
    owner: BedrockRouter,
    type: 'AWS::ElasticLoadBalancingV2::LoadBalancer',
  },
  ...['ALBHttpToHttpsRedirection', 'ELBv2ACMCertificateRequired'].map((rule): Entry => ({
    rule,
    packs: ALL_CONFIG,
    resource: 'listener of the router',
    reason: 'without a certificate the router listens on plain HTTP inside the VPC, and warns',
    option: 'give RouterListener.tls as listener',
    owner: BedrockRouter,
    type: 'AWS::ElasticLoadBalancingV2::Listener',
    holds: (listener) => !redirects(listener),
  })),
];

// policies of one owner have the same findings for different reasons: the construct above the policy tells them apart.
function wildcard(resource: string, owner: Owner, above: string, pattern: RegExp, reason: string): Entry {
  return {
    rule: 'IAM5',
    packs: SOLUTIONS,
    resource,
    reason,
    owner,
    type: 'AWS::IAM::ManagedPolicy',
    holds: (policy) => policy.node.scopes.some(({ node }) => node.id === above),
    // the rule itself names its findings, so that no other wildcard of the same policy is acknowledged with them.
    findings: (policy) => {
      const findings = wildcardPermissions(policy);
      return Array.isArray(findings) ? findings.filter((finding) => pattern.test(finding)).map((finding) => `[${finding}]`) : [];
    },
  };
}

function isFromItself(ingress: ec2.CfnSecurityGroupIngress): boolean {
  const [group, source] = [ingress.groupId, ingress.sourceSecurityGroupId].map((id) => JSON.stringify(Stack.of(ingress).resolve(id)));
  return group === source;
}

function redirects(listener: CfnResource): boolean {
  const actions: elbv2.CfnListener.ActionProperty[] = Stack.of(listener).resolve((listener as elbv2.CfnListener).defaultActions);
  return actions.every(({ type }) => type === 'redirect');
}

function acknowledge(scope: IConstruct, entries: readonly Entry[]): void {
  const constructs = scope.node.findAll();
  for (const entry of entries) {
    const owners = constructs.filter((construct) => construct instanceof entry.owner);
    const resources = owners.flatMap((owner) => owner.node.findAll()).filter((child): child is CfnResource => (
      CfnResource.isCfnResource(child) && child.cfnResourceType === entry.type && (entry.holds?.(child) ?? true)
    ));
    for (const resource of new Set(resources)) {
      const findings = entry.findings?.(resource) ?? [''];
      Validations.of(resource).acknowledge(...entry.packs.flatMap((pack) => findings.map((finding) => ({
        id: `${pack}-${entry.rule}${finding}`, reason: entry.reason,
      }))));
    }
  }
}
