/** What a comparison of a template's properties with what a service answers came to. */
export interface Comparison {
  /** How many values of the template are answered as they are written. */
  readonly equal: number;
  /** The paths that are not, as `LaunchTemplateData.NetworkInterfaces[*].InterfaceType`. */
  readonly differences: string[];
}

/** Lists that a service adds to: every rule of the template must be there, and more may be. */
const MAY_HOLD_MORE = /(^|\.)(Tags|SecurityGroupIngress|SecurityGroupEgress|LoadBalancerAttributes|TargetGroupAttributes)$/;

/**
 * Looks for everything that the template says in what the service answers, which may say more.
 *
 * CloudFormation writes `NetworkCardIndex`, some APIs `networkCardIndex`, and numbers and booleans as text or not: these are the same.
 */
export function compare(expected: unknown, actual: unknown, path = ''): Comparison {
  if (Array.isArray(expected)) {
    return compareLists(expected, actual, path);
  }
  if (typeof expected === 'object' && expected !== null) {
    if (actual === undefined && path !== '') {
      return { equal: 0, differences: [path] };
    }
    return sum(Object.entries(expected).map(([key, value]) => compare(value, member(actual, key), path === '' ? key : `${path}.${key}`)));
  }
  return String(expected) === String(actual) ? { equal: 1, differences: [] } : { equal: 0, differences: [path] };
}

function compareLists(expected: unknown[], actual: unknown, path: string): Comparison {
  if (!Array.isArray(actual) || (actual.length !== expected.length && !MAY_HOLD_MORE.test(path))) {
    return expected.length === 0 && actual === undefined ? { equal: 0, differences: [] } : { equal: 0, differences: [path] };
  }
  // each is compared with what is nearest to it among those that no other has taken, because some services answer in an order of their own.
  const left = [...actual];
  return sum(expected.map((item) => {
    const { item: found, comparison } = closest(item, left, `${path}[*]`);
    left.splice(left.indexOf(found), 1);
    // half a tag is none.
    return isKeyAndValue(item) && comparison.differences.length > 0 ? { equal: 0, differences: [`${path}[*]`] } : comparison;
  }));
}

/** The one of several answers that is nearest to what the template says. */
export function closest(expected: unknown, answers: unknown[], path = ''): { item: unknown; comparison: Comparison } {
  const all = answers.map((item) => ({ item, comparison: compare(expected, item, path) }));
  const best = Math.min(...all.map(({ comparison }) => comparison.differences.length));
  return all.find(({ comparison }) => comparison.differences.length === best) ?? { item: undefined, comparison: compare(expected, undefined, path) };
}

function isKeyAndValue(item: unknown): boolean {
  return typeof item === 'object' && item !== null && Object.keys(item).sort().join() === 'Key,Value';
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) {
    return undefined;
  }
  const wanted = key.toLowerCase();
  return Object.entries(value).find(([name]) => name.toLowerCase() === wanted)?.[1];
}

function sum(parts: Comparison[]): Comparison {
  return {
    equal: parts.reduce((total, part) => total + part.equal, 0),
    differences: [...new Set(parts.flatMap((part) => part.differences))],
  };
}
