import { Link, Resource, TemplateGraph, Unknown, Value, asInteger, asList, linked, show, valueAt } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import { EcsService, EcsTask, TaskContainer, ecsServicesOf, wordsOf } from '../views/ecs-tasks';
import { zonesOfUse } from '../views/launches';
import { differentZones, zoneOfSubnet } from '../views/zones';

const FAMILY = 'load-balancer';

/** ALB's default, which answers longer than it with 504. */
const DEFAULT_IDLE_SECONDS = 60;
/** What vLLM on Neuron gives a compilation unless it is told otherwise. */
const COMPILATION_SECONDS = 600;

export const LOAD_BALANCER_RULES: Rule[] = [
  {
    id: 'LoadBalancerTargetType',
    family: FAMILY,
    severity: 'error',
    title: 'A target group of an engine has the target type of the network mode of its task',
    why: 'CreateService is refused: the provided target group has target type instance, which is incompatible with the awsvpc network mode '
      + 'specified in the task definition',
    mend: 'set TargetType to "ip" for tasks in awsvpc mode, and to "instance" for tasks in host or bridge mode',
    source: 'https://github.com/hashicorp/terraform-provider-aws/issues/12252',
    *check(graph) {
      for (const { task, targetGroup } of balancedEngines(graph)) {
        const [type, mode] = [targetGroup.get('TargetType') ?? 'instance', task.definition.get('NetworkMode') ?? 'bridge'];
        const expected = mode === 'awsvpc' ? 'ip' : mode === 'host' || mode === 'bridge' ? 'instance' : undefined;
        if (expected !== undefined && (type === 'ip' || type === 'instance') && type !== expected) {
          yield found(targetGroup, 'TargetType', targetGroup.get('TargetType'), `the task ${task.definition.logicalId} is in ${show(mode)} mode`);
        }
      }
    },
  },
  {
    id: 'LoadBalancerIdleTimeout',
    family: FAMILY,
    severity: 'warning',
    title: 'An Application Load Balancer waits for an engine longer than its default of 60 seconds',
    why: 'nothing is sent before the first token, and before the last one without streaming: where that takes longer, the caller gets 504 '
      + 'while the engine computes on',
    mend: 'set the load balancer attribute "idle_timeout.timeout_seconds" to the longest request that is to be answered',
    source: 'https://repost.aws/knowledge-center/eks-http-504-errors',
    *check(graph) {
      const reported = new Set<Resource>();
      for (const { task, targetGroup } of servers(graph)) {
        for (const balancer of balancersOf(targetGroup, graph)) {
          const isApplication = (balancer.get('Type') ?? 'application') === 'application';
          if (!isApplication || reported.has(balancer)) {
            continue;
          }
          reported.add(balancer);
          const attributes = asList(balancer.get('LoadBalancerAttributes'));
          const attribute = attributes?.find((item) => valueAt(item, 'Key') === 'idle_timeout.timeout_seconds');
          const value = valueAt(attribute, 'Value');
          const seconds = attribute === undefined ? DEFAULT_IDLE_SECONDS : asInteger(value);
          if (seconds === undefined || attributes === undefined || (attribute === undefined && attributes.some((item) => item instanceof Unknown))) {
            yield notChecked(balancer, 'LoadBalancerAttributes', 'the idle timeout is not known');
          } else if (seconds <= DEFAULT_IDLE_SECONDS) {
            yield found(balancer, 'LoadBalancerAttributes', value, `the engine of ${task.definition.logicalId} has ${seconds} seconds to send something`);
          }
        }
      }
    },
  },
  {
    id: 'LoadBalancerGracePeriod',
    family: FAMILY,
    severity: 'warning',
    title: 'A service of Neuron engines behind a load balancer has a health check grace period',
    why: 'an engine loads its weights and compiles before it answers; ECS stops tasks that the load balancer finds unhealthy meanwhile, '
      + 'and starts them anew without end',
    mend: 'set HealthCheckGracePeriodSeconds to the longest cold start of the engine',
    source: 'https://awsdocs-neuron.readthedocs-hosted.com/en/latest/vllm-neuron/docs/getting-started/quickstart-online-serving.html',
    *check(graph) {
      for (const { service, task, targetGroup } of servers(graph)) {
        const grace = asInteger(service.resource.get('HealthCheckGracePeriodSeconds') ?? 0);
        const [interval, failures] = [asInteger(targetGroup.get('HealthCheckIntervalSeconds') ?? 30), asInteger(targetGroup.get('UnhealthyThresholdCount') ?? 2)];
        if (task.isNeuron && grace === 0 && interval !== undefined && failures !== undefined && interval * failures < COMPILATION_SECONDS) {
          yield found(service.resource, 'HealthCheckGracePeriodSeconds', service.resource.get('HealthCheckGracePeriodSeconds'),
            `the target group ${targetGroup.logicalId} finds a task unhealthy after ${interval * failures} seconds`);
        }
      }
    },
  },
  {
    id: 'LoadBalancerZoneMissing',
    family: FAMILY,
    severity: 'error',
    title: 'A load balancer is in the Availability Zones of the engines behind it',
    why: 'the target is never used (Target.NotInUse): registered targets in a zone that is not enabled for the load balancer do not receive traffic',
    mend: 'add a subnet of the zone of the engines to the load balancer',
    source: 'https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html',
    *check(graph) {
      for (const { service, targetGroup } of balancedEngines(graph)) {
        for (const balancer of balancersOf(targetGroup, graph)) {
          const property = balancer.get('Subnets') === undefined ? 'SubnetMappings' : 'Subnets';
          const subnets = asList(balancer.get(property))?.map((item) => property === 'Subnets' ? item : valueAt(item, 'SubnetId') ?? null);
          const zones = subnets?.map(zoneOfSubnet) ?? [];
          const missing = zonesOfService(service).find((zone) => zones.length > 0 && zones.every((other) => differentZones(zone, other) === true));
          if (missing !== undefined) {
            yield found(balancer, property, balancer.get(property), `tasks of the service ${service.resource.logicalId} are in ${show(missing)}`);
          }
        }
      }
    },
  },
  {
    id: 'EngineProtocolVersion',
    family: FAMILY,
    severity: 'error',
    title: 'A target group of a vLLM API server speaks HTTP/1.1 to it',
    why: 'the server of vLLM is Uvicorn, which knows no HTTP/2: every target is unhealthy and every request is answered with 502',
    mend: 'leave ProtocolVersion out, or set it to "HTTP1"',
    source: 'https://github.com/encode/uvicorn/issues/1501',
    *check(graph) {
      for (const { task, targetGroup, container } of balancedEngines(graph)) {
        const version = targetGroup.get('ProtocolVersion');
        const isServer = container?.engine !== undefined && !mayServeGrpc(container);
        if ((version === 'HTTP2' || version === 'GRPC') && isServer) {
          yield found(targetGroup, 'ProtocolVersion', version, `the task ${task.definition.logicalId} runs a vLLM API server`);
        }
      }
    },
  },
];

