import { Link, Resource, TemplateGraph, Unknown, Value, asInteger, asList, linked, same, several, textParts, valueAt } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import { handedOn } from '../views/handed-on';
import { matchesPattern } from '../views/iam-policies';
import { launchData, launchProperty, launchesOf } from '../views/launches';
import { hasHole, partialText } from '../views/partial-text';
import { userDataBytes } from '../views/user-data';

const FAMILY = 'launch-template';
const METADATA_REFERENCE = 'https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-ec2-launchtemplate-metadataoptions.html';
const VERSION_REFERENCE = 'https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-autoscaling-autoscalinggroup-launchtemplatespecification.html';

const MAX_USER_DATA_BYTES = 16_384;

/** Characters that are in no variety of Base64. */
const NOT_BASE64 = /[^A-Za-z0-9+/=_\s-]/;

/** Where a type names a version of a launch template. */
const VERSION_PATHS: { readonly [type: string]: readonly string[][] } = {
  'AWS::AutoScaling::AutoScalingGroup': [['LaunchTemplate'], ['MixedInstancesPolicy', 'LaunchTemplate', 'LaunchTemplateSpecification']],
  'AWS::EC2::Instance': [['LaunchTemplate']],
  'AWS::EKS::Nodegroup': [['LaunchTemplate']],
};

/** Lists whose items name one each. */
const VERSION_LISTS = [
  { type: 'AWS::AutoScaling::AutoScalingGroup', lists: ['MixedInstancesPolicy', 'LaunchTemplate', 'Overrides'] },
  { type: 'AWS::EC2::EC2Fleet', lists: ['LaunchTemplateConfigs'] },
  { type: 'AWS::EC2::SpotFleet', lists: ['SpotFleetRequestConfigData', 'LaunchTemplateConfigs'] },
];

