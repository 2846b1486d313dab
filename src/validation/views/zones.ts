import { Link, Unknown, Value, same } from '../graph/template-graph';

/** A zone's id begins with its region: `use2-az1`, `usw2-lax1-az1`. The name of a zone begins with the region in full. */
const ZONE_ID = /^([a-z]+\d+)(-[a-z]+\d+)*-az\d+$/;
const ZONE_NAME = /^([a-z]{2,}(?:-[a-z]+)+-\d+)(?:[a-z]|-[a-z]+-\d+[a-z])$/;

/** Short forms of the parts of a region's name in the ids of its zones; a region of other parts is not compared. */
const SHORT_PARTS: { readonly [part: string]: string } = {
  gov: 'g', central: 'c', north: 'n', south: 's', east: 'e', west: 'w', northeast: 'ne', northwest: 'nw', southeast: 'se', southwest: 'sw',
};

/**
 * Where a subnet is: a zone's name or id, or unknown. Subnets of one id are of one unknown zone.
 *
 * @param subnet the subnet as a template names it.
 */
export function zoneOfSubnet(subnet: Value): Value {
  const zone = subnet instanceof Link ? subnet.resource.get('AvailabilityZone') ?? subnet.resource.get('AvailabilityZoneId') : undefined;
  const key = subnet instanceof Link ? `${subnet.resource.stack} ${subnet.resource.logicalId}` : subnet instanceof Unknown ? subnet.key : JSON.stringify(subnet);
  return zone ?? new Unknown('the zone of a subnet that is not in these templates', `zone of ${key}`);
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

/**
 * Whether zones are certainly not all one: true or false where that is known.
 *
 * @param zones zones, of which one may be there several times.
 */
export function severalZones(zones: readonly Value[]): boolean | undefined {
  // equality is transitive where it is certain, so that each zone is compared with the first that differs from none before it.
  const distinct: Value[] = [];
  let unknown = false;
  for (const zone of zones) {
    const compared = distinct.map((other) => differentZones(zone, other));
    if (compared.includes(true)) {
      return true;
    }
    if (!compared.includes(false)) {
      unknown ||= compared.length > 0;
      distinct.push(zone);
    }
  }
  return unknown ? undefined : false;
}

/**
 * True where a zone, by its name or id, is certainly of another region.
 *
 * @param zone the zone.
 * @param region the region that it should be of.
 */
export function isOutsideRegion(zone: Value | undefined, region: string): boolean {
  if (typeof zone !== 'string') {
    return false;
  }
  const named = ZONE_NAME.exec(zone);
  if (named) {
    return named[1] !== region;
  }
  const [, ofId] = ZONE_ID.exec(zone) ?? [];
  const short = zoneIdPrefix(region);
  return ofId !== undefined && short !== undefined && ofId !== short;
}

function isZoneId(zone: Value): boolean {
  return typeof zone === 'string' && ZONE_ID.test(zone);
}

function zoneIdPrefix(region: string): string | undefined {
  const [country, ...parts] = region.split('-');
  const digit = parts.pop();
  const short = parts.map((part) => Object.hasOwn(SHORT_PARTS, part) ? SHORT_PARTS[part] : undefined);
  return short.includes(undefined) || digit === undefined || country.length !== 2 ? undefined : `${country}${short.join('')}${digit}`;
}
