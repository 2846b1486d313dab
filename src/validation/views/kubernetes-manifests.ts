import { hasHole, partialText } from './partial-text';
import { viewOf } from './view';
import { HOLE, Link, Resource, TemplateGraph, Value, isTrue } from '../graph/template-graph';

/** A piece of a manifest, undefined where nothing is; a text that is not known before deployment, or a number, has a `HOLE`. */
export type ManifestValue = string | number | boolean | null | undefined | ManifestValue[] | { readonly [key: string]: ManifestValue };

/** An object that a template applies to a cluster. */
export interface KubernetesObject {
  readonly resource: Resource;
  /** The cluster as the resource names it. */
  readonly cluster: Value | undefined;
  /** Place in `Manifest`, such as `Manifest.0`. */
  readonly property: string;
  readonly object: ManifestValue;
}

/** A chart that a template installs in a cluster. */
export interface HelmRelease {
  readonly resource: Resource;
  readonly cluster: Value | undefined;
  /** Name of the chart, without its repository. */
  readonly chart: string;
  /** Undefined where the values are not known. */
  readonly values: ManifestValue;
}

/** A pod, or what a controller makes pods from. */
export interface PodSpec {
  /** Place in `Manifest`, such as `Manifest.0.spec.template.spec`. */
  readonly property: string;
  readonly spec: ManifestValue;
}

/** The label of a node that says its instance type, and its name before Kubernetes 1.17. */
const INSTANCE_TYPE_LABELS = ['node.kubernetes.io/instance-type', 'beta.kubernetes.io/instance-type'];

/** Where the pod is, below an object of that kind. */
const POD_PATHS: { readonly [kind: string]: readonly string[][] } = {
  Pod: [['spec']],
  Deployment: [['spec', 'template', 'spec']],
  ReplicaSet: [['spec', 'template', 'spec']],
  StatefulSet: [['spec', 'template', 'spec']],
  DaemonSet: [['spec', 'template', 'spec']],
  Job: [['spec', 'template', 'spec']],
  CronJob: [['spec', 'jobTemplate', 'spec', 'template', 'spec']],
  LeaderWorkerSet: [
    ['spec', 'leaderWorkerTemplate', 'leaderTemplate', 'spec'],
    ['spec', 'leaderWorkerTemplate', 'workerTemplate', 'spec'],
  ],
};

const SUFFIXES: { readonly [suffix: string]: number } = {
  '': 1, 'm': 1e-3, 'k': 1e3, 'M': 1e6, 'G': 1e9, 'T': 1e12, 'Ki': 2 ** 10, 'Mi': 2 ** 20, 'Gi': 2 ** 30, 'Ti': 2 ** 40,
};

const MANIFEST_TYPE = 'Custom::AWSCDK-EKS-KubernetesResource';

/** Every object that the CDK applies to clusters; a manifest that cannot be read has none. */
export const kubernetesObjectsOf = viewOf((graph): KubernetesObject[] => graph.ofType(MANIFEST_TYPE).flatMap((resource) => {
  const manifest = parse(resource.get('Manifest'));
  return (Array.isArray(manifest) ? manifest : []).map((object, index) => ({
    resource, cluster: resource.get('ClusterName'), property: `Manifest.${index}`, object,
  }));
}));

/** False when a manifest cannot be read before deployment. */
export function isEveryManifestKnown(graph: TemplateGraph): boolean {
  const known = new Set(kubernetesObjectsOf(graph).map(({ resource }) => resource));
  return graph.ofType(MANIFEST_TYPE).every((resource) => known.has(resource));
}

/** Every chart that the CDK installs in clusters. */
export const helmReleasesOf = viewOf((graph): HelmRelease[] => graph.ofType('Custom::AWSCDK-EKS-HelmChart').map((resource) => {
  const [chart, repository, values] = ['Chart', 'Repository', 'Values'].map((name) => resource.get(name));
  return {
    resource,
    cluster: resource.get('ClusterName'),
    // a chart of an OCI registry may be named by its repository alone.
    chart: [chart, repository].map((name) => typeof name === 'string' ? name.split('/').at(-1)! : '').find((name) => name !== '') ?? '',
    values: values === undefined ? {} : parse(values),
  };
}));