export const LAUNCH_TEMPLATE_RULES: Rule[] = [
  {
    id: 'SecurityGroupsBesideInterfaces',
    family: FAMILY,
    severity: 'error',
    title: 'A launch with network interfaces names security groups on the interfaces only',
    why: 'the launch fails with "Network interfaces and an instance-level security groups may not be specified on the same request"',
    mend: 'move the security groups to Groups of each network interface, GroupSet on an instance',
    source: 'https://github.com/hashicorp/terraform-provider-aws/issues/4570',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(({ interfaces }) => interfaces.length > 0)) {
        for (const name of ['SecurityGroupIds', 'SecurityGroups']) {
          const groups = launchData(launch, name);
          if (asList(groups)?.length) {
            yield found(launch.template, launchProperty(launch, name), groups, 'network interfaces are listed too, and each has security groups of its own');
          }
        }
      }
    },
  },
  {
    id: 'InterfaceSubnetOutsideGroup',
    family: FAMILY,
    severity: 'warning',
    title: 'A subnet of a network interface is one of the subnets of the Auto Scaling group',
    why: 'the group chooses the subnet of every launch, and the launch template names another',
    mend: 'drop SubnetId from the network interfaces',
    source: 'https://docs.aws.amazon.com/autoscaling/ec2/userguide/create-launch-template.html',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        for (const { kind, resource, subnets } of launch.uses) {
          if (kind !== 'AutoScalingGroup' || !Array.isArray(subnets) || subnets.length === 0) {
            continue;
          }
          for (const nic of launch.interfaces) {
            const subnet = valueAt(nic.values, 'SubnetId');
            const among = subnet === undefined ? [] : subnets.map((other) => same(subnet, other));
            if (among.length > 0 && among.every((equal) => equal === false)) {
              yield found(launch.template, `${nic.property}.SubnetId`, subnet, `the subnet is not one of those of ${resource.logicalId}`);
            } else if (among.includes(undefined) && !among.includes(true)) {
              yield notChecked(launch.template, `${nic.property}.SubnetId`, 'the subnet or those of the group are not known');
            }
          }
        }
      }
    },
  },
  {
    id: 'LaunchTemplateVersionInvalid',
    family: FAMILY,
    severity: 'error',
    title: 'A launch template version is a number, "$Latest" or "$Default"',
    why: 'the deployment fails: a launch template has no such version',
    mend: 'use Fn::GetAtt LatestVersionNumber of the launch template, so that its changes reach the group',
    source: VERSION_REFERENCE,
    *check(graph) {
      for (const { resource, property, version } of versionsOf(graph)) {
        if ((typeof version === 'string' && !/^([1-9]\d*|\$Latest|\$Default)$/.test(version)) || (typeof version === 'number' && version < 1)) {
          yield found(resource, property, version, 'a version is a whole number from 1, "$Latest" or "$Default"');
        }
      }
    },
  },
  {
    id: 'LaunchTemplateVersionFloating',
    family: FAMILY,
    severity: 'warning',
    title: 'A group names its launch template version by number, so that CloudFormation sees it change',
    why: 'CloudFormation does not support "$Latest" and "$Default" here: a change of the launch template is no change of the group, so no instance is '
      + 'replaced, and "$Default" stays at the first version',
    mend: 'use Fn::GetAtt LatestVersionNumber of the launch template',
    source: VERSION_REFERENCE,
    *check(graph) {
      for (const { resource, property, version } of versionsOf(graph)) {
        if (resource.type === 'AWS::AutoScaling::AutoScalingGroup' && isFloating(version)) {
          yield found(resource, property, version, 'CloudFormation cannot follow this version');
        }
      }
    },
  },
  {
    id: 'InstanceMetadataOptions',
    family: FAMILY,
    severity: 'error',
    title: 'The hop limit of instance metadata is 1 to 64, and HttpTokens is "required" or "optional"',
    why: 'CreateLaunchTemplate or the launch is refused',
    mend: 'use HttpTokens "required" and a hop limit of 2 where containers read instance metadata',
    source: METADATA_REFERENCE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const hops = launchData(launch, 'MetadataOptions', 'HttpPutResponseHopLimit');
        const limit = asInteger(hops);
        if (limit !== undefined && (limit < 1 || limit > 64)) {
          yield found(launch.template, launchProperty(launch, 'MetadataOptions', 'HttpPutResponseHopLimit'), hops, 'the hop limit is out of range');
        }
        const tokens = launchData(launch, 'MetadataOptions', 'HttpTokens');
        if (typeof tokens === 'string' && tokens !== 'required' && tokens !== 'optional') {
          yield found(launch.template, launchProperty(launch, 'MetadataOptions', 'HttpTokens'), tokens, 'HttpTokens has no such value');
        }
      }
    },
  },
  {
    id: 'UserDataNotBase64',
    family: FAMILY,
    severity: 'error',
    title: 'User data is Base64',
    why: 'CreateLaunchTemplate or the launch fails with "Invalid BASE64 encoding of user data"',
    mend: 'wrap the text in Fn::Base64',
    source: 'https://github.com/hashicorp/terraform/issues/18665',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const data = launchData(launch, 'UserData');
        // what Fn::Base64 makes of a text is known by what it says, not by its pieces; a dynamic reference is read at deployment.
        const pieces = (data instanceof Unknown && data.facts.decoded !== undefined ? [] : textParts(data) ?? []).filter((piece) => typeof piece === 'string');
        if (pieces.some((piece) => NOT_BASE64.test(piece)) && !pieces.some((piece) => piece.includes('{{resolve:'))) {
          yield found(launch.template, launchProperty(launch, 'UserData'), typeof data === 'string' ? data.slice(0, 60) : data, 'user data is given as plain text');
        }
      }
    },
  },
  {
    id: 'UserDataTooLarge',
    family: FAMILY,
    severity: 'error',
    title: 'User data has at most 16 KB before Base64',
    why: 'the launch fails with "User data is limited to 16384 bytes"',
    mend: 'put the script in Amazon S3 or in the image and have a short user data fetch it',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const bytes = userDataBytes(launchData(launch, 'UserData'));
        if (bytes > MAX_USER_DATA_BYTES) {
          yield found(launch.template, launchProperty(launch, 'UserData'), bytes, `user data has more than ${MAX_USER_DATA_BYTES} bytes`);
        }
      }
    },
  },
  {
    id: 'VolumeKeyWithoutAutoScaling',
    family: FAMILY,
    severity: 'warning',
    title: 'The key of an encrypted volume lets Amazon EC2 Auto Scaling use it',
    why: 'the service-linked role of Auto Scaling has no rights to customer managed keys, and no IAM policy can give it any: unless a grant is made by hand, '
      + 'every instance stops at launch with "Client.InternalError: Client error on launch"',
    mend: 'allow the role AWSServiceRoleForAutoScaling in the key policy to use the key and to create grants',
    source: 'https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html',
    *check(graph) {
      const spokenOf = new Set<Resource>();
      for (const launch of launchesOf(graph).filter(({ uses }) => uses.some(({ kind }) => kind === 'AutoScalingGroup' || kind === 'Nodegroup'))) {
        for (const mapping of asList(launchData(launch, 'BlockDeviceMappings')) ?? []) {
          const key = keyOf(valueAt(mapping, 'Ebs', 'KmsKeyId'));
          // a grant may be made by something that the template does not show.
          if (key !== undefined && !spokenOf.has(key) && !handedOn(graph).has(key) && !mayLetAutoScaling(key)) {
            spokenOf.add(key);
            yield found(key, 'KeyPolicy', undefined, `no statement lets Auto Scaling create grants, and ${launch.template.logicalId} encrypts a volume with the key`);
          }
        }
      }
    },
  },
];

