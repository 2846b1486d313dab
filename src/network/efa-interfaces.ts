import { Lazy, Token, Tokenization, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { AcceleratedInstanceType } from '../hardware';
import { Problem, Problems } from '../problems';
import { EfaInterfaceLayout } from './efa-interface-layout';
import { IEfaPlacementGroup } from './efa-placement-group';
import { LaunchTemplateMixin } from './launch-template-mixin';

type NetworkInterface = ec2.CfnLaunchTemplate.NetworkInterfaceProperty;

/** what the interfaces of a template may say already without losing anything when the layout replaces them. */
const REPLACEABLE = ['networkCardIndex', 'deviceIndex', 'interfaceType', 'groups', 'associatePublicIpAddress', 'deleteOnTermination'];

/**
 * Properties of `EfaInterfaces`.
 */
export interface EfaInterfacesProps {
  /** The instance type that the template launches. */
  readonly instanceType: AcceleratedInstanceType;

  /** Where the instances run: its security group goes on every interface. */
  readonly efa: IEfaPlacementGroup;
}

/**
 * Gives a launch template the network interfaces that use all of an instance type's EFA bandwidth (see `EfaInterfaceLayout`).
 *
 * Security groups of the template move into every interface, because EC2 refuses a request with both
 * (`Network interfaces and an instance-level security groups may not be specified on the same request`), and the EFA security group joins them.
 * No interface names a subnet: that is the Auto Scaling group's. Applying it twice changes nothing.
 *
 * Throws a `ProblemsError` if the template launches another instance type (`InstanceTypeMismatch`), asks for a public IP address
 * (`EfaPublicIpAddress`: EC2 gives none to an instance with several interfaces), or has network interfaces of its own that would be
 * lost (`NetworkInterfacesPresent`).
 */
export class EfaInterfaces extends LaunchTemplateMixin {
  private readonly props: EfaInterfacesProps;

  constructor(props: EfaInterfacesProps) {
    super();
    this.props = props;
  }

  protected change(data: ec2.CfnLaunchTemplate.LaunchTemplateDataProperty, path: string): ec2.CfnLaunchTemplate.LaunchTemplateDataProperty {
    const { instanceType, efa } = this.props;
    const { interfaces } = EfaInterfaceLayout.of(instanceType);
    const present = data.networkInterfaces;
    Problems.throwIfAny([
      ...instanceTypeProblems(data.instanceType, instanceType, path),
      ...interfaceProblems(present, interfaces.length, path),
    ]);
    const groups = mergedGroups(
      [data.securityGroupIds, ...((present ?? []) as NetworkInterface[]).map((nic) => nic.groups)],
      efa.securityGroup.securityGroupId,
    );
    return {
      ...data,
      securityGroupIds: undefined,
      networkInterfaces: interfaces.map((nic) => ({ ...nic, groups, deleteOnTermination: true })),
    };
  }
}

function instanceTypeProblems(given: string | undefined, expected: AcceleratedInstanceType, path: string): Problem[] {
  if (given === undefined || Token.isUnresolved(given) || given === expected.name) {
    return [];
  }
  return [{
    rule: 'InstanceTypeMismatch',
    path: `${path}.launchTemplateData.instanceType`,
    value: JSON.stringify(given),
    message: `the launch template launches another instance type than the interfaces are laid out for, which is ${expected.name}`,
    mend: `use ${expected.name} in both, or lay the interfaces out for ${given}`,
  }];
}

function interfaceProblems(present: ec2.CfnLaunchTemplate.LaunchTemplateDataProperty['networkInterfaces'], count: number, path: string): Problem[] {
  const at = `${path}.launchTemplateData.networkInterfaces`;
  if (present === undefined) {
    return [];
  }
  if (Tokenization.isResolvable(present) || present.some((nic) => Tokenization.isResolvable(nic))) {
    return [{
      rule: 'NetworkInterfacesPresent',
      path: at,
      message: 'networkInterfaces is a token, so it cannot be replaced without losing what it says',
      mend: 'leave networkInterfaces out of the launch template',
    }];
  }
  const nics = present as NetworkInterface[];
  const problems: Problem[] = [];
  if (count > 1 && nics.some((nic) => nic.associatePublicIpAddress === true)) {
    problems.push({
      rule: 'EfaPublicIpAddress',
      path: at,
      value: 'true',
      message: 'EC2 gives no public IP address to an instance with several network interfaces',
      mend: 'leave associatePublicIpAddress out, and reach the internet through a NAT gateway or VPC endpoints',
    });
  }
  const lost = [...new Set(nics.flatMap((nic) => Object.entries(nic)
    .filter(([key, value]) => value !== undefined && !REPLACEABLE.includes(key)).map(([key]) => key)))];
  if (lost.length > 0) {
    problems.push({
      rule: 'NetworkInterfacesPresent',
      path: at,
      value: JSON.stringify(lost),
      message: 'the launch template has network interfaces of its own, and these properties of theirs would be lost',
      mend: 'leave networkInterfaces out of the launch template',
    });
  }
  return problems;
}

/**
 * The groups of every interface: those of the template, which may be a list known at synthesis only, and the fabric's.
 */
function mergedGroups(lists: (string[] | undefined)[], fabric: string): string[] {
  const given = lists.filter((list) => list !== undefined);
  if (given.every((list) => !Token.isUnresolved(list))) {
    return [...new Set([...given.flat(), fabric])];
  }
  return Token.asList(Lazy.uncachedAny({
    produce: (context) => [...new Set([
      ...given.flatMap((list) => (context.resolve(list) as unknown[] | undefined) ?? []).map((id) => JSON.stringify(id)),
      JSON.stringify(context.resolve(fabric)),
    ])].map((json) => JSON.parse(json)),
  }));
}
