import { zoneOf, zoneOfSubnet } from './zones';
import { Link, Resource, TemplateGraph, Unknown, Value, asInteger, asList, same, show, valueAt } from '../graph/template-graph';

/** A network interface of a launch, positions defaulted as EC2 does. */
export interface LaunchInterface {
  /** Path below `Properties`. */
  readonly property: string;
  readonly values: Value;
  /** Undefined when it is not known. */
  readonly card?: number;
  /** Undefined when it is not known or not given. */
  readonly device?: number;
  /** `interface` when it is not given; that of the existing interface where one is attached. */
  readonly type: Value;
  /** `efa` or `efa-only`; an interface of unknown type is not one. */
  readonly isEfa: boolean;
}

/** An EFA interface: of a launch, or made on its own to be attached. */
export interface EfaInterface {
  readonly resource: Resource;
  /** Path of its security groups below `Properties`. */
  readonly groupsProperty: string;
  /** Undefined when there are none. */
  readonly groups?: Value;
}

/** What launches instances from a template. */
export interface LaunchUse {
  readonly kind: 'AutoScalingGroup' | 'Nodegroup' | 'Instance' | 'Fleet';
  readonly resource: Resource;
  /** Instance types that replace the template's own. */
  readonly instanceTypes: Value[];
  /** Path of the subnets below `Properties`. */
  readonly subnetsProperty: string;
  /** The subnets as given; an element of a group of several may be unknown. */
  readonly subnets: Value[] | Unknown;
  /** Zones given by name beside the subnets. */
  readonly zones: Value[];
}

/** One launch template with all that is launched from it, or one instance that is launched without a template. */
export interface Launch {
  /** The launch template, or the instance itself. */
  readonly template: Resource;
  /** Where the launch's data is below `Properties`: nothing for an instance. */
  readonly root: readonly string[];
  readonly interfaces: LaunchInterface[];
  /** The list of interfaces, or an element of it, when that is unknown. */
  readonly unknownInterfaces?: Unknown;
  readonly uses: LaunchUse[];
  /** Instance types that are launched, known or not, each once. */
  readonly instanceTypes: Value[];
}

const INTERFACE_TYPE = 'AWS::EC2::NetworkInterface';
const launchesOfGraph = new WeakMap<TemplateGraph, Launch[]>();

/** Every launch template of the graph, and every instance that is launched without one. */
export function launchesOf(graph: TemplateGraph): Launch[] {
  let launches = launchesOfGraph.get(graph);
  if (!launches) {
    const uses = usesByTemplate(graph);
    launches = [
      ...graph.ofType('AWS::EC2::LaunchTemplate').map((template) => launchOf(template, ['LaunchTemplateData'], uses.get(template) ?? [])),
      ...graph.ofType('AWS::EC2::Instance').filter((instance) => instance.get('LaunchTemplate') === undefined)
        .map((instance) => launchOf(instance, [], [instanceUse(instance)])),
    ];
    launchesOfGraph.set(graph, launches);
  }
  return launches;
}

/** Launches with at least one EFA interface. */
export function efaLaunchesOf(graph: TemplateGraph): Launch[] {
  return launchesOf(graph).filter((launch) => launch.interfaces.some((nic) => nic.isEfa));
}

/** Every EFA interface of the graph, whether launched or made on its own. */
export function efaInterfacesOf(graph: TemplateGraph): EfaInterface[] {
  const launched = efaLaunchesOf(graph).flatMap(({ template, interfaces }) => interfaces
    .filter(({ isEfa, values }) => isEfa && valueAt(values, 'NetworkInterfaceId') === undefined)
    .map(({ property, values }): EfaInterface => ({ resource: template, groupsProperty: `${property}.Groups`, groups: valueAt(values, 'Groups') })));
  const made = graph.ofType(INTERFACE_TYPE).filter((resource) => isEfaType(resource.get('InterfaceType')))
    .map((resource): EfaInterface => ({ resource, groupsProperty: 'GroupSet', groups: resource.get('GroupSet') }));
  return [...launched, ...made];
}

/** A value of a launch: below `LaunchTemplateData` of a launch template, below `Properties` of an instance. */
export function launchData(launch: Launch, ...path: string[]): Value | undefined {
  return launch.template.get(...launch.root, ...path);
}

