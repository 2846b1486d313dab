import { Link, Resource, TemplateGraph, Value } from '../graph/template-graph';

/** Where a cluster's name is, by its type: of the current construct, and of the one before. */
const CLUSTER_NAMES: ReadonlyMap<string, string[]> = new Map([['AWS::EKS::Cluster', ['Name']], ['Custom::AWSCDK-EKS-Cluster', ['Config', 'name']]]);

/**
 * The cluster that a resource names, if it is in the templates.
 *
 * @param graph the graph.
 * @param resource what is in the cluster.
 * @param name the cluster as it is named.
 */
export function clusterOf(graph: TemplateGraph, resource: Resource, name: Value | undefined = resource.get('ClusterName')): Resource | undefined {
  if (name instanceof Link) {
    return CLUSTER_NAMES.has(name.resource.type) ? name.resource : undefined;
  }
  return [...CLUSTER_NAMES].map(([type, path]) => graph.byName(type, path, name, resource)).find((cluster) => cluster !== undefined);
}

/** Minor version of a cluster's Kubernetes 1.x; undefined where it is not known. */
export function kubernetesMinorOf(cluster: Resource | undefined): number | undefined {
  return minorVersion(cluster?.get('Version') ?? cluster?.get('Config', 'version'));
}

/** The x of a Kubernetes version 1.x. */
export function minorVersion(version: Value | undefined): number | undefined {
  // a version of YAML such as 1.30 without quotes is the number 1.3, and EKS has none before 1.10.
  const text = typeof version === 'number' ? version.toFixed(2) : version;
  const match = typeof text === 'string' ? /^1\.(\d+)/.exec(text) : null;
  return match ? Number(match[1]) : undefined;
}