/** Kind of an object. */
export function kindOf({ object }: KubernetesObject): string {
  const kind = jsonAt(object, 'kind');
  return typeof kind === 'string' ? kind : '';
}

/** The pods that an object makes. */
export function podSpecsOf(applied: KubernetesObject): PodSpec[] {
  const kind = kindOf(applied);
  return (Object.hasOwn(POD_PATHS, kind) ? POD_PATHS[kind] : []).map((path) => ({
    property: [applied.property, ...path].join('.'),
    spec: jsonAt(applied.object, ...path),
  })).filter(({ spec }) => spec !== undefined);
}

/** Containers of a pod with their place below it. */
export function containersOf(spec: ManifestValue, list: 'containers' | 'initContainers' = 'containers'): { readonly path: string; readonly container: ManifestValue }[] {
  return jsonList(jsonAt(spec, list)).map((container, index) => ({ path: `${list}.${index}`, container }));
}

/**
 * The instance types that a pod may run on by its node selector and its required node affinity; undefined where any may do.
 *
 * @param spec the pod.
 */
export function instanceTypesOfPod(spec: ManifestValue): string[] | undefined {
  for (const label of INSTANCE_TYPE_LABELS) {
    const selected = jsonAt(spec, 'nodeSelector', label);
    if (typeof selected === 'string') {
      return hasHole(selected) ? undefined : [selected];
    }
  }
  const terms = jsonList(jsonAt(spec, 'affinity', 'nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution', 'nodeSelectorTerms'));
  // a node has to fit one of the terms, so that a term without an instance type allows any.
  const types = terms.map((term) => {
    const listed = jsonList(jsonAt(term, 'matchExpressions'))
      .find((expression) => INSTANCE_TYPE_LABELS.includes(String(jsonAt(expression, 'key'))) && jsonAt(expression, 'operator') === 'In');
    const values = listed === undefined ? undefined : jsonAt(listed, 'values');
    return Array.isArray(values) && values.every((value) => typeof value === 'string' && !hasHole(value)) ? values as string[] : undefined;
  });
  return types.length > 0 && types.every((list) => list !== undefined) ? [...new Set(types.flat())] : undefined;
}

/** The value at a path of a manifest. */
export function jsonAt(value: ManifestValue, ...path: string[]): ManifestValue {
  return path.reduce<ManifestValue>((current, name) =>
    typeof current === 'object' && current !== null && !Array.isArray(current) && Object.hasOwn(current, name) ? current[name] : undefined, value);
}

/** A list as it is, anything else as an empty one. */
export function jsonList(value: ManifestValue): ManifestValue[] {
  return Array.isArray(value) ? value : [];
}

/** True for `true` and `"true"`. */
export function isJsonTrue(value: ManifestValue): boolean {
  return (typeof value === 'boolean' || typeof value === 'string') && isTrue(value);
}

/** A Kubernetes quantity such as `16`, `"16"` or `"5128Mi"` as a number; undefined where it is not known or none. */
export function quantity(value: ManifestValue): number | undefined {
  if (typeof value === 'number') {
    return value;
  }
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)([a-zA-Z]*)$/.exec(value) : null;
  return match && Object.hasOwn(SUFFIXES, match[2]) ? Number(match[1]) * SUFFIXES[match[2]] : undefined;
}

/** Stands for what is unknown while a manifest is parsed: text within a string, a number outside one. */
const MARK = '7180339887498948';

function parse(value: Value | undefined): ManifestValue {
  const text = partialText(value);
  if (text === undefined || value instanceof Link) {
    return undefined;
  }
  try {
    return JSON.parse(text.replaceAll(HOLE, MARK), (_, item) => typeof item === 'string' ? item.replaceAll(MARK, HOLE)
      : typeof item === 'number' && String(item).includes(MARK) ? HOLE : item) as ManifestValue;
  } catch {
    return undefined;
  }
}
