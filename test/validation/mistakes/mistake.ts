import { Template } from '../efa-fleet';

export type Properties = { [name: string]: any };

/** A mistake as it is made in practice. */
export interface Mistake {
  readonly name: string;
  /** Ids of the rules that the template then breaks, and of no others; none where other checkers see the mistake. */
  readonly rules: readonly string[];
  /** The ids for single bases where more, or less, follows from the mistake. */
  readonly on?: { readonly [base: string]: readonly string[] };
  /** Changes the template; false when it has nothing to change. */
  readonly make: (template: Template) => boolean;
}

/** Finds places for a mistake in a template. */
export type Select = (template: Template) => Properties[];

/** A mistake at the first place that a template has for it. */
export function at(select: Select, change: (place: Properties, template: Template) => void): Mistake['make'] {
  return (template) => {
    const [place] = select(template);
    if (place === undefined) {
      return false;
    }
    change(place, template);
    return true;
  };
}

export function ofType(type: string): Select {
  return (template) => Object.values(template.Resources).filter((resource) => resource.Type === type).map((resource) => {
    resource.Properties ??= {};
    return resource.Properties;
  });
}

/** Logical id of the first resource of a type; of one that a test takes. */
export function idOf(template: Template, type: string, matches: (properties: Properties) => boolean = () => true): string | undefined {
  return Object.keys(template.Resources).find((id) => template.Resources[id].Type === type && matches(template.Resources[id].Properties ?? {}));
}

export function removeAll(template: Template, type: string, matches: (properties: Properties) => boolean): boolean {
  const ids = Object.keys(template.Resources).filter((id) => template.Resources[id].Type === type && matches(template.Resources[id].Properties));
  ids.forEach((id) => delete template.Resources[id]);
  return ids.length > 0;
}

export function where(select: Select, matches: (properties: Properties, template: Template) => boolean): Select {
  return (template) => select(template).filter((place) => matches(place, template));
}

export const groups = ofType('AWS::AutoScaling::AutoScalingGroup');
export const nodegroups = ofType('AWS::EKS::Nodegroup');
export const reservations = ofType('AWS::EC2::CapacityReservation');

/** What launch templates launch, in the order of the template. */
export const launchData: Select = (template) => ofType('AWS::EC2::LaunchTemplate')(template).map((properties) => properties.LaunchTemplateData);

/** Launches with EFA interfaces on several network cards. */
export const efaData = where(launchData, ({ NetworkInterfaces }) => NetworkInterfaces?.some(isEfa) && NetworkInterfaces.length > 2);

/** Launches of efaData by Auto Scaling groups. */
export const efaGroupData = where(efaData, (data, template) => groups(template).some((group) => data === dataOf(template, group)));

export const blockData = where(launchData, ({ InstanceMarketOptions }) => InstanceMarketOptions?.MarketType === 'capacity-block');

/** Auto Scaling groups on a Capacity Block. */
export const blockGroups = where(groups, (group, template) => dataOf(template, group)?.InstanceMarketOptions?.MarketType === 'capacity-block');

export const efaGroups = where(groups, (group, template) => efaData(template).includes(dataOf(template, group)!));

export function isEfa({ InterfaceType }: Properties): boolean {
  return InterfaceType === 'efa' || InterfaceType === 'efa-only';
}

/** What a group or a node group launches. */
export function dataOf(template: Template, group: Properties): Properties | undefined {
  const reference = group.LaunchTemplate?.LaunchTemplateId ?? group.LaunchTemplate?.Id;
  return template.Resources[reference?.Ref]?.Properties.LaunchTemplateData;
}

/** Containers of the task definitions for EC2 that run a vLLM server. */
export const engines: Select = (template) => ofType('AWS::ECS::TaskDefinition')(template)
  .flatMap((task) => task.ContainerDefinitions).filter((container) => container.Command?.[0] === 'vllm');

export const engineTasks = where(ofType('AWS::ECS::TaskDefinition'), (task) => task.ContainerDefinitions
  .some((container: Properties) => container.Command?.[0] === 'vllm'));

/** Engines that are given their devices by path. */
export const engineDevices: Select = (template) => engines(template).flatMap(({ LinuxParameters }) => LinuxParameters ? [LinuxParameters.Devices] : []);

/** Services of tasks on instances. */
export const engineServices = where(ofType('AWS::ECS::Service'), ({ CapacityProviderStrategy }) => CapacityProviderStrategy !== undefined);

/** Gives an option of a command another value, or adds the option. */
export function setOption({ Command }: Properties, option: string, value: string): void {
  const place = Command.indexOf(option);
  if (place === -1) {
    Command.push(option, value);
  } else {
    Command[place + 1] = value;
  }
}
