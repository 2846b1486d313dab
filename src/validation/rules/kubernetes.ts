import { Resource, TemplateGraph, Value, same } from '../graph/template-graph';
import { Found, Rule, found } from '../rule';
import { clusterOf, kubernetesMinorOf } from '../views/eks-clusters';
import { instanceFacts, isNeuronType, KNOWN_NEURON_INSTANCE_TYPES, mostNeuronCoresOf, neuronDevicesOf } from '../views/instance-facts';
import { largest } from '../views/known-numbers';
import {
  ManifestValue, KubernetesObject, containersOf, helmReleasesOf, instanceTypesOfPod, isEveryManifestKnown, isJsonTrue, jsonAt, jsonList, kindOf,
  kubernetesObjectsOf, podSpecsOf, quantity,
} from '../views/kubernetes-manifests';
import { nodeGroupsOf } from '../views/node-groups';

const FAMILY = 'kubernetes';
const NEURON_GUIDE = 'https://docs.aws.amazon.com/eks/latest/userguide/device-management-neuron.html';
const EFA_GUIDE = 'https://docs.aws.amazon.com/eks/latest/userguide/device-management-efa.html';
const HUGE_PAGES_GUIDE = 'https://kubernetes.io/docs/tasks/manage-hugepages/scheduling-hugepages/';

const NEURON_DEVICES = ['aws.amazon.com/neuron', 'aws.amazon.com/neurondevice'];
const NEURON_CORES = 'aws.amazon.com/neuroncore';
const EFA_DEVICES = 'vpc.amazonaws.com/efa';

/** What the device plugins of AWS offer, and huge pages: none can be overcommitted. */
const WHOLE_RESOURCES = [...NEURON_DEVICES, NEURON_CORES, EFA_DEVICES, 'hugepages-2Mi', 'hugepages-1Gi'];
const PAGE_BYTES: { readonly [resource: string]: number } = { 'hugepages-2Mi': 2 ** 21, 'hugepages-1Gi': 2 ** 30 };

/** Kubernetes 1.34 is the first with version v1 of resource.k8s.io, and the least that the drivers of AWS run on. */
const DYNAMIC_ALLOCATION_MINOR = 34;

/** Types with Neuron devices whose facts are known. */
const CATALOGUE = KNOWN_NEURON_INSTANCE_TYPES.filter((type) => instanceFacts(type) !== undefined);