/** Path below `Properties` of a value of a launch. */
export function launchProperty(launch: Launch, ...path: string[]): string {
  return [...launch.root, ...path].join('.');
}

/** Every zone that a use may launch into, a zone for each subnet. */
export function zonesOfUse(use: LaunchUse): Value[] {
  return [...Array.isArray(use.subnets) ? use.subnets.map(zoneOfSubnet) : [use.subnets], ...use.zones.map(zoneOf)];
}

/** The launch's reservation: an id, a group's ARN or undefined. */
export function reservationTarget(launch: Launch): Value | undefined {
  const target = (name: string) => launchData(launch, 'CapacityReservationSpecification', 'CapacityReservationTarget', name);
  return target('CapacityReservationId') ?? target('CapacityReservationResourceGroupArn');
}

/** True when the template certainly asks for a Capacity Block. */
export function isCapacityBlock(launch: Launch): boolean {
  return launchData(launch, 'InstanceMarketOptions', 'MarketType') === 'capacity-block';
}

function launchOf(template: Resource, root: readonly string[], uses: LaunchUse[]): Launch {
  const listed = template.get(...root, 'NetworkInterfaces');
  const items = asList(listed) ?? [];
  const interfaces = items.flatMap((values, index) => values instanceof Unknown ? []
    : [interfaceOf(values, [...root, 'NetworkInterfaces', index].join('.'))]);
  const own = template.get(...root, 'InstanceType') ?? (template.get(...root, 'InstanceRequirements') === undefined ? undefined
    : new Unknown('instance types chosen by "InstanceRequirements"', `${template.stack} ${template.logicalId} requirements`));
  const types = uses.flatMap((use) => use.instanceTypes);
  if (own !== undefined && (uses.length === 0 || uses.some((use) => use.instanceTypes.length === 0))) {
    types.unshift(own);
  }
  return {
    template,
    root,
    interfaces,
    unknownInterfaces: listed instanceof Unknown ? listed : items.find((item) => item instanceof Unknown),
    uses,
    instanceTypes: types.filter((type, index) => types.findIndex((other) => same(type, other) === true) === index),
  };
}

function interfaceOf(values: Value, property: string): LaunchInterface {
  const existing = valueAt(values, 'NetworkInterfaceId');
  const type = valueAt(values, 'InterfaceType') ?? (existing === undefined ? 'interface' : typeOfExisting(existing));
  return {
    property,
    values,
    card: asInteger(valueAt(values, 'NetworkCardIndex') ?? 0),
    device: asInteger(valueAt(values, 'DeviceIndex')),
    type,
    isEfa: isEfaType(type),
  };
}

function typeOfExisting(existing: Value): Value {
  return existing instanceof Link && existing.resource.type === INTERFACE_TYPE ? existing.resource.get('InterfaceType') ?? 'interface'
    : new Unknown('the type of an interface that is not in these templates', `type of ${existing instanceof Unknown ? existing.key : show(existing)}`);
}

function isEfaType(type: Value | undefined): boolean {
  return type === 'efa' || type === 'efa-only';
}

function usesByTemplate(graph: TemplateGraph): Map<Resource, LaunchUse[]> {
  const named = new Map<string, Resource[]>();
  for (const template of graph.ofType('AWS::EC2::LaunchTemplate')) {
    const name = template.get('LaunchTemplateName');
    if (typeof name === 'string') {
      named.set(name, [...named.get(name) ?? [], template]);
    }
  }
  const result = new Map<Resource, LaunchUse[]>();
  for (const { use, specification } of usesOf(graph)) {
    const id = valueAt(specification, 'LaunchTemplateId') ?? valueAt(specification, 'Id');
    const name = valueAt(specification, 'LaunchTemplateName') ?? valueAt(specification, 'Name');
    const templates = [id, name].flatMap((value) => value instanceof Link ? [value.resource] : typeof value === 'string' ? named.get(value) ?? [] : []);
    for (const template of new Set(templates)) {
      result.set(template, [...result.get(template) ?? [], use]);
    }
  }
  return result;
}

