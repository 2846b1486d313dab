import { Link, Resource, TemplateGraph, Unknown, Value, asInteger, asList, isFalse, isTrue, linked, same, several, shownText, valueAt } from '../graph/template-graph';
import { Outcome, Rule, found, notChecked } from '../rule';
import { EcsService, autoScalingCapacityOf, ecsServicesOf, environmentMayHave } from '../views/ecs-tasks';
import { Egress, egressOf, endpointServicesOf, serviceOfEndpoint } from '../views/egress';
import { handedOn } from '../views/handed-on';
import { PolicyStatement, allows, rolePoliciesOf } from '../views/iam-policies';
import { Launch, launchData } from '../views/launches';
import { imageParameterOf } from '../views/machine-images';
import { nodeGroupsOf } from '../views/node-groups';
import { partialText } from '../views/partial-text';
import { userDataText } from '../views/user-data';
import { zoneOfSubnet } from '../views/zones';

const FAMILY = 'network-access';
const ENDPOINT_GUIDE = 'https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html';
const ECS_ENDPOINTS = 'https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html';

/** Services that are called over HTTPS and nothing else. */
const HTTPS_SERVICES = /^(bedrock(-runtime|-mantle)?|ec2|ec2messages|ecr\.(api|dkr)|ecs(-agent|-telemetry)?|eks(-auth)?|logs|s3|secretsmanager|ssm|ssmmessages|sts)$/;

/** Images that certainly come from a registry on the internet: of Amazon ECR Public, GitHub, Quay, NVIDIA, Kubernetes or Docker Hub. */
const PUBLIC_IMAGE = /^(public\.ecr\.aws|ghcr\.io|quay\.io|nvcr\.io|registry\.k8s\.io|docker\.io)\//;

/** What calls services of AWS from subnets. */
interface Client {
  readonly resource: Resource;
  /** Path of the subnets below `Properties`. */
  readonly property: string;
  readonly subnets: readonly Value[];
  /** Such as `ecr.api`: without them it certainly does not start, or does nothing. */
  readonly services: readonly string[];
  /** Images of public registries, which no endpoint serves. */
  readonly publicImages: readonly string[];
  /** Whether it gets a public IP address in a subnet; undefined where that is not known or another rule's. */
  hasPublicIp(subnet: Resource): boolean | undefined;
}

