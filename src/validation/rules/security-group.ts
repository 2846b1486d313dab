import { Link, Resource, TemplateGraph, Unknown, Value, asList, same, valueAt } from '../graph/template-graph';
import { Outcome, Rule, found, notChecked } from '../rule';
import { kubernetesMinorOf } from '../views/eks-clusters';
import { handedOn } from '../views/handed-on';
import { instanceFacts } from '../views/instance-facts';
import { EfaInterface, efaInterfacesOf, efaLaunchesOf, launchProperty, launchesOf } from '../views/launches';

const FAMILY = 'security-group';
const EFA_SECURITY_GROUP_GUIDE = 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-efa.html';
const PCS_GUIDE = 'https://docs.aws.amazon.com/pcs/latest/userguide/working-with_networking_efa_create-lt.html';

const SILENT = 'nothing fails at deployment: libfabric and the Neuron collectives hang or time out at the first transfer';

type Direction = 'Ingress' | 'Egress';

/** What a security group allows to itself: everything, a part, nothing, or not known. */
type SelfTraffic = 'all' | 'part' | 'none' | Unknown;

/** The one group that comes closest to what EFA needs; undefined where an interface is in order. */
interface FabricFault {
  readonly group: Resource;
  readonly traffic: { readonly [direction in Direction]: SelfTraffic };
}

export const SECURITY_GROUP_RULES: Rule[] = [
  {
    id: 'EfaSecurityGroupMissing',
    family: FAMILY,
    severity: 'error',
    title: 'Every EFA interface names its security groups',
    why: `without Groups an interface gets the default security group of the VPC, whose egress is not to itself; ${SILENT}`,
    mend: 'set Groups on every EFA interface, with the security group that allows all traffic to and from itself',
    source: PCS_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        // one "not checked" stands for every rule of EFA interfaces; of instances without EFA nothing is said.
        if (launch.unknownInterfaces && launch.instanceTypes.some((type) => (instanceFacts(type)?.efaInterfaces ?? 0) > 0)) {
          yield notChecked(launch.template, launchProperty(launch, 'NetworkInterfaces'), launch.unknownInterfaces);
        }
      }
      for (const { resource, groupsProperty, groups } of efaInterfacesOf(graph)) {
        if (asList(groups)?.length === 0) {
          yield found(resource, groupsProperty, undefined, 'the EFA interface has no security group');
        }
      }
    },
  },
  {
    id: 'EfaSelfIngressMissing',
    family: FAMILY,
    severity: 'error',
    title: 'The security group of an EFA interface allows all ingress from itself',
    why: SILENT,
    mend: 'add a resource AWS::EC2::SecurityGroupIngress with IpProtocol "-1" whose source is the security group itself, '
      + 'which a rule within the group cannot name',
    source: EFA_SECURITY_GROUP_GUIDE,
    check: (graph) => selfTrafficOutcomes(graph, 'Ingress'),
  },
  {
    id: 'EfaSelfEgressMissing',
    family: FAMILY,
    severity: 'error',
    title: 'The security group of an EFA interface allows all egress to itself',
    why: `an egress rule to 0.0.0.0/0 is not the rule that EFA needs; ${SILENT}`,
    mend: 'add a resource AWS::EC2::SecurityGroupEgress with IpProtocol "-1" whose destination is the security group itself, '
      + 'which a rule within the group cannot name; '
      + 'on ec2.SecurityGroup also set allowAllOutbound to false, or the rule is not rendered, '
      + 'and allow what else the instances reach, such as TCP port 443 to anywhere for the APIs of AWS and images',
    source: EFA_SECURITY_GROUP_GUIDE,
    check: (graph) => selfTrafficOutcomes(graph, 'Egress'),
  },
  {
    id: 'EfaSecurityGroupNotShared',
    family: FAMILY,
    severity: 'warning',
    title: 'The EFA interfaces of one launch template share a security group',
    why: `interfaces reach each other only through one security group that both are in; ${SILENT}`,
    mend: 'put the same security group on every EFA interface',
    source: PCS_GUIDE,
    *check(graph) {
      for (const launch of efaLaunchesOf(graph)) {
        const groups = launch.interfaces.filter(({ isEfa }) => isEfa).map(({ values }) => asList(valueAt(values, 'Groups')) ?? []);
        const [first, ...others] = groups;
        const isIn = (group: Value, list: Value[]) => list.some((other) => same(group, other) !== false);
        if (groups.every((list) => list.length > 0) && !first.some((group) => others.every((list) => isIn(group, list)))) {
          yield found(launch.template, launchProperty(launch, 'NetworkInterfaces'), groups, 'no security group is on all of the EFA interfaces');
        }
      }
    },
  },
];