export const KUBERNETES_RULES: Rule[] = [
  {
    id: 'ExtendedResourceRequest',
    family: FAMILY,
    severity: 'error',
    title: 'A container requests as many Neuron devices, EFA devices and huge pages as its limits say',
    why: 'the API server refuses the manifest: the request "must be equal to aws.amazon.com/neuron limit", or "Limit must be set for non overcommitable resources"',
    mend: 'set the limit only, which is the request too',
    source: 'https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/',
    *check(graph) {
      for (const { resource, property, container, kind } of everyContainer(graph)) {
        for (const name of WHOLE_RESOURCES) {
          const [request, limit] = [jsonAt(container, 'resources', 'requests', name), jsonAt(container, 'resources', 'limits', name)];
          const [wanted, most] = [quantity(request), quantity(limit)];
          const path = `${property}.resources.requests.${name}`;
          if (wanted !== undefined && most !== undefined && wanted !== most) {
            yield foundIn(resource, path, request, `the limit is ${JSON.stringify(limit)}`);
          } else if (request !== undefined && limit === undefined && kind !== 'Pod') {
            // a LimitRange may give a bare pod the limit.
            yield foundIn(resource, path, request, 'there is no limit');
          }
        }
      }
    },
  },
  {
    id: 'HugePagesRequest',
    family: FAMILY,
    severity: 'error',
    title: 'A container with huge pages requests whole pages, and memory or CPU beside them',
    why: 'the API server refuses the manifest, with "HugePages require cpu or memory" or because the quantity is no multiple of the page size',
    mend: 'add a memory limit, and round the huge pages to a multiple of the page size, such as hugepages-2Mi: 5128Mi',
    source: HUGE_PAGES_GUIDE,
    *check(graph) {
      for (const { resource, property, container, kind, spec } of everyContainer(graph)) {
        const [limits, requests] = ['limits', 'requests'].map((name) => jsonAt(container, 'resources', name));
        for (const [name, page] of Object.entries(PAGE_BYTES)) {
          const given = jsonAt(limits, name) ?? jsonAt(requests, name);
          const path = `${property}.resources.limits.${name}`;
          const bytes = quantity(given);
          // a bare pod may get memory of a LimitRange, and a pod may have resources of its own beside those of its containers.
          const alone = kind !== 'Pod' && jsonAt(spec, 'resources') === undefined
            && [limits, requests].every((list) => jsonAt(list, 'memory') === undefined && jsonAt(list, 'cpu') === undefined);
          if (given !== undefined && alone) {
            yield foundIn(resource, path, given, 'the container requests neither memory nor CPU');
          } else if (bytes !== undefined && bytes % page !== 0) {
            yield foundIn(resource, path, given, 'the quantity is no multiple of the page size');
          }
        }
      }
    },
  },
  {
    id: 'PodExceedsInstance',
    family: FAMILY,
    severity: 'error',
    title: 'A pod requests no more Neuron and EFA devices than one instance has',
    why: 'no node can take the pod, which stays pending with "Insufficient aws.amazon.com/neuron"',
    mend: 'request at most what the instance type of the node has, or spread the work over several pods',
    source: NEURON_GUIDE,
    *check(graph) {
      for (const applied of kubernetesObjectsOf(graph)) {
        for (const { property, spec } of podSpecsOf(applied)) {
          const types = instanceTypesOfPod(spec);
          for (const name of [...NEURON_DEVICES, NEURON_CORES, EFA_DEVICES]) {
            const wanted = total(spec, name);
            const most = mostOf(name, types);
            if (most !== undefined && wanted > most) {
              yield foundIn(applied.resource, `${property}.containers`, wanted,
                `the pod requests ${wanted} of ${name}; ${types ? types.join(' or ') : 'the largest instance'} has ${most}`);
            }
          }
        }
      }
    },
  },
  {
    id: 'NeuronDevicePluginExcludesNodes',
    family: FAMILY,
    severity: 'warning',
    title: 'The Neuron device plugin may run on the nodes of every node group with Neuron devices',
    why: 'nodes that its node affinity leaves out offer no aws.amazon.com/neuron, and pods that request it stay pending; the plugin that the CDK adds to a '
      + 'cluster by itself names inf1 and inf2 only',
    mend: 'install the chart oci://public.ecr.aws/neuron/neuron-helm-chart, or add the instance type to the node affinity',
    source: 'npm:aws-cdk-lib@2.276.0 aws-eks-v2/lib/addons/neuron-device-plugin.yaml',
    *check(graph) {
      const plugins = kubernetesObjectsOf(graph).filter(isNeuronDevicePlugin)
        .map((applied) => ({ applied, types: podSpecsOf(applied).map(({ spec }) => instanceTypesOfPod(spec))[0] }));
      // a plugin that covers the nodes may be in a manifest or a chart that is not known.
      const elsewhere = !isEveryManifestKnown(graph) || helmReleasesOf(graph).some(({ chart }) => chart === '' || chart.includes('neuron'));
      if (plugins.length === 0 || elsewhere) {
        return;
      }
      for (const { resource, instanceTypes } of nodeGroupsOf(graph)) {
        const [type] = instanceTypes;
        const here = plugins.filter(({ applied }) => applied.resource.place === resource.place
          && same(applied.cluster ?? '', resource.get('ClusterName') ?? '') !== false);
        const certain = here.length > 0 && here.every(({ applied }) => same(applied.cluster ?? '', resource.get('ClusterName') ?? '') === true);
        if (certain && instanceTypes.length === 1 && isNeuronType(type)
          && here.every(({ types }) => types !== undefined && !types.includes(type))) {
          yield foundIn(here[0].applied.resource, `${here[0].applied.property}.spec.template.spec.affinity`, here[0].types,
            `nodes of ${resource.logicalId} are ${type}`);
        }
      }
    },
  },
  {
    id: 'DeviceDriversOverlap',
    family: FAMILY,
    severity: 'error',
    title: 'Nodes have either a DRA driver or a device plugin for the same devices, never both',
    why: 'the two know nothing of each other and give the same device to several pods',
    mend: 'install the DRA driver alone: devicePlugin.enabled false in the Neuron chart, aws-dranet without aws-efa-k8s-device-plugin; or the device plugin alone',
    source: EFA_GUIDE,
    *check(graph) {
      // where a chart is told which nodes it may run on, the two may be kept apart.
      const everywhere = helmReleasesOf(graph).filter(({ values }) => values !== undefined && !/"(affinity|nodeSelector)"/.test(JSON.stringify(values)));
      for (const { resource, values } of everywhere.filter(({ chart }) => chart === 'neuron-helm-chart')) {
        const plugin = jsonAt(values, 'devicePlugin', 'enabled');
        if (isJsonTrue(jsonAt(values, 'draDriver', 'enabled')) && (plugin === undefined || isJsonTrue(plugin))) {
          yield foundIn(resource, 'Values', values, 'the chart installs the DRA driver and the device plugin');
        }
      }
      const plugins = everywhere.filter(({ chart }) => chart === 'aws-efa-k8s-device-plugin');
      for (const { resource, cluster } of everywhere.filter(({ chart }) => chart === 'aws-dranet')) {
        const other = plugins.find((plugin) => plugin.resource.place === resource.place && same(plugin.cluster ?? '', cluster ?? '') === true);
        if (other) {
          yield foundIn(resource, 'Chart', 'aws-dranet', `${other.resource.logicalId} installs the EFA device plugin in the same cluster`);
        }
      }
    },
  },
  {
    id: 'DynamicResourceAllocationVersion',
    family: FAMILY,
    severity: 'error',
    title: `Dynamic resource allocation is for clusters of Kubernetes 1.${DYNAMIC_ALLOCATION_MINOR} or later`,
    why: 'the cluster has no version v1 of resource.k8s.io, so that the manifest is refused or the driver does not run',
    mend: `raise the version of the cluster to 1.${DYNAMIC_ALLOCATION_MINOR} or later, or use the device plugins`,
    source: EFA_GUIDE,
    *check(graph) {
      const users = [
        ...kubernetesObjectsOf(graph).filter(({ object }) => jsonAt(object, 'apiVersion') === 'resource.k8s.io/v1')
          .map(({ resource, cluster, property }) => ({ resource, cluster, property: `${property}.apiVersion` })),
        ...helmReleasesOf(graph).filter(({ chart, values }) => chart === 'aws-dranet'
          || (chart === 'neuron-helm-chart' && isJsonTrue(jsonAt(values, 'draDriver', 'enabled'))))
          .map(({ resource, cluster }) => ({ resource, cluster, property: 'Chart' })),
      ];
      for (const { resource, cluster, property } of users) {
        const minor = kubernetesMinorOf(clusterOf(graph, resource, cluster));
        if (minor !== undefined && minor < DYNAMIC_ALLOCATION_MINOR) {
          yield foundIn(resource, property, undefined, `the cluster runs Kubernetes 1.${minor}`);
        }
      }
    },
  },
];

