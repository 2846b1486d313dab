import { checkTemplates } from '../../src/validation/check-templates';
import { KUBERNETES_RULES } from '../../src/validation/rules/kubernetes';

type Properties = { [name: string]: unknown };

const OWN = new Set(KUBERNETES_RULES.map(({ id }) => id));
const PLACE = 'Manifest.0.spec.template.spec.containers';

function findings(manifest: unknown, type = 'Custom::AWSCDK-EKS-KubernetesResource', cluster: unknown = 'serving'): string[] {
  const properties = type.endsWith('HelmChart') ? manifest as Properties : { Manifest: manifest };
  const template = { Resources: { Applied: { Type: type, Properties: { ClusterName: cluster, ...properties } } } };
  const { findings: found } = checkTemplates([{ stack: 'Cluster', region: 'us-east-2', template }]);
  return found.filter(({ rule }) => OWN.has(rule.id)).map(({ rule, property }) => `${rule.id} ${property.replace('Properties.', '')}`);
}

function workload(resources: unknown, pod: Properties = {}, kind = 'Deployment'): string {
  const spec = { containers: [{ name: 'engine', resources }], ...pod };
  return JSON.stringify([{ kind, spec: kind === 'Pod' ? spec : { template: { spec } } }]);
}

describe('resources of a container', () => {
  const neuron = 'aws.amazon.com/neuron';
  test.each<[string, unknown, string[]]>([
    ['limits alone', workload({ limits: { [neuron]: 16 } }), []],
    ['the same as a number and as text', workload({ limits: { [neuron]: 16 }, requests: { [neuron]: '16' } }), []],
    ['huge pages in two units', workload({ limits: { 'hugepages-2Mi': '1Gi', 'memory': '1Gi' }, requests: { 'hugepages-2Mi': '1024Mi' } }), []],
    ['a request above the limit', workload({ limits: { [neuron]: 1 }, requests: { [neuron]: 2 } }), [`ExtendedResourceRequest ${PLACE}.0.resources.requests.${neuron}`]],
    ['a request without a limit', workload({ requests: { [neuron]: 2 } }), [`ExtendedResourceRequest ${PLACE}.0.resources.requests.${neuron}`]],
    ['a bare pod, which a LimitRange may complete', workload({ requests: { [neuron]: 2, 'hugepages-2Mi': '2Mi' } }, {}, 'Pod'), []],
    ['CPU and memory, which may be overcommitted', workload({ limits: { cpu: 4 }, requests: { cpu: 2, memory: '1Gi' } }), []],
    ['huge pages and CPU', workload({ limits: { 'hugepages-2Mi': '2Mi' }, requests: { cpu: '100m' } }), []],
    ['huge pages alone', workload({ limits: { 'hugepages-2Mi': '2Mi' } }), [`HugePagesRequest ${PLACE}.0.resources.limits.hugepages-2Mi`]],
    ['huge pages beside resources of the pod', workload({ limits: { 'hugepages-2Mi': '2Mi' } }, { resources: { limits: { memory: '1Gi' } } }), []],
    ['half a page', workload({ limits: { 'hugepages-2Mi': '3Mi', 'memory': '1Gi' } }), [`HugePagesRequest ${PLACE}.0.resources.limits.hugepages-2Mi`]],
    ['an init container', JSON.stringify([{ kind: 'Job', spec: { template: { spec: { initContainers: [{ resources: { requests: { [neuron]: 1 } } }] } } } }]),
      [`ExtendedResourceRequest Manifest.0.spec.template.spec.initContainers.0.resources.requests.${neuron}`]],
    ['a kind that is not known', workload({ requests: { [neuron]: 2 } }, {}, 'Engine'), []],
    ['a manifest that is none', '{', []],
    ['a manifest of a parameter', { Ref: 'Manifest' }, []],
    ['odd values', JSON.stringify([null, 7, { kind: 'Deployment', spec: [] }, { kind: '__proto__' }, { kind: 'Pod', spec: { containers: [null, { resources: 'all' }] } }]), []],
  ])('%s', (_, manifest, expected) => {
    expect(findings(manifest)).toEqual(expected);
  });

  test('are read around what is not known', () => {
    const [before, between, after] = workload({ limits: { [neuron]: 'LIMIT' }, requests: { [neuron]: 2, 'vpc.amazonaws.com/efa': 8 } }, { name: 'IMAGE' })
      .replace('"LIMIT"', '|').replace('IMAGE', '|').split('|');
    const joined = (limit: unknown) => ({ 'Fn::Join': ['', [before, limit, between, { 'Fn::GetAtt': ['Repository', 'Uri'] }, after]] });
    const efa = `ExtendedResourceRequest ${PLACE}.0.resources.requests.vpc.amazonaws.com/efa`;
    expect(findings(joined({ Ref: 'Chips' }))).toEqual([efa]);
    expect(findings(joined('16'))).toEqual([`ExtendedResourceRequest ${PLACE}.0.resources.requests.${neuron}`, efa]);
  });
});

