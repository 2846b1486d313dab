import { viewOf } from './view';
import { zoneOf, zoneOfSubnet } from './zones';
import { Link, Resource, TemplateGraph, Unknown, Value, asInteger, asList, distinctValues, linked, same, several, show, valueAt } from '../graph/template-graph';

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
  /** Instance types that replace the template's own, known or not. */
  readonly instanceTypes: Value[];
  /** Path of the subnets below `Properties`. */
  readonly subnetsProperty: string;
  /** The subnets as given; an element of a group of several may be unknown. */
  readonly subnets: Value[] | Unknown;
  /** Zones given by name or id beside the subnets. */
  readonly zones: Value[] | Unknown;
  /** Whether it gives network interfaces of its own in place of the template's. */
  readonly replacesInterfaces: boolean;
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

/** Every launch template of the graph, and every instance that is launched without one. */
export const launchesOf = viewOf((graph): Launch[] => {
  const uses = usesByTemplate(graph);
  return [
    ...graph.ofType('AWS::EC2::LaunchTemplate').map((template) => launchOf(template, ['LaunchTemplateData'], uses.get(template) ?? [])),
    ...graph.ofType('AWS::EC2::Instance').filter((instance) => instance.get('LaunchTemplate') === undefined)
      .map((instance) => launchOf(instance, [], [instanceUse(instance)])),
  ];
});

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

/**
 * Instance types that one use of a launch launches, known or not.
 *
 * @param launch what is launched.
 * @param use what launches it.
 */
export function typesOfUse({ template, root }: Launch, use: LaunchUse): Value[] {
  const own = ownType(template, root);
  return use.instanceTypes.length > 0 ? use.instanceTypes : own === undefined ? [] : [own];
}

