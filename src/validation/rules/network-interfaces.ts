import { Link, TemplateGraph, Unknown, Value, asInteger, asList, isFalse, linked, show, valueAt } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import { instanceFacts } from '../views/instance-facts';
import { LaunchInterface, efaLaunchesOf, launchProperty, launchesOf } from '../views/launches';

const FAMILY = 'network-interfaces';
const EFA_GUIDE = 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-acc-inst-types.html';
const ENI_GUIDE = 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-eni.html#network-cards';
const INTERFACE_REFERENCE = 'https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-ec2-launchtemplate-networkinterface.html';

const IP_PROPERTIES = [
  'PrivateIpAddress', 'PrivateIpAddresses', 'SecondaryPrivateIpAddressCount', 'Ipv4Prefixes', 'Ipv4PrefixCount',
  'Ipv6Addresses', 'Ipv6AddressCount', 'Ipv6Prefixes', 'Ipv6PrefixCount', 'PrimaryIpv6', 'EnablePrimaryIpv6', 'AssociateCarrierIpAddress',
];

export const NETWORK_INTERFACES_RULES: Rule[] = [
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
          const facts = instanceFacts(type);
          // of EFA interfaces on a type that has no EFA another rule speaks.
          const isSpokenOf = facts?.efaInterfaces === 0 && launch.interfaces.some(({ isEfa }) => isEfa);
          const count = facts === undefined || isSpokenOf ? Infinity : facts.networkCards.length;
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
    mend: 'give each EFA interface a network card of its own; only a launch template can name other cards than the first',
    source: 'https://github.com/hashicorp/terraform-provider-aws/issues/24043',
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
    why: 'the launch fails with "Each network interface requires a unique device index"',
    mend: 'give the interfaces of one card different device indexes',
    source: 'https://github.com/Young-ook/terraform-aws-eks/issues/148',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const taken = new Map<string, LaunchInterface>();
        for (const nic of launch.interfaces) {
          if (nic.card === undefined || nic.device === undefined) {
            continue;
          }
          const place = `network card ${nic.card}, device ${nic.device}`;
          // of two EFA interfaces on one card another rule speaks.
          const other = taken.get(place);
          if (other !== undefined && !(other.isEfa && nic.isEfa)) {
            yield found(launch.template, nic.property, { NetworkCardIndex: nic.card, DeviceIndex: nic.device }, `${place} is already taken`);
          }
          taken.set(place, nic);
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
    id: 'NetworkInterfaceDeviceIndexMissing',
    family: FAMILY,
    severity: 'error',
    title: 'A network interface of a launch template has a device index',
    why: 'CreateAutoScalingGroup or the launch fails with "Each network interface requires a device index"',
    mend: 'add a DeviceIndex: 0 for the primary interface, the next free one of its card for the others',
    source: 'https://github.com/hashicorp/packer/pull/2242',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(({ template }) => template.type === 'AWS::EC2::LaunchTemplate')) {
        // one finding a template: who leaves it out once leaves it out everywhere.
        const nic = launch.interfaces.find(({ values }) => isMap(values) && valueAt(values, 'DeviceIndex') === undefined);
        if (nic !== undefined) {
          yield found(launch.template, `${nic.property}.DeviceIndex`, undefined, 'the network interface has no device index');
        }
      }
    },
  },
  {
    id: 'NetworkCardInterfaceLimit',
    family: FAMILY,
    severity: 'error',
    title: 'A device index is below the number of interfaces that the network card takes',
    why: 'the launch fails with "The specified number for the device index exceeds the maximum number of network interfaces supported by the network card"',
    mend: 'number the devices of each network card from 0, and spread the interfaces over more network cards',
    source: 'https://github.com/aws/aws-k8s-tester/pull/531',
    *check(graph) {
      for (const { launch, nic, type, cards } of interfacesOnCards(graph)) {
        const most = cards.find((card) => card.index === nic.card)?.maxInterfaces;
        if (most !== undefined && nic.device !== undefined && nic.device >= most) {
          yield found(launch.template, `${nic.property}.DeviceIndex`, nic.device,
            `device indexes on network card ${nic.card} of ${type} end at ${most - 1}`);
        }
      }
    },
  },
  {
    id: 'NetworkInterfacePrimaryMissing',
    family: FAMILY,
    severity: 'error',
    title: 'A launch template that lists interfaces for a group lists the primary one, network card 0 and device 0',
    why: 'the group cannot add one at launch, so CreateAutoScalingGroup or the launch is refused',
    mend: 'add an interface with NetworkCardIndex 0 and DeviceIndex 0',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LaunchTemplateInstanceNetworkInterfaceSpecificationRequest.html',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const positioned = launch.interfaces.every(({ card, device }) => card !== undefined && device !== undefined);
        const launchedByGroup = launch.uses.some(({ kind }) => kind === 'AutoScalingGroup' || kind === 'Nodegroup');
        if (launch.interfaces.length === 0 || !launchedByGroup || launch.interfaces.some(({ card, device }) => card === 0 && device === 0)) {
          continue;
        }
        if (launch.unknownInterfaces) {
          yield notChecked(launch.template, launchProperty(launch, 'NetworkInterfaces'), launch.unknownInterfaces);
        } else if (positioned) {
          yield found(launch.template, launchProperty(launch, 'NetworkInterfaces'), undefined, 'no interface is on network card 0 with device index 0');
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
          const type = valueAt(nic.values, 'InterfaceType') ?? 'interface';
          if (!(type instanceof Unknown) && !(type instanceof Link) && !['interface', 'efa', 'efa-only'].some((known) => known === type)) {
            yield found(launch.template, `${nic.property}.InterfaceType`, type, 'EC2 has no such interface type');
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
        for (const nic of launch.interfaces.filter(({ values }) => valueAt(values, 'InterfaceType') === 'efa-only')) {
          const given = ipProperties((name) => valueAt(nic.values, name));
          if (given.length > 0) {
            yield found(launch.template, nic.property, given, 'an EFA-only interface has no IP address');
          }
        }
      }
      for (const nic of graph.ofType('AWS::EC2::NetworkInterface').filter((resource) => resource.get('InterfaceType') === 'efa-only')) {
        const given = ipProperties((name) => nic.get(name));
        if (given.length > 0) {
          yield found(nic, given[0], given, 'an EFA-only interface has no IP address');
        }
      }
    },
  },
  {
    id: 'EfaAttachedToRunningInstance',
    family: FAMILY,
    severity: 'error',
    title: 'An EFA interface is attached at launch, not afterwards',
    why: 'an EFA cannot be attached to an instance in the running state, and CloudFormation attaches once the instance runs: the attachment fails',
    mend: 'drop the attachment and name the interface in NetworkInterfaces of the instance, or in its launch template',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-efa.html',
    *check(graph) {
      for (const attachment of graph.ofType('AWS::EC2::NetworkInterfaceAttachment')) {
        const [nic, instance] = [attachment.get('NetworkInterfaceId'), attachment.get('InstanceId')];
        const type = linked(nic, 'AWS::EC2::NetworkInterface')?.get('InterfaceType');
        if ((type === 'efa' || type === 'efa-only') && instance instanceof Link && instance.resource.type === 'AWS::EC2::Instance') {
          yield found(attachment, 'NetworkInterfaceId', nic, 'the interface is an EFA, and the instance is running by then');
        }
      }
    },
  },
  {
    id: 'NetworkInterfaceKeptAfterTermination',
    family: FAMILY,
    severity: 'warning',
    title: 'The network interfaces of a group are deleted with their instances',
    why: 'every instance that the group replaces leaves its interfaces behind: they use up the addresses of the subnet, and the subnet and its security '
      + 'groups can no longer be deleted',
    mend: 'set DeleteOnTermination to true on every network interface',
    source: 'https://github.com/hashicorp/terraform-provider-aws/issues/6080',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(({ uses }) => uses.some(({ kind }) => kind !== 'Instance'))) {
        const kept = launch.interfaces.filter(({ values }) => isFalse(valueAt(values, 'DeleteOnTermination')));
        if (kept.length > 0) {
          yield found(launch.template, `${kept[0].property}.DeleteOnTermination`, false,
            `${kept.length} of ${launch.interfaces.length} network interfaces outlive the instance`);
        }
      }
    },
  },
];

// which properties of an IP address are given.
function ipProperties(value: (name: string) => Value | undefined): string[] {
  return IP_PROPERTIES.filter((name) => {
    const given = value(name);
    return given !== undefined && !isFalse(given) && asInteger(given) !== 0 && asList(given)?.length !== 0;
  });
}

function isMap(values: LaunchInterface['values']): boolean {
  return typeof values === 'object' && values !== null && !Array.isArray(values) && !(values instanceof Link);
}

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