function foundIn(resource: Resource, property: string, value: ManifestValue, message: string): Found {
  return found(resource, property, value as Value | undefined, message);
}

interface AppliedContainer {
  readonly resource: Resource;
  readonly property: string;
  readonly container: ManifestValue;
  readonly kind: string;
  readonly spec: ManifestValue;
}

function* everyContainer(graph: TemplateGraph): Iterable<AppliedContainer> {
  for (const applied of kubernetesObjectsOf(graph)) {
    for (const { property, spec } of podSpecsOf(applied)) {
      for (const { path, container } of [...containersOf(spec), ...containersOf(spec, 'initContainers')]) {
        yield { resource: applied.resource, property: `${property}.${path}`, container, kind: kindOf(applied), spec };
      }
    }
  }
}

function total(spec: ManifestValue, name: string): number {
  return containersOf(spec).reduce((sum, { container }) => {
    const [limit, request] = ['limits', 'requests'].map((list) => quantity(jsonAt(container, 'resources', list, name)));
    return sum + (limit ?? request ?? 0);
  }, 0);
}

/** The most of a resource that one instance has, of all types where none are given; undefined where that is not known. */
function mostOf(name: string, types: readonly string[] | undefined): number | undefined {
  if (types === undefined && name === EFA_DEVICES) {
    return undefined;
  }
  return largest((types ?? CATALOGUE).map((type) => (
    name === EFA_DEVICES ? instanceFacts(type)?.efaInterfaces : name === NEURON_CORES ? mostNeuronCoresOf(type) : neuronDevicesOf(type)
  )));
}

function isNeuronDevicePlugin(applied: KubernetesObject): boolean {
  return kindOf(applied) === 'DaemonSet' && podSpecsOf(applied).some(({ spec }) => jsonList(jsonAt(spec, 'containers'))
    .some((container) => String(jsonAt(container, 'image')).includes('neuron-device-plugin')));
}