function* versionsOf(graph: TemplateGraph) {
  for (const [type, paths] of Object.entries(VERSION_PATHS)) {
    for (const resource of graph.ofType(type)) {
      for (const path of paths) {
        yield { resource, property: [...path, 'Version'].join('.'), version: resource.get(...path, 'Version') };
      }
    }
  }
  for (const { lists, type } of VERSION_LISTS) {
    for (const resource of graph.ofType(type)) {
      for (const [index, item] of several(resource.get(...lists)).entries()) {
        const version = valueAt(item, 'LaunchTemplateSpecification', 'Version');
        yield { resource, property: [...lists, index, 'LaunchTemplateSpecification', 'Version'].join('.'), version };
      }
    }
  }
}

function keyOf(id: Value | undefined): Resource | undefined {
  const resource = id instanceof Link ? id.resource : undefined;
  const key = resource?.type === 'AWS::KMS::Alias' ? resource.get('TargetKeyId') : id;
  return linked(key, 'AWS::KMS::Key');
}

// without a policy of its own, a key is for the account alone.
function mayLetAutoScaling(key: Resource): boolean {
  const policy = key.get('KeyPolicy');
  const statements = policy === undefined ? [] : valueAt(policy, 'Statement');
  return !Array.isArray(statements) || statements.some((statement) => valueAt(statement, 'Effect') !== 'Deny' && mayCreateGrant(statement)
    && principalsOf(statement).some((principal) => !isOtherThanAutoScaling(principal)));
}

// EC2 uses the key by a grant that Auto Scaling makes for it.
function mayCreateGrant(statement: Value): boolean {
  const actions = valueAt(statement, 'Action');
  return actions === undefined || several(actions).some((action) => typeof action !== 'string' || matchesPattern(action.toLowerCase(), 'kms:creategrant'));
}

// a statement for a service alone is for no role.
function principalsOf(statement: Value): (Value | undefined)[] {
  const principals = valueAt(statement, 'Principal', 'AWS');
  const service = valueAt(statement, 'Principal', 'Service');
  const forServiceAlone = principals === undefined && service !== undefined && !(service instanceof Unknown);
  return Array.isArray(principals) ? principals : forServiceAlone ? [] : [principals];
}

// the default version is the first, whatever changes.
function isFloating(version: Value | undefined): boolean {
  return version === '$Latest' || version === '$Default' || (version instanceof Link && version.attribute === 'DefaultVersionNumber');
}

// an account stands for its IAM policies, which are not for service-linked roles.
function isOtherThanAutoScaling(principal: Value | undefined): boolean {
  if (principal instanceof Link) {
    return ['AWS::IAM::Role', 'AWS::IAM::User'].includes(principal.resource.type);
  }
  const text = partialText(principal);
  const isOtherIdentity = (arn: string) => !hasHole(arn) && /:(role|user)\//.test(arn) && !arn.includes('AWSServiceRoleForAutoScaling');
  return text !== undefined && (/^\d{12}$|:root$/.test(text) || isOtherIdentity(text));
}