describe('devices of one instance', () => {
  const on = (type: string) => ({ nodeSelector: { 'node.kubernetes.io/instance-type': type } });
  const affinity = (...terms: string[][]) => ({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: terms.map((values) => ({ matchExpressions: [{ key: 'node.kubernetes.io/instance-type', operator: 'In', values }] })),
        },
      },
    },
  });
  test.each<[string, Properties, Properties, boolean]>([
    ['17 devices of any instance', { 'aws.amazon.com/neuron': 17 }, {}, true],
    ['16 devices of any instance', { 'aws.amazon.com/neuron': 16 }, {}, false],
    ['2 devices of one with one', { 'aws.amazon.com/neurondevice': 2 }, on('trn2.3xlarge'), true],
    ['64 cores of trn2, each two physical ones', { 'aws.amazon.com/neuroncore': 64 }, on('trn2.48xlarge'), false],
    ['128 cores of trn2 with LNC 1', { 'aws.amazon.com/neuroncore': 128 }, on('trn2.48xlarge'), false],
    ['64 cores of trn1', { 'aws.amazon.com/neuroncore': 64 }, on('trn1.32xlarge'), true],
    ['EFA of an instance without', { 'vpc.amazonaws.com/efa': 1 }, on('inf2.48xlarge'), true],
    ['32 EFA devices of any instance', { 'vpc.amazonaws.com/efa': 32 }, {}, false],
    ['Neuron devices of a GPU instance', { 'aws.amazon.com/neuron': 1 }, on('p5.48xlarge'), true],
    ['an instance type that is not in the catalogue', { 'aws.amazon.com/neuron': 4 }, on('inf1.6xlarge'), false],
    ['the largest of several', { 'aws.amazon.com/neuron': 16 }, affinity(['trn2.3xlarge', 'trn2.48xlarge']), false],
    ['several that are all too small', { 'aws.amazon.com/neuron': 16 }, affinity(['trn2.3xlarge'], ['inf2.48xlarge']), true],
  ])('%s', (_, limits, pod, expected) => {
    expect(findings(workload({ limits }, pod)).some((finding) => finding.startsWith('PodExceedsInstance'))).toBe(expected);
  });

  test('are counted over the containers of a pod, also of a group of workers', () => {
    const spec = { containers: [{ resources: { limits: { 'aws.amazon.com/neuron': 9 } } }, { resources: { limits: { 'aws.amazon.com/neuron': 8 } } }] };
    expect(findings(JSON.stringify([{ kind: 'LeaderWorkerSet', spec: { leaderWorkerTemplate: { workerTemplate: { spec } } } }])))
      .toEqual(['PodExceedsInstance Manifest.0.spec.leaderWorkerTemplate.workerTemplate.spec.containers']);
  });
});

describe('drivers of devices', () => {
  const chart = 'Custom::AWSCDK-EKS-HelmChart';
  const neuron = (values?: unknown) => ({
    Repository: 'oci://public.ecr.aws/neuron/neuron-helm-chart',
    ...values === undefined ? {} : { Values: typeof values === 'string' ? values : JSON.stringify(values) },
  });
  test.each<[string, Properties, boolean]>([
    ['the device plugin alone', neuron(), false],
    ['both', neuron({ draDriver: { enabled: true } }), true],
    ['both, as text', neuron({ draDriver: { enabled: 'true' }, devicePlugin: { enabled: 'true' } }), true],
    ['the DRA driver alone', neuron({ draDriver: { enabled: true }, devicePlugin: { enabled: false } }), false],
    ['each on its own nodes', neuron({ draDriver: { enabled: true, nodeSelector: { dra: 'yes' } } }), false],
    ['values that are none', neuron('{'), false],
  ])('%s', (_, properties, expected) => {
    expect(findings(properties, chart).includes('DeviceDriversOverlap Values')).toBe(expected);
  });

  test.each<[string, Properties, boolean]>([
    ['1.33', { Version: '1.33' }, true],
    ['1.34', { Version: '1.34' }, false],
    ['that is not known', { Version: { Ref: 'Version' } }, false],
    ['that is the default', {}, false],
  ])('for a cluster of version %s', (_, properties, expected) => {
    const template = {
      Resources: {
        Cluster: { Type: 'AWS::EKS::Cluster', Properties: properties },
        Driver: { Type: chart, Properties: { ClusterName: { Ref: 'Cluster' }, ...neuron({ draDriver: { enabled: true }, devicePlugin: { enabled: false } }) } },
      },
    };
    expect(checkTemplates([{ stack: 'Cluster', template }]).findings.some(({ rule }) => rule.id === 'DynamicResourceAllocationVersion')).toBe(expected);
  });

  test('for a cluster of the older construct, by its name', () => {
    const template = {
      Resources: {
        Cluster: { Type: 'Custom::AWSCDK-EKS-Cluster', Properties: { Config: { name: 'serving', version: '1.32' } } },
        Driver: { Type: chart, Properties: { ClusterName: 'serving', Chart: 'aws-dranet', Repository: 'https://aws.github.io/eks-charts' } },
      },
    };
    expect(checkTemplates([{ stack: 'Cluster', template }]).findings.map(({ rule }) => rule.id)).toEqual(['DynamicResourceAllocationVersion']);
  });
});