export const NETWORK_ACCESS_RULES: Rule[] = [
  {
    id: 'ServicesUnreachable',
    family: FAMILY,
    severity: 'error',
    title: 'Instances and tasks in subnets without a route out reach the services that they start with',
    why: 'nothing fails before boot: instances never join their cluster, and tasks stop with "ResourceInitializationError" or "CannotPullContainerError"',
    mend: 'add VPC endpoints for these services (S3 as a gateway endpoint of the subnet\'s route table) and keep public images in a private repository of '
      + 'Amazon ECR, or add a route to a NAT gateway',
    source: ECS_ENDPOINTS,
    check: (graph) => unreachable(graph, 'isolated', () => true, 'has no route out of the VPC'),
  },
  {
    id: 'PublicSubnetWithoutPublicIp',
    family: FAMILY,
    severity: 'error',
    title: 'Instances and tasks without a public IP address are not behind an internet gateway alone',
    why: 'an internet gateway serves only what has a public IP address: instances never join their cluster, and tasks stop with '
      + '"ResourceInitializationError" or "CannotPullContainerError"',
    mend: 'use private subnets with a route to a NAT gateway or with VPC endpoints; '
      + 'tasks on Fargate and instances with one interface can have a public IP address instead',
    source: 'https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Internet_Gateway.html',
    check: (graph) => unreachable(graph, 'internet-gateway', (client, subnet) => client.hasPublicIp(subnet) === false,
      'leads to an internet gateway only, and no public IP address is assigned here'),
  },
  {
    id: 'EndpointPrivateDnsUnsupported',
    family: FAMILY,
    severity: 'error',
    title: 'A VPC with private DNS names of endpoints has DNS support and DNS hostnames',
    why: 'the deployment fails with "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true"',
    mend: 'set EnableDnsSupport and EnableDnsHostnames of the VPC to true; EnableDnsHostnames is false unless it is set',
    source: ENDPOINT_GUIDE,
    *check(graph) {
      for (const endpoint of graph.ofType('AWS::EC2::VPCEndpoint').filter((each) => isTrue(each.get('PrivateDnsEnabled')))) {
        const vpc = linked(endpoint.get('VpcId'), 'AWS::EC2::VPC');
        const [support, hostnames] = [vpc?.get('EnableDnsSupport') ?? true, vpc?.get('EnableDnsHostnames') ?? false];
        const unknown = [support, hostnames].find((value) => value instanceof Unknown);
        if (vpc && (isFalse(support) || isFalse(hostnames))) {
          const missing = [...isFalse(support) ? ['EnableDnsSupport'] : [], ...isFalse(hostnames) ? ['EnableDnsHostnames'] : []];
          yield found(vpc, missing[0], vpc.get(missing[0]), `the endpoint ${endpoint.logicalId} has private DNS names, and ${missing.join(' and ')} of its VPC ${missing.length > 1 ? 'are' : 'is'} not true`);
        } else if (vpc && unknown instanceof Unknown) {
          yield notChecked(endpoint, 'PrivateDnsEnabled', unknown);
        }
      }
    },
  },
  {
    id: 'EndpointServiceOutsideRegion',
    family: FAMILY,
    severity: 'error',
    title: "The service of a VPC endpoint is one of the stack's region",
    why: 'the deployment fails: the service does not exist in the region, unless ServiceRegion names its own',
    mend: "name the stack's region in ServiceName, or set ServiceRegion where the service can be reached from other regions",
    source: 'https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html',
    *check(graph) {
      for (const endpoint of graph.ofType('AWS::EC2::VPCEndpoint')) {
        const name = endpoint.get('ServiceName');
        const region = typeof name === 'string' ? /^(?:cn\.)?com\.amazonaws\.([a-z]{2}(?:-[a-z]+)+-\d)\./.exec(name)?.[1] : undefined;
        if (region !== undefined && endpoint.region !== undefined && region !== endpoint.region && endpoint.get('ServiceRegion') === undefined) {
          yield found(endpoint, 'ServiceName', name, `the service is of another region than the stack, ${endpoint.region}`);
        }
      }
    },
  },
  {
    id: 'EndpointSubnetsShareZone',
    family: FAMILY,
    severity: 'error',
    title: 'An interface endpoint has one subnet in an Availability Zone',
    why: 'the deployment fails with "DuplicateSubnetsInSameZone"',
    mend: 'name one subnet of each zone: every subnet of the VPC reaches the endpoint through it',
    source: ENDPOINT_GUIDE,
    *check(graph) {
      for (const endpoint of interfaceEndpoints(graph)) {
        const subnets = several(endpoint.get('SubnetIds')).filter((subnet) => hasZone(linked(subnet, 'AWS::EC2::Subnet')));
        const zones = subnets.map(zoneOfSubnet);
        const index = zones.findIndex((zone, at) => zones.slice(0, at).some((other) => same(zone, other) === true));
        if (index >= 0) {
          yield found(endpoint, 'SubnetIds', subnets, 'two of the subnets are in one Availability Zone');
        }
      }
    },
  },
  {
    id: 'EndpointSecurityGroupClosed',
    family: FAMILY,
    severity: 'error',
    title: 'A security group of an interface endpoint lets HTTPS in',
    why: 'the private DNS name leads to the endpoint, where every call times out: nothing fails at deployment',
    mend: 'add an ingress rule for TCP port 443 from the security groups or the subnets of those that call the service',
    source: 'https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html',
    *check(graph) {
      const ingress = graph.byReference('AWS::EC2::SecurityGroupIngress', 'GroupId', 'AWS::EC2::SecurityGroup');
      // a rule of a group that is not known may be of this one.
      if (graph.hasUnseenResources || ingress.has(undefined)) {
        return;
      }
      const rulesOf = (group: Resource) => [
        ...several(group.get('SecurityGroupIngress')), ...(ingress.get(group) ?? []).map((rule) => rule.get() ?? {}),
      ];
      const called = calledServices(graph);
      for (const endpoint of interfaceEndpoints(graph)) {
        const groups = several(endpoint.get('SecurityGroupIds')).map((group) => linked(group, 'AWS::EC2::SecurityGroup'));
        const service = serviceOfEndpoint(endpoint);
        const rules = groups.map((group) => group && !handedOn(graph).has(group) ? rulesOf(group) : undefined);
        if (!HTTPS_SERVICES.test(service ?? '') || groups.length === 0 || rules.some((each) => each === undefined || each.some(mayBeHttps))) {
          continue;
        }
        // rules of a group without any may be in the templates of its clients, unless those are here.
        if (rules.some((each) => each!.length > 0) || called.get(linked(endpoint.get('VpcId'), 'AWS::EC2::VPC'))?.has(service!)) {
          yield found(endpoint, 'SecurityGroupIds', endpoint.get('SecurityGroupIds'), 'no rule of its security groups allows TCP port 443 from anywhere');
        }
      }
    },
  },
  {
    id: 'GatewayEndpointWithoutRoutes',
    family: FAMILY,
    severity: 'warning',
    title: 'A gateway endpoint is told of route tables',
    why: 'without them nothing uses the endpoint: traffic to the service takes the NAT gateway, which costs money, or has no way at all',
    mend: 'list the route tables of the subnets that use the service in RouteTableIds',
    source: 'https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html',
    *check(graph) {
      for (const endpoint of graph.ofType('AWS::EC2::VPCEndpoint')) {
        if ((endpoint.get('VpcEndpointType') ?? 'Gateway') === 'Gateway' && asList(endpoint.get('RouteTableIds'))?.length === 0) {
          yield found(endpoint, 'RouteTableIds', endpoint.get('RouteTableIds'), 'no route table is told to use the endpoint');
        }
      }
    },
  },
];

