import { Launch, launchesOf } from './launches';
import { viewOf } from './view';
import { Resource, Value, asList } from '../graph/template-graph';

/** A managed node group of Amazon EKS. */
export interface NodeGroup {
  readonly resource: Resource;
  /** True when it has a launch template, in the templates or not. */
  readonly hasLaunchTemplate: boolean;
  /** Its launch template, if that is in the templates. */
  readonly launch?: Launch;
  /** Instance types of the node group or of its launch template, known or not. */
  readonly instanceTypes: Value[];
}

/** Every managed node group of the graph. */
export const nodeGroupsOf = viewOf((graph): NodeGroup[] => {
  const launches = new Map<Resource, Launch>();
  for (const launch of launchesOf(graph)) {
    launch.uses.filter(({ kind }) => kind === 'Nodegroup').forEach(({ resource }) => launches.set(resource, launch));
  }
  return graph.ofType('AWS::EKS::Nodegroup').map((resource) => {
    const launch = launches.get(resource);
    const own = asList(resource.get('InstanceTypes'));
    const inherited = launch?.template.get('LaunchTemplateData', 'InstanceType');
    return {
      resource,
      hasLaunchTemplate: resource.get('LaunchTemplate') !== undefined,
      launch,
      instanceTypes: own === undefined ? [resource.get('InstanceTypes')!] : own.length > 0 || inherited === undefined ? own : [inherited],
    };
  });
});
