import { Link, Unknown, Value, same } from './template-graph';

/**
 * Where a subnet is: a zone's name or id, or unknown. Subnets of one id are of one unknown zone.
 *
 * @param subnet the subnet as a template names it.
 */
export function zoneOfSubnet(subnet: Value): Value {
  const zone = subnet instanceof Link ? subnet.resource.get('AvailabilityZone') ?? subnet.resource.get('AvailabilityZoneId') : undefined;
  return zone ?? new Unknown('the zone of a subnet that is not in these templates', `zone of ${subnet instanceof Unknown ? subnet.key : JSON.stringify(subnet)}`);
}

/**
 * A zone as a template names it, read from the subnet where it is the zone of a subnet.
 *
 * @param zone the zone as a template names it.
 */
export function zoneOf(zone: Value): Value {
  const ofSubnet = zone instanceof Link && zone.resource.type === 'AWS::EC2::Subnet' && zone.attribute === 'AvailabilityZone';
  return ofSubnet ? zoneOfSubnet(new Link(zone.resource, 'Ref')) : zone;
}

/**
 * Whether two zones are certainly different; undefined where that is not known.
 */
export function differentZones(a: Value, b: Value): boolean | undefined {
  const equal = same(a, b);
  if (equal === false && isZoneId(a) !== isZoneId(b)) {
    // a name such as us-east-2b means another zone id in each account.
    return undefined;
  }
  return equal === undefined ? undefined : !equal;
}

function isZoneId(zone: Value): boolean {
  return typeof zone === 'string' && /^[a-z]+\d-az\d+$/.test(zone);
}