function* selfTrafficOutcomes(graph: TemplateGraph, direction: Direction): Iterable<Outcome> {
  const spokenOf = new Set<Resource>();
  // the interfaces of a fleet share their groups: each group is looked at once.
  const traffics = new Map<Resource, FabricFault['traffic']>();
  for (const nic of efaInterfacesOf(graph)) {
    const fault = fabricFault(graph, nic, traffics);
    if (fault instanceof Unknown) {
      yield notChecked(nic.resource, nic.groupsProperty, fault);
    } else if (fault && fault.traffic[direction] !== 'all' && !spokenOf.has(fault.group)) {
      spokenOf.add(fault.group);
      const property = `SecurityGroup${direction}`;
      const what = fault.traffic[direction] === 'part'
        ? 'allows only some protocols or ports' : 'has no rule';
      yield found(fault.group, property, fault.group.get(property),
        `the security group of an EFA interface ${what} ${direction === 'Ingress' ? 'from' : 'to'} itself, and EFA needs all traffic`);
    }
  }
}

function fabricFault(graph: TemplateGraph, nic: EfaInterface, traffics: Map<Resource, FabricFault['traffic']>): FabricFault | Unknown | undefined {
  const groups = asList(nic.groups);
  if (groups === undefined) {
    return new Unknown('the security groups of the interface', '');
  }
  if (groups.some(isClusterGroupWithEfaRules)) {
    return undefined;
  }
  const faults: FabricFault[] = [];
  let unknown: Unknown | undefined;
  for (const group of groups) {
    if (!(group instanceof Link) || group.resource.type !== 'AWS::EC2::SecurityGroup') {
      unknown ??= group instanceof Unknown ? group : new Unknown('a security group that is not in these templates', '');
      continue;
    }
    const traffic = traffics.get(group.resource)
      ?? { Ingress: selfTraffic(graph, group.resource, 'Ingress'), Egress: selfTraffic(graph, group.resource, 'Egress') };
    traffics.set(group.resource, traffic);
    if (traffic.Ingress === 'all' && traffic.Egress === 'all') {
      return undefined;
    }
    if (handedOn(graph).has(group.resource)) {
      unknown ??= new Unknown('rules that something else may add to the security group', '');
    }
    unknown ??= traffic.Ingress instanceof Unknown ? traffic.Ingress : traffic.Egress instanceof Unknown ? traffic.Egress : undefined;
    faults.push({ group: group.resource, traffic });
  }
  if (unknown || graph.hasUnseenResources) {
    return unknown ?? new Unknown('resources that a macro or "Fn::ForEach" adds', '');
  }
  const score = ({ traffic }: FabricFault) => Number(traffic.Ingress === 'all') + Number(traffic.Egress === 'all');
  return faults.sort((a, b) => score(b) - score(a))[0];
}

/** Rules of a default VPC may name the other group so. */
const PEER_NAME = 'SourceSecurityGroupName';

function selfTraffic(graph: TemplateGraph, group: Resource, direction: Direction): SelfTraffic {
  const peerName = direction === 'Ingress' ? 'SourceSecurityGroupId' : 'DestinationSecurityGroupId';
  const self = new Link(group, 'GroupId');
  let result: SelfTraffic = 'none';
  const consider = (ofGroup: boolean | undefined, peer: Value | undefined, protocol: Value | undefined) => {
    const toSelf = peer === undefined ? false : same(peer, self);
    if (ofGroup === false || toSelf === false || result === 'all') {
      return;
    }
    if (ofGroup === undefined || toSelf === undefined || protocol instanceof Unknown) {
      result = new Unknown('a rule of the security group', '');
    } else {
      result = protocol === '-1' || protocol === -1 ? 'all' : result === 'none' ? 'part' : result;
    }
  };
  const inline = group.get(`SecurityGroup${direction}`);
  if (inline instanceof Unknown) {
    return inline;
  }
  for (const rule of asList(inline) ?? []) {
    consider(true, rule instanceof Unknown ? rule : valueAt(rule, peerName) ?? byName(valueAt(rule, PEER_NAME)), valueAt(rule, 'IpProtocol'));
  }
  const rules = graph.byReference(`AWS::EC2::SecurityGroup${direction}`, 'GroupId', 'AWS::EC2::SecurityGroup');
  for (const rule of [...rules.get(group) ?? [], ...rules.get(undefined) ?? []]) {
    const ofGroup = rule.get('GroupId') ?? byName(rule.get('GroupName'));
    consider(ofGroup === undefined ? false : same(ofGroup, self), rule.get(peerName) ?? byName(rule.get(PEER_NAME)), rule.get('IpProtocol'));
  }
  return result;
}

// a name is no id that could be compared.
function byName(name: Value | undefined): Unknown | undefined {
  return name === undefined ? undefined : new Unknown('a group by its name', '');
}

// since Kubernetes 1.33 EKS makes both rules in the cluster's security group (eksctl's EFABuiltInSupportVersion).
function isClusterGroupWithEfaRules(group: Value): boolean {
  if (!(group instanceof Link) || group.resource.type !== 'AWS::EKS::Cluster' || group.attribute !== 'ClusterSecurityGroupId') {
    return false;
  }
  return (kubernetesMinorOf(group.resource) ?? 0) >= 33;
}