/** Every zone that a use may launch into, a zone for each subnet. */
export function zonesOfUse(use: LaunchUse): Value[] {
  return [...several(use.subnets).map((subnet) => use.subnets instanceof Unknown ? subnet : zoneOfSubnet(subnet)), ...several(use.zones).map(zoneOf)];
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

function launchOf(template: Resource, root: readonly string[], everyUse: LaunchUse[]): Launch {
  // what a launch gives replaces what its template gives.
  const uses = everyUse.filter(({ replacesInterfaces }) => !replacesInterfaces);
  const isReplaced = uses.length === 0 && everyUse.length > 0;
  const listed = isReplaced ? undefined : template.get(...root, 'NetworkInterfaces');
  const items = asList(listed) ?? [];
  const interfaces = items.flatMap((values, index) => values instanceof Unknown ? []
    : [interfaceOf(values, [...root, 'NetworkInterfaces', index].join('.'))]);
  const own = ownType(template, root);
  const types = uses.flatMap((use) => use.instanceTypes);
  if (own !== undefined && !isReplaced && (uses.length === 0 || uses.some((use) => use.instanceTypes.length === 0))) {
    types.unshift(own);
  }
  return {
    template,
    root,
    interfaces,
    unknownInterfaces: listed instanceof Unknown ? listed : items.find((item) => item instanceof Unknown),
    uses: everyUse,
    instanceTypes: distinctValues(types),
  };
}

function ownType(template: Resource, root: readonly string[]): Value | undefined {
  return template.get(...root, 'InstanceType') ?? (template.get(...root, 'InstanceRequirements') === undefined ? undefined
    : new Unknown('instance types chosen by "InstanceRequirements"', `${template.stack} ${template.logicalId} requirements`));
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
  const made = linked(existing, INTERFACE_TYPE);
  return made ? made.get('InterfaceType') ?? 'interface'
    : new Unknown('the type of an interface that is not in these templates', `type of ${existing instanceof Unknown ? existing.key : show(existing)}`);
}

function isEfaType(type: Value | undefined): boolean {
  return type === 'efa' || type === 'efa-only';
}

function usesByTemplate(graph: TemplateGraph): Map<Resource, LaunchUse[]> {
  const result = new Map<Resource, LaunchUse[]>();
  for (const { use, specification } of usesOf(graph)) {
    const id = valueAt(specification, 'LaunchTemplateId') ?? valueAt(specification, 'Id');
    const name = valueAt(specification, 'LaunchTemplateName') ?? valueAt(specification, 'Name');
    const templates = [id, name].flatMap((value) => (value instanceof Link ? value.resource
      : graph.byName('AWS::EC2::LaunchTemplate', ['LaunchTemplateName'], value, use.resource)) ?? []);
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
    const overrides = several(policy('Overrides'));
    // an override with a launch template of its own leaves the group's template alone.
    const ownTemplate = overrides.filter((override) => !(override instanceof Unknown) && valueAt(override, 'LaunchTemplateSpecification') !== undefined);
    const group = (replaced: Value[]): LaunchUse => ({
      kind: 'AutoScalingGroup',
      resource,
      instanceTypes: typesOfOverrides(replaced),
      subnetsProperty: 'VPCZoneIdentifier',
      subnets: listAt(resource, 'VPCZoneIdentifier'),
      zones: zonesOfGroup(resource),
      replacesInterfaces: false,
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
      instanceTypes: several(resource.get('InstanceTypes')),
      subnetsProperty: 'Subnets',
      subnets: listAt(resource, 'Subnets'),
      zones: [],
      replacesInterfaces: false,
    }, resource.get('LaunchTemplate'));
  }
  for (const resource of graph.ofType('AWS::EC2::Instance')) {
    add({ ...instanceUse(resource), replacesInterfaces: resource.get('NetworkInterfaces') !== undefined }, resource.get('LaunchTemplate'));
  }
  for (const [type, path] of [['AWS::EC2::EC2Fleet', []], ['AWS::EC2::SpotFleet', ['SpotFleetRequestConfigData']]] as const) {
    for (const resource of graph.ofType(type)) {
      for (const configs of byTemplate(several(resource.get(...path, 'LaunchTemplateConfigs')))) {
        const overrides = configs.flatMap((config) => several(valueAt(config, 'Overrides')));
        add({
          kind: 'Fleet',
          resource,
          instanceTypes: typesOfOverrides(overrides),
          subnetsProperty: [...path, 'LaunchTemplateConfigs'].join('.'),
          subnets: valuesAt(overrides, 'SubnetId'),
          zones: valuesAt(overrides, 'AvailabilityZone'),
          replacesInterfaces: false,
        }, valueAt(configs[0], 'LaunchTemplateSpecification'));
      }
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
    replacesInterfaces: false,
  };
}

// configs that name one launch template launch it in the places of all.
function byTemplate(configs: readonly Value[]): Value[][] {
  const templateOf = (config: Value) => {
    const specification = valueAt(config, 'LaunchTemplateSpecification');
    return valueAt(specification, 'LaunchTemplateId') ?? valueAt(specification, 'LaunchTemplateName') ?? null;
  };
  const groups: Value[][] = [];
  for (const config of configs) {
    const mates = groups.find(([first]) => same(templateOf(first), templateOf(config)) === true);
    if (mates) {
      mates.push(config);
    } else {
      groups.push([config]);
    }
  }
  return groups;
}

// of an override that is chosen by its requirements, the type is not known.
function typesOfOverrides(overrides: readonly Value[]): Value[] {
  return overrides.map((override) => valueAt(override, 'InstanceType') ?? (valueAt(override, 'InstanceRequirements') === undefined ? undefined
    : new Unknown('instance types chosen by "InstanceRequirements"', ''))).filter((type) => type !== undefined);
}

function zonesOfGroup(group: Resource): Value[] | Unknown {
  const zones = listAt(group, 'AvailabilityZones');
  return zones instanceof Unknown || zones.length > 0 ? zones : listAt(group, 'AvailabilityZoneIds');
}

function subnetOfInterface(values: Value): Value | undefined {
  const existing = valueAt(values, 'NetworkInterfaceId');
  return existing instanceof Link ? existing.resource.get('SubnetId') : valueAt(values, 'SubnetId');
}

function listAt(resource: Resource, property: string): Value[] | Unknown {
  const value = resource.get(property);
  return value instanceof Unknown ? value : several(value);
}

function valuesAt(values: readonly Value[], property: string): Value[] {
  return values.map((value) => valueAt(value, property)).filter((value) => value !== undefined);
}