function usesOf(graph: TemplateGraph): { use: LaunchUse; specification: Value }[] {
  const result: { use: LaunchUse; specification: Value }[] = [];
  const add = (use: LaunchUse, ...specifications: (Value | undefined)[]) => {
    for (const specification of specifications) {
      if (specification !== undefined) {
        result.push({ use, specification });
      }
    }
  };
  for (const resource of graph.ofType('AWS::AutoScaling::AutoScalingGroup')) {
    const policy = (...path: string[]) => resource.get('MixedInstancesPolicy', 'LaunchTemplate', ...path);
    const overrides = asList(policy('Overrides')) ?? [];
    // an override with a launch template of its own leaves the group's template alone.
    const ownTemplate = overrides.filter((override) => valueAt(override, 'LaunchTemplateSpecification') !== undefined);
    const group = (replaced: Value[]): LaunchUse => ({
      kind: 'AutoScalingGroup',
      resource,
      instanceTypes: valuesAt(replaced, 'InstanceType'),
      subnetsProperty: 'VPCZoneIdentifier',
      subnets: subnetsAt(resource, 'VPCZoneIdentifier'),
      zones: asList(resource.get('AvailabilityZones')) ?? [],
    });
    add(group([]), resource.get('LaunchTemplate'));
    add(group(overrides.filter((override) => !ownTemplate.includes(override))), policy('LaunchTemplateSpecification'));
    for (const override of ownTemplate) {
      add(group([override]), valueAt(override, 'LaunchTemplateSpecification'));
    }
  }
  for (const resource of graph.ofType('AWS::EKS::Nodegroup')) {
    add({
      kind: 'Nodegroup',
      resource,
      instanceTypes: asList(resource.get('InstanceTypes')) ?? [],
      subnetsProperty: 'Subnets',
      subnets: subnetsAt(resource, 'Subnets'),
      zones: [],
    }, resource.get('LaunchTemplate'));
  }
  for (const resource of graph.ofType('AWS::EC2::Instance')) {
    add(instanceUse(resource), resource.get('LaunchTemplate'));
  }
  for (const [type, path] of [['AWS::EC2::EC2Fleet', []], ['AWS::EC2::SpotFleet', ['SpotFleetRequestConfigData']]] as const) {
    for (const resource of graph.ofType(type)) {
      const configs = asList(resource.get(...path, 'LaunchTemplateConfigs')) ?? [];
      const overrides = configs.flatMap((config) => asList(valueAt(config, 'Overrides')) ?? []);
      add({
        kind: 'Fleet',
        resource,
        instanceTypes: valuesAt(overrides, 'InstanceType'),
        subnetsProperty: [...path, 'LaunchTemplateConfigs'].join('.'),
        subnets: valuesAt(overrides, 'SubnetId'),
        zones: valuesAt(overrides, 'AvailabilityZone'),
      }, ...valuesAt(configs, 'LaunchTemplateSpecification'));
    }
  }
  return result;
}

function instanceUse(resource: Resource): LaunchUse {
  const [type, subnet, zone] = [resource.get('InstanceType'), resource.get('SubnetId'), resource.get('AvailabilityZone')];
  const interfaces = asList(resource.get('NetworkInterfaces')) ?? [];
  return {
    kind: 'Instance',
    resource,
    instanceTypes: type === undefined ? [] : [type],
    subnetsProperty: subnet === undefined ? 'NetworkInterfaces' : 'SubnetId',
    subnets: subnet === undefined ? interfaces.map(subnetOfInterface).filter((value) => value !== undefined) : [subnet],
    zones: zone === undefined ? [] : [zone],
  };
}

function subnetOfInterface(values: Value): Value | undefined {
  const existing = valueAt(values, 'NetworkInterfaceId');
  return existing instanceof Link ? existing.resource.get('SubnetId') : valueAt(values, 'SubnetId');
}

function subnetsAt(resource: Resource, property: string): Value[] | Unknown {
  const value = resource.get(property);
  return value instanceof Unknown ? value : asList(value) ?? [];
}

function valuesAt(values: readonly Value[], property: string): Value[] {
  return values.map((value) => valueAt(value, property)).filter((value) => value !== undefined);
}
