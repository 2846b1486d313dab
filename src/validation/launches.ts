import { Link, Resource, TemplateGraph, Unknown, Value, asInteger, asList, same, valueAt } from './template-graph';
import { zoneOf, zoneOfSubnet } from './zones';

/** A network interface of a launch template, positions defaulted as EC2 does. */
export interface LaunchInterface {
  /** Path below `Properties`. */
  readonly property: string;
  readonly values: Value;
  /** Undefined when it is not known. */
  readonly card?: number;
  /** Undefined when it is not known or not given. */
  readonly device?: number;
  /** `interface` when it is not given. */
  readonly type: Value;
  /** `efa` or `efa-only`; an interface of unknown type is not one. */
  readonly isEfa: boolean;
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

/** One launch template with all that is launched from it. */
export interface Launch {
  readonly template: Resource;
  readonly interfaces: LaunchInterface[];
  /** The list of interfaces, or an element of it, when that is unknown. */
  readonly unknownInterfaces?: Unknown;
  readonly uses: LaunchUse[];
  /** Instance types that are launched, known or not, each once. */
  readonly instanceTypes: Value[];
}

const DATA = 'LaunchTemplateData';
const launchesOfGraph = new WeakMap<TemplateGraph, Launch[]>();

/** Every launch template of the graph. */
export function launchesOf(graph: TemplateGraph): Launch[] {
  let launches = launchesOfGraph.get(graph);
  if (!launches) {
    const uses = usesOf(graph);
    launches = graph.ofType('AWS::EC2::LaunchTemplate').map((template) => launchOf(template, uses));
    launchesOfGraph.set(graph, launches);
  }
  return launches;
}

/** Launch templates with at least one EFA interface. */
export function efaLaunchesOf(graph: TemplateGraph): Launch[] {
  return launchesOf(graph).filter((launch) => launch.interfaces.some((nic) => nic.isEfa));
}

/** A launch template's value below `LaunchTemplateData`. */
export function launchData(launch: Launch, ...path: string[]): Value | undefined {
  return launch.template.get(DATA, ...path);
}

/** Path of a launch template's value below `Properties`. */
export function launchProperty(...path: string[]): string {
  return [DATA, ...path].join('.');
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

function launchOf(template: Resource, allUses: readonly { use: LaunchUse; specification: Value }[]): Launch {
  const listed = template.get(DATA, 'NetworkInterfaces');
  const items = asList(listed) ?? [];
  const interfaces = items.flatMap((values, index) => values instanceof Unknown ? [] : [interfaceOf(values, `${DATA}.NetworkInterfaces.${index}`)]);
  const uses = allUses.filter(({ specification }) => isOf(specification, template)).map(({ use }) => use);
  const own = template.get(DATA, 'InstanceType') ?? (template.get(DATA, 'InstanceRequirements') === undefined ? undefined
    : new Unknown('instance types chosen by "InstanceRequirements"', `${template.stack} ${template.logicalId} requirements`));
  const types = uses.flatMap((use) => use.instanceTypes);
  if (own !== undefined && (uses.length === 0 || uses.some((use) => use.instanceTypes.length === 0))) {
    types.unshift(own);
  }
  return {
    template,
    interfaces,
    unknownInterfaces: listed instanceof Unknown ? listed : items.find((item) => item instanceof Unknown),
    uses,
    instanceTypes: types.filter((type, index) => types.findIndex((other) => same(type, other) === true) === index),
  };
}

function interfaceOf(values: Value, property: string): LaunchInterface {
  const type = valueAt(values, 'InterfaceType') ?? 'interface';
  const device = valueAt(values, 'DeviceIndex');
  return {
    property,
    values,
    card: asInteger(valueAt(values, 'NetworkCardIndex') ?? 0),
    device: asInteger(device),
    type,
    isEfa: type === 'efa' || type === 'efa-only',
  };
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
    const [type, subnet, zone] = [resource.get('InstanceType'), resource.get('SubnetId'), resource.get('AvailabilityZone')];
    add({
      kind: 'Instance',
      resource,
      instanceTypes: type === undefined ? [] : [type],
      subnetsProperty: 'SubnetId',
      subnets: subnet === undefined ? [] : [subnet],
      zones: zone === undefined ? [] : [zone],
    }, resource.get('LaunchTemplate'));
  }
  for (const resource of graph.ofType('AWS::EC2::EC2Fleet')) {
    const configs = asList(resource.get('LaunchTemplateConfigs')) ?? [];
    const overrides = configs.flatMap((config) => asList(valueAt(config, 'Overrides')) ?? []);
    add({
      kind: 'Fleet',
      resource,
      instanceTypes: valuesAt(overrides, 'InstanceType'),
      subnetsProperty: 'LaunchTemplateConfigs',
      subnets: valuesAt(overrides, 'SubnetId'),
      zones: valuesAt(overrides, 'AvailabilityZone'),
    }, ...valuesAt(configs, 'LaunchTemplateSpecification'));
  }
  return result;
}

function subnetsAt(resource: Resource, property: string): Value[] | Unknown {
  const value = resource.get(property);
  return value instanceof Unknown ? value : asList(value) ?? [];
}

function valuesAt(values: readonly Value[], property: string): Value[] {
  return values.map((value) => valueAt(value, property)).filter((value) => value !== undefined);
}

function isOf(specification: Value, template: Resource): boolean {
  const id = valueAt(specification, 'LaunchTemplateId') ?? valueAt(specification, 'Id');
  const name = valueAt(specification, 'LaunchTemplateName') ?? valueAt(specification, 'Name');
  const isTemplate = (value: Value | undefined) => value instanceof Link && value.resource === template;
  return isTemplate(id) || isTemplate(name) || (typeof name === 'string' && template.get('LaunchTemplateName') === name);
}