interface BalancedEngine {
  readonly service: EcsService;
  readonly task: EcsTask;
  readonly targetGroup: Resource;
  /** The container that is the target; undefined when it is not known. */
  readonly container?: TaskContainer;
}

// every target group of a service whose task certainly serves a model.
function* balancedEngines(graph: TemplateGraph): Iterable<BalancedEngine> {
  for (const service of ecsServicesOf(graph)) {
    const { task, resource } = service;
    const isEngine = task?.isNeuron || task?.containers.some(({ engine }) => engine !== undefined);
    for (const entry of task !== undefined && isEngine ? asList(resource.get('LoadBalancers')) ?? [] : []) {
      const targetGroup = linked(valueAt(entry, 'TargetGroupArn'), 'AWS::ElasticLoadBalancingV2::TargetGroup');
      if (targetGroup) {
        const name = valueAt(entry, 'ContainerName');
        const container = task!.containers.find(({ values }) => typeof name === 'string' && valueAt(values, 'Name') === name);
        yield { service, task: task!, targetGroup, container };
      }
    }
  }
}

// of a vLLM server; another model may answer, and be ready, within a second.
function* servers(graph: TemplateGraph): Iterable<BalancedEngine> {
  for (const engine of balancedEngines(graph)) {
    if (engine.task.containers.some((container) => container.engine !== undefined)) {
      yield engine;
    }
  }
}

// load balancers whose listeners certainly forward to a target group.
function balancersOf(targetGroup: Resource, graph: TemplateGraph): Resource[] {
  const forwards = (actions: Value | undefined) => (asList(actions) ?? []).some((action) => (
    [action, ...asList(valueAt(action, 'ForwardConfig', 'TargetGroups')) ?? []].some((target) => {
      const arn = valueAt(target, 'TargetGroupArn');
      return arn instanceof Link && arn.resource === targetGroup;
    })
  ));
  const resourceOf = (value: Value | undefined) => value instanceof Link ? [value.resource] : [];
  const listeners = [
    ...graph.ofType('AWS::ElasticLoadBalancingV2::Listener').filter((listener) => forwards(listener.get('DefaultActions'))),
    ...graph.ofType('AWS::ElasticLoadBalancingV2::ListenerRule').filter((rule) => forwards(rule.get('Actions'))).flatMap((rule) => resourceOf(rule.get('ListenerArn'))),
  ];
  const balancers = listeners.flatMap((listener) => resourceOf(listener.get('LoadBalancerArn')));
  return [...new Set(balancers)].filter(({ type }) => type === 'AWS::ElasticLoadBalancingV2::LoadBalancer');
}

// zones that tasks may be placed in; none when they are not known.
function zonesOfService({ resource, capacity }: EcsService): Value[] {
  const subnets = asList(resource.get('NetworkConfiguration', 'AwsvpcConfiguration', 'Subnets')) ?? [];
  return subnets.length > 0 ? subnets.map(zoneOfSubnet) : (capacity ?? []).flatMap(({ launches }) => launches.flatMap(({ use }) => zonesOfUse(use)));
}

function mayServeGrpc(container: TaskContainer): boolean {
  return wordsOf(container).some((word) => word === undefined || word.includes('grpc'));
}
