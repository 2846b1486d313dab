import { instanceFacts, KNOWN_NEURON_INSTANCE_TYPES } from '../instance-facts';
import { efaLaunchesOf, launchesOf, launchProperty } from '../launches';
import { Rule, found, notChecked } from '../rule';
import { Link, TemplateGraph, Unknown, isTrue, show, valueAt } from '../template-graph';

const FAMILY = 'instance-and-interfaces';
const EFA_GUIDE = 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-acc-inst-types.html';
const ENI_GUIDE = 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-eni.html#network-cards';
const INTERFACE_REFERENCE = 'https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-ec2-launchtemplate-networkinterface.html';

const IP_PROPERTIES = [
  'PrivateIpAddress', 'PrivateIpAddresses', 'SecondaryPrivateIpAddressCount', 'Ipv4Prefixes', 'Ipv4PrefixCount',
  'Ipv6Addresses', 'Ipv6AddressCount', 'Ipv6Prefixes', 'Ipv6PrefixCount', 'PrimaryIpv6', 'AssociateCarrierIpAddress',
];

export const INSTANCE_AND_INTERFACES_RULES: Rule[] = [
  {
    id: 'NeuronInstanceTypeUnknown',
    family: FAMILY,
    severity: 'error',
    title: 'A Trainium or Inferentia instance type is one that EC2 has',
    why: 'CreateLaunchTemplate accepts any string; the launch fails with "Invalid value for InstanceType". No public EC2 instance type has Trainium3',
    mend: `use one of ${KNOWN_NEURON_INSTANCE_TYPES.join(', ')}`,
    source: 'npm:@aws-sdk/client-ec2@3.1169.0 _InstanceType',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        for (const type of launch.instanceTypes) {
          if (typeof type === 'string' && /^(trn|inf)\d/.test(type) && !KNOWN_NEURON_INSTANCE_TYPES.includes(type)) {
            yield found(launch.template, launchProperty('InstanceType'), type, 'EC2 has no such instance type');
          }
        }
      }
      for (const reservation of graph.ofType('AWS::EC2::CapacityReservation')) {
        const type = reservation.get('InstanceType');
        if (typeof type === 'string' && /^(trn|inf)\d/.test(type) && !KNOWN_NEURON_INSTANCE_TYPES.includes(type)) {
          yield found(reservation, 'InstanceType', type, 'EC2 has no such instance type');
        }
      }
    },
  },
  {
    id: 'EfaInstanceTypeUnsupported',
    family: FAMILY,
    severity: 'error',
    title: 'An EFA interface is on an instance type that has EFA',
    why: 'the launch fails with "EFA interfaces are not supported on <type>"',
    mend: 'use an instance type with EFA, such as trn1.32xlarge or trn2.48xlarge, or drop InterfaceType from the interfaces',
    source: EFA_GUIDE,
    *check(graph) {
      for (const launch of efaLaunchesOf(graph)) {
        for (const type of launch.instanceTypes) {
          if (type instanceof Unknown) {
            yield notChecked(launch.template, launchProperty('InstanceType'), type);
            continue;
          }
          const facts = instanceFacts(type);
          if (facts === undefined) {
            yield notChecked(launch.template, launchProperty('InstanceType'), `the network cards of ${show(type)} are not in the catalogue`);
          } else if (facts.efaInterfaces === 0) {
            yield found(launch.template, launchProperty('InstanceType'), type, 'the instance type has no EFA, but the template has an EFA interface');
          }
        }
      }
    },
  },
  {
    id: 'NetworkCardOutOfRange',
    family: FAMILY,
    severity: 'error',
    title: 'A network card index is one that the instance type has',
    why: 'the launch fails with AttachmentLimitExceeded',
    mend: 'number the network cards from 0 to one less than the instance type has',
    source: ENI_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        for (const type of launch.instanceTypes) {
          const count = instanceFacts(type)?.networkCards.length ?? Infinity;
          const beyond = launch.interfaces.filter(({ card }) => card !== undefined && card >= count);
          // one finding a type: a layout made for another type would otherwise give one an interface.
          if (beyond.length > 0) {
            const indexes = [...new Set(beyond.map(({ card }) => card as number))];
            yield found(launch.template, `${beyond[0].property}.NetworkCardIndex`, indexes, `network card indexes of ${show(type)} end at ${count - 1}`);
          }
        }
      }
    },
  },
  {
    id: 'NetworkCardWithoutEfa',
    family: FAMILY,
    severity: 'error',
    title: 'An EFA interface is on a network card that carries EFA',
    why: 'some cards carry ENA only: the launch fails with AttachmentLimitExceeded',
    mend: 'put an ordinary interface on that card and the EFA interface on another',
    source: EFA_GUIDE,
    *check(graph) {
      for (const { launch, nic, type, cards } of interfacesOnCards(graph)) {
        const card = cards.find((candidate) => candidate.index === nic.card);
        if (nic.isEfa && card?.efa === false && cards.some((other) => other.efa)) {
          yield found(launch.template, `${nic.property}.NetworkCardIndex`, nic.card, `network card ${nic.card} of ${type} carries no EFA`);
        }
      }
    },
  },
  {
    id: 'EfaSeveralOnOneCard',
    family: FAMILY,
    severity: 'error',
    title: 'A network card carries at most one EFA or EFA-only interface',
    why: 'the launch is refused',
    mend: 'give each EFA interface a network card of its own',
    source: ENI_GUIDE,
    *check(graph) {
      for (const launch of efaLaunchesOf(graph)) {
        const taken = new Set<number>();
        for (const nic of launch.interfaces.filter(({ isEfa }) => isEfa)) {
          if (nic.card !== undefined && taken.has(nic.card)) {
            yield found(launch.template, nic.property, nic.values, `network card ${nic.card} already has an EFA interface`);
          }
          if (nic.card !== undefined) {
            taken.add(nic.card);
          }
        }
      }
    },
  },
  {
    id: 'NetworkInterfaceDuplicate',
    family: FAMILY,
    severity: 'error',
    title: 'A pair of network card index and device index is used once',
    why: 'the launch fails with InvalidParameterCombination',
    mend: 'give the interfaces of one card different device indexes',
    source: INTERFACE_REFERENCE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const taken = new Set<string>();
        for (const nic of launch.interfaces) {
          if (nic.card === undefined || nic.device === undefined) {
            continue;
          }
          const place = `network card ${nic.card}, device ${nic.device}`;
          if (taken.has(place)) {
            yield found(launch.template, nic.property, { NetworkCardIndex: nic.card, DeviceIndex: nic.device }, `${place} is already taken`);
          }
          taken.add(place);
        }
      }
    },
  },
  {
    id: 'NetworkInterfaceIndexNegative',
    family: FAMILY,
    severity: 'error',
    title: 'A device index or network card index is not negative',
    why: 'the launch is refused',
    mend: 'number the network cards, and the devices of each card, from 0',
    source: INTERFACE_REFERENCE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        for (const nic of launch.interfaces) {
          if (nic.device !== undefined && nic.device < 0) {
            yield found(launch.template, `${nic.property}.DeviceIndex`, nic.device, 'a device index is never negative');
          }
          if (nic.card !== undefined && nic.card < 0) {
            yield found(launch.template, `${nic.property}.NetworkCardIndex`, nic.card, 'a network card index is never negative');
          }
        }
      }
    },
  },
  {
    id: 'NetworkCardInterfaceLimit',
    family: FAMILY,
    severity: 'error',
    title: 'A network card carries no more interfaces than it takes',
    why: 'the launch fails with AttachmentLimitExceeded',
    mend: 'spread the interfaces over more network cards, or drop some',
    source: 'https://github.com/aws/amazon-vpc-cni-k8s/blob/master/pkg/vpc/vpc_ip_resource_limit.go',
    *check(graph) {
      const counts = new Map<string, number>();
      for (const { launch, nic, type, cards } of interfacesOnCards(graph)) {
        const most = cards.find((card) => card.index === nic.card)?.maxInterfaces;
        const key = `${launch.template.stack} ${launch.template.logicalId} ${type} ${nic.card}`;
        const count = (counts.get(key) ?? 0) + 1;
        counts.set(key, count);
        if (most !== undefined && count === most + 1) {
          yield found(launch.template, nic.property, nic.values, `network card ${nic.card} of ${type} takes ${most} interfaces, and this is one more`);
        }
      }
    },
  },
  {
    id: 'NetworkInterfacePrimaryMissing',
    family: FAMILY,
    severity: 'error',
    title: 'A launch template that lists interfaces for a group lists the primary one, network card 0 and device 0',
    why: 'the group cannot add one at launch, so the launch is refused',
    mend: 'add an interface with NetworkCardIndex 0 and DeviceIndex 0',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LaunchTemplateInstanceNetworkInterfaceSpecificationRequest.html',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const positioned = launch.interfaces.every(({ card, device }) => card !== undefined && device !== undefined);
        const launchedByGroup = launch.uses.some(({ kind }) => kind === 'AutoScalingGroup' || kind === 'Nodegroup');
        if (launch.interfaces.length === 0 || !launchedByGroup) {
          continue;
        }
        if (launch.unknownInterfaces) {
          yield notChecked(launch.template, launchProperty('NetworkInterfaces'), launch.unknownInterfaces);
        } else if (positioned && !launch.interfaces.some(({ card, device }) => card === 0 && device === 0)) {
          yield found(launch.template, launchProperty('NetworkInterfaces'), undefined, 'no interface is on network card 0 with device index 0');
        }
      }
    },
  },
  {
    id: 'EfaOnlyPrimary',
    family: FAMILY,
    severity: 'error',
    title: 'The primary interface is not EFA-only',
    why: 'the primary interface carries the IP address, which an EFA-only interface has not: the launch is refused',
    mend: 'make the primary interface "interface" or "efa"',
    source: EFA_GUIDE,
    *check(graph) {
      for (const launch of efaLaunchesOf(graph)) {
        for (const nic of launch.interfaces.filter(({ card, device, type }) => card === 0 && device === 0 && type === 'efa-only')) {
          yield found(launch.template, `${nic.property}.InterfaceType`, nic.type, 'the primary interface cannot be EFA-only');
        }
      }
    },
  },
  {
    id: 'NetworkInterfaceTypeUnknown',
    family: FAMILY,
    severity: 'error',
    title: 'InterfaceType is "interface", "efa" or "efa-only"',
    why: 'the launch fails with InvalidParameterValue',
    mend: 'use "interface", "efa" or "efa-only", or drop InterfaceType for an ordinary interface',
    source: INTERFACE_REFERENCE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        for (const nic of launch.interfaces) {
          if (!(nic.type instanceof Unknown) && !(nic.type instanceof Link) && !['interface', 'efa', 'efa-only'].some((type) => type === nic.type)) {
            yield found(launch.template, `${nic.property}.InterfaceType`, nic.type, 'EC2 has no such interface type in a launch template');
          }
        }
      }
    },
  },
  {
    id: 'EfaOnlyWithIpAddress',
    family: FAMILY,
    severity: 'error',
    title: 'An EFA-only interface has no property of an IP address',
    why: 'the launch fails with InvalidParameterValue',
    mend: 'drop every IP property from the EFA-only interface, or make it "efa"',
    source: INTERFACE_REFERENCE,
    *check(graph) {
      for (const launch of efaLaunchesOf(graph)) {
        for (const nic of launch.interfaces.filter(({ type }) => type === 'efa-only')) {
          const given = IP_PROPERTIES.filter((name) => valueAt(nic.values, name) !== undefined);
          if (isTrue(valueAt(nic.values, 'AssociatePublicIpAddress'))) {
            given.push('AssociatePublicIpAddress');
          }
          if (given.length > 0) {
            yield found(launch.template, nic.property, given, 'an EFA-only interface has no IP address');
          }
        }
      }
    },
  },
  {
    id: 'PublicIpWithSeveralInterfaces',
    family: FAMILY,
    severity: 'error',
    title: 'With several interfaces none asks for a public IP address',
    why: 'the launch fails with "The associatePublicIPAddress parameter cannot be specified when launching with multiple network interfaces"',
    mend: 'drop AssociatePublicIpAddress and reach the internet through a NAT gateway or VPC endpoints',
    source: 'https://github.com/aws/karpenter-provider-aws/issues/5666',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(({ interfaces }) => interfaces.length > 1)) {
        for (const nic of launch.interfaces.filter(({ values }) => isTrue(valueAt(values, 'AssociatePublicIpAddress')))) {
          yield found(launch.template, `${nic.property}.AssociatePublicIpAddress`, true, `the template has ${launch.interfaces.length} interfaces`);
        }
      }
    },
  },
  {
    id: 'SeveralInterfacesInPublicSubnet',
    family: FAMILY,
    severity: 'warning',
    title: 'An instance with several interfaces does not rely on a public IP address of its subnet',
    why: 'EC2 assigns no public IP address to an instance with several interfaces, so in a public subnet it reaches nothing and never joins its cluster',
    mend: 'use a private subnet with a route to a NAT gateway or with VPC endpoints',
    source: 'https://github.com/aws/aws-parallelcluster/pull/7457',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(({ interfaces }) => interfaces.length > 1)) {
        for (const use of launch.uses) {
          for (const subnet of Array.isArray(use.subnets) ? use.subnets : []) {
            if (subnet instanceof Link && isTrue(subnet.resource.get('MapPublicIpOnLaunch'))) {
              yield found(use.resource, use.subnetsProperty, subnet, 'the subnet assigns public IP addresses, which an instance with several interfaces does not get');
            }
          }
        }
      }
    },
  },
];

// interfaces with the cards of each catalogued instance type they are launched on; other types are not spoken of.
function* interfacesOnCards(graph: TemplateGraph) {
  for (const launch of launchesOf(graph)) {
    for (const type of launch.instanceTypes) {
      const cards = instanceFacts(type)?.networkCards;
      if (cards !== undefined && cards.length > 0) {
        for (const nic of launch.interfaces) {
          yield { launch, nic, type: String(type), cards };
        }
      }
    }
  }
}