function* unreachable(
  graph: TemplateGraph, egress: Egress, applies: (client: Client, subnet: Resource) => boolean, message: string,
): Iterable<Outcome> {
  for (const client of clientsOf(graph)) {
    for (const value of client.subnets) {
      const subnet = linked(value, 'AWS::EC2::Subnet');
      const reached = subnet && egressOf(graph, value) === egress && applies(client, subnet) ? endpointServicesOf(graph, subnet) : undefined;
      const missing = reached === undefined ? [] : [
        ...client.services.filter((service) => !reached.has(service)).map((service) => JSON.stringify(service)),
        ...client.publicImages.map((image) => `the public image ${JSON.stringify(shownText(image))}`),
      ];
      if (missing.length > 0) {
        yield found(client.resource, client.property, value,
          `the subnet ${message}, and its VPC has no endpoint that it can use for ${missing.join(', ')}`);
        break;
      }
    }
  }
}

/** What is called from each VPC. */
function calledServices(graph: TemplateGraph): Map<Resource | undefined, Set<string>> {
  const result = new Map<Resource | undefined, Set<string>>();
  for (const { subnets, services } of clientsOf(graph)) {
    for (const subnet of subnets) {
      const vpc = linked(linked(subnet, 'AWS::EC2::Subnet')?.get('VpcId'), 'AWS::EC2::VPC');
      result.set(vpc, new Set([...result.get(vpc) ?? [], ...services]));
    }
  }
  return result;
}

function clientsOf(graph: TemplateGraph): Client[] {
  const clients: Client[] = [];
  const roles = new Map(rolePoliciesOf(graph).map(({ role, statements }) => [role, statements]));
  // a role of several tasks allows what only some of them do.
  graph.byReference('AWS::ECS::TaskDefinition', 'TaskRoleArn', 'AWS::IAM::Role')
    .forEach((definitions, role) => role && definitions.length > 1 && roles.delete(role));
  const byGroup = new Map<Resource | undefined, EcsService[]>();
  for (const service of ecsServicesOf(graph)) {
    // a service on several groups may run on either.
    const [group, ...others] = new Set(service.capacity?.map((one) => one.group));
    byGroup.set(group, [...byGroup.get(group) ?? [], ...others.length === 0 ? [service] : []]);
  }
  for (const { group, launches } of autoScalingCapacityOf(graph)) {
    for (const { launch, use } of launches.filter((each) => !mayUseProxy(each.launch)).slice(0, 1)) {
      const { services, publicImages } = startedBy(byGroup.get(group) ?? [], launch);
      clients.push({
        resource: group!,
        property: use.subnetsProperty,
        subnets: Array.isArray(use.subnets) ? use.subnets : [],
        services: ['ecs', 'ecs-agent', 'ecs-telemetry', ...services],
        publicImages,
        hasPublicIp: (subnet) => instanceHasPublicIp(launch, subnet),
      });
    }
  }
  for (const { resource, launch, hasLaunchTemplate } of nodeGroupsOf(graph)) {
    if (launch === undefined ? !hasLaunchTemplate : !mayUseProxy(launch)) {
      clients.push({
        resource,
        property: 'Subnets',
        subnets: several(resource.get('Subnets')),
        // https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html
        services: ['ec2', 'ecr.api', 'ecr.dkr', 's3'],
        publicImages: [],
        hasPublicIp: (subnet) => instanceHasPublicIp(launch, subnet),
      });
    }
  }
  for (const service of ecsServicesOf(graph).filter(({ capacity }) => capacity?.every(({ kind }) => kind === 'fargate'))) {
    const network = (name: string) => service.resource.get('NetworkConfiguration', 'AwsvpcConfiguration', name);
    const assigned = network('AssignPublicIp') ?? 'DISABLED';
    clients.push({
      resource: service.resource,
      property: 'NetworkConfiguration.AwsvpcConfiguration.Subnets',
      subnets: several(network('Subnets')),
      ...onFargate(service, roles),
      hasPublicIp: () => assigned === 'ENABLED' ? true : assigned === 'DISABLED' ? false : undefined,
    });
  }
  return clients;
}

/** What is called to start the containers of a task. */
type Start = Pick<Client, 'services' | 'publicImages'>;

