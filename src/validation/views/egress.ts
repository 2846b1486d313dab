import { handedOn } from './handed-on';
import { partialText } from './partial-text';
import { viewOf } from './view';
import { Link, Resource, TemplateGraph, Value, linked, several } from '../graph/template-graph';

/**
 * Where a subnet's traffic to the outside goes: `isolated` is nowhere at all, `internet-gateway` is an internet gateway and nothing else, which serves
 * only what has a public IP address. Undefined where there may be another way, or it is not known.
 */
export type Egress = 'isolated' | 'internet-gateway' | undefined;

/** The networks of a set, indexed by what they are of. */
interface Networks {
  /** The route table of each subnet; undefined where there are several. */
  readonly tables: Map<Resource, Resource | undefined>;
  readonly routes: ReadonlyMap<Resource | undefined, readonly Resource[]>;
  /** Tables that learn routes from a gateway. */
  readonly propagated: Set<Resource>;
  /** Endpoints of each VPC. */
  readonly endpoints: ReadonlyMap<Resource | undefined, readonly Resource[]>;
  /** True when an association, a route or an endpoint is of something that is not known. */
  readonly unknownRoutes: boolean;
  readonly unknownEndpoints: boolean;
}

/**
 * Where a subnet's traffic to the outside goes, so far as that is certain.
 *
 * @param graph the graph.
 * @param subnet the subnet as a template names it.
 */
export function egressOf(graph: TemplateGraph, subnet: Value): Egress {
  const networks = networksOf(graph);
  // the main table of a VPC, which a subnet without an association has, is not told.
  const table = subnet instanceof Link ? networks.tables.get(subnet.resource) : undefined;
  if (table === undefined || networks.unknownRoutes || networks.propagated.has(table) || handedOn(graph).has(table)) {
    return undefined;
  }
  const routes = networks.routes.get(table) ?? [];
  return routes.length === 0 ? 'isolated' : routes.every(isToInternetGateway) ? 'internet-gateway' : undefined;
}

/**
 * Services that a subnet reaches through endpoints of its VPC, such as `ecr.api`; undefined where some are not known.
 *
 * @param graph the graph.
 * @param subnet a subnet of the set.
 */
export function endpointServicesOf(graph: TemplateGraph, subnet: Resource): Set<string> | undefined {
  const networks = networksOf(graph);
  const vpc = linked(subnet.get('VpcId'), 'AWS::EC2::VPC');
  // a VPC that is not in the set may have any endpoint.
  if (vpc === undefined || networks.unknownEndpoints || handedOn(graph).has(vpc)) {
    return undefined;
  }
  const services = new Set<string>();
  for (const endpoint of networks.endpoints.get(vpc) ?? []) {
    const service = serviceOfEndpoint(endpoint);
    const type = endpoint.get('VpcEndpointType') ?? 'Gateway';
    if (service === undefined || typeof type !== 'string') {
      return undefined;
    }
    // a gateway serves the route tables that it is told of.
    const table = networks.tables.get(subnet);
    const tables = several(endpoint.get('RouteTableIds')).map((id) => linked(id, 'AWS::EC2::RouteTable'));
    if (type !== 'Gateway' || tables.some((other) => other === undefined || other === table)) {
      services.add(service.replace(/-fips$/, ''));
    }
  }
  return services;
}

/** The service of an endpoint, such as `ecr.api` of `com.amazonaws.us-east-2.ecr.api`. */
export function serviceOfEndpoint(endpoint: Resource): string | undefined {
  return /^(?:cn\.)?com\.amazonaws\.[^.\0]+\.([^\0]+)$/.exec(partialText(endpoint.get('ServiceName')) ?? '')?.[1];
}

const networksOf = viewOf((graph): Networks => {
  const associations = graph.ofType('AWS::EC2::SubnetRouteTableAssociation');
  const tables = new Map<Resource, Resource | undefined>();
  for (const association of associations) {
    const subnet = linked(association.get('SubnetId'), 'AWS::EC2::Subnet');
    if (subnet) {
      tables.set(subnet, tables.has(subnet) ? undefined : linked(association.get('RouteTableId'), 'AWS::EC2::RouteTable'));
    }
  }
  const routes = graph.byReference('AWS::EC2::Route', 'RouteTableId', 'AWS::EC2::RouteTable');
  const endpoints = graph.byReference('AWS::EC2::VPCEndpoint', 'VpcId', 'AWS::EC2::VPC');
  const propagated = [
    ...graph.ofType('AWS::EC2::VPNGatewayRoutePropagation').flatMap((propagation) => several(propagation.get('RouteTableIds'))),
    ...graph.ofType('AWS::EC2::RouteServerPropagation').flatMap((propagation) => several(propagation.get('RouteTableId'))),
  ].map((table) => linked(table, 'AWS::EC2::RouteTable'));
  return {
    tables,
    routes,
    propagated: new Set(propagated.filter((table) => table !== undefined)),
    endpoints,
    unknownRoutes: graph.hasUnseenResources || routes.has(undefined) || propagated.includes(undefined)
      || associations.some((association) => linked(association.get('SubnetId'), 'AWS::EC2::Subnet') === undefined),
    unknownEndpoints: graph.hasUnseenResources || endpoints.has(undefined),
  };
});

function isToInternetGateway(route: Resource): boolean {
  return linked(route.get('GatewayId'), 'AWS::EC2::InternetGateway') !== undefined && route.get('DestinationIpv6CidrBlock') === undefined;
}