function startOf({ task }: EcsService): Start {
  const services = new Set<string>();
  const publicImages = new Set<string>();
  for (const { values } of task?.containers ?? []) {
    const image = partialText(valueAt(values, 'Image')) ?? '';
    if (/^[^/]*\.dkr\.ecr\./.test(image)) {
      ['ecr.api', 'ecr.dkr', 's3'].forEach((service) => services.add(service));
    } else if (PUBLIC_IMAGE.test(image)) {
      publicImages.add(image);
    }
    if (valueAt(values, 'LogConfiguration', 'LogDriver') === 'awslogs') {
      services.add('logs');
    }
    for (const secret of asList(valueAt(values, 'Secrets')) ?? []) {
      const source = valueAt(secret, 'ValueFrom');
      const text = partialText(source) ?? '';
      if (linked(source, 'AWS::SecretsManager::Secret') || /^arn:[^:]*:secretsmanager:/.test(text)) {
        services.add('secretsmanager');
      } else if (linked(source, 'AWS::SSM::Parameter') || /^arn:[^:]*:ssm:/.test(text)) {
        services.add('ssm');
      }
    }
  }
  return { services: [...services], publicImages: [...publicImages] };
}

/** What instances call for the tasks that certainly run on them: whatever the network of a task is, its instance pulls, logs and reads secrets. */
function startedBy(tasks: readonly EcsService[], launch: Launch): Start {
  // another image may have the container images on it, which ECS falls back to.
  const starts = imageParameterOf(launch) === undefined ? [] : tasks.map(startOf);
  const each = (read: (start: Start) => readonly string[]) => [...new Set(starts.flatMap(read))];
  return { services: each(({ services }) => services), publicImages: each(({ publicImages }) => publicImages) };
}

/** What a task on Fargate calls through the network interface of its own. */
function onFargate(service: EcsService, roles: Map<Resource, readonly PolicyStatement[]>): Start {
  const start = startOf(service);
  const role = linked(service.task?.definition.get('TaskRoleArn'), 'AWS::IAM::Role');
  const statements = role && roles.get(role);
  // SDKs may be told of a proxy in the VPC.
  const mayBeProxied = service.task?.containers.some((container) => environmentMayHave(container, /proxy/i)) !== false;
  const callsModels = statements?.some((statement) => (
    allows(statement, 'bedrock:InvokeModel') && statement.actions.every((action) => action?.startsWith('bedrock:'))));
  return callsModels && !mayBeProxied ? { ...start, services: [...start.services, 'bedrock-runtime'] } : start;
}

/** Whether the agents on an instance may be told of a proxy in the VPC: what its user data says is not read further. */
function mayUseProxy(launch: Launch): boolean {
  const userData = launchData(launch, 'UserData');
  const text = userDataText(userData);
  return userData !== undefined && (text === undefined || /proxy|mirror|ECS_IMAGE_PULL_BEHAVIOR/i.test(text));
}

function instanceHasPublicIp(launch: Launch | undefined, subnet: Resource): boolean | undefined {
  const ofSubnet = subnet.get('MapPublicIpOnLaunch');
  if (launch?.unknownInterfaces || ofSubnet instanceof Unknown) {
    return undefined;
  }
  const interfaces = launch?.interfaces ?? [];
  if (interfaces.length > 1) {
    // that the subnet assigns addresses in vain is a rule of its own.
    return isTrue(ofSubnet) ? undefined : false;
  }
  const asked = interfaces.map(({ values }) => valueAt(values, 'AssociatePublicIpAddress') ?? ofSubnet ?? false)[0] ?? ofSubnet ?? false;
  return isTrue(asked) ? true : isFalse(asked) ? false : undefined;
}

function hasZone(subnet: Resource | undefined): boolean {
  return ['AvailabilityZone', 'AvailabilityZoneId'].some((name) => subnet?.get(name) !== undefined);
}

function interfaceEndpoints(graph: TemplateGraph): Resource[] {
  return graph.ofType('AWS::EC2::VPCEndpoint').filter((endpoint) => endpoint.get('VpcEndpointType') === 'Interface');
}

/** Whether a rule of a security group may allow TCP port 443. */
function mayBeHttps(rule: Value): boolean {
  const [protocol, from, to] = ['IpProtocol', 'FromPort', 'ToPort'].map((name) => valueAt(rule, name));
  if ([rule, protocol, from, to].some((value) => value instanceof Unknown || value instanceof Link)) {
    return true;
  }
  const [first, last] = [asInteger(from), asInteger(to)];
  const covers = first === undefined || last === undefined || first === -1 || (first <= 443 && last >= 443);
  return String(protocol) === '-1' || (['tcp', '6'].includes(String(protocol).toLowerCase()) && covers);
}
