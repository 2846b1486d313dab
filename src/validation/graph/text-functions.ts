import { Link, Unknown, Value, isIdentity, isScalar } from './value';

/** A longer text or list is not made: CloudFormation takes templates of 1 MB at most. */
export const MAX_SIZE = 1_000_000;

/** What a piece counts that is no text. */
const PIECE_SIZE = 100;

/** A text of several pieces, or the pieces where one of them is not known. Undefined where it gets too long. */
export function textOf(pieces: readonly Value[]): string | readonly Value[] | undefined {
  const merged: Value[] = [''];
  let size = 0;
  // a text that is known in part, within another one, adds its own pieces.
  for (const part of pieces.flatMap((piece) => piece instanceof Unknown ? piece.facts.parts ?? [piece] : [piece])) {
    const text = isScalar(part) ? String(part) : undefined;
    const last = merged.length - 1;
    size += text?.length ?? PIECE_SIZE;
    if (size > MAX_SIZE) {
      return undefined;
    }
    if (text === undefined) {
      merged.push(part);
    } else if (typeof merged[last] === 'string') {
      merged[last] += text;
    } else {
      merged.push(text);
    }
  }
  return merged.length === 1 ? String(merged[0]) : merged[0] === '' ? merged.slice(1) : merged;
}

/** The pieces of a text; of one that was joined, though they are not known themselves. */
export function split(delimiter: string, text: Value | undefined): Value | undefined {
  if (typeof text === 'string') {
    return text.split(delimiter);
  }
  if (text instanceof Link) {
    // an id has no comma or bar.
    return isIdentity(text) && [',', '|', '||'].includes(delimiter) ? [text] : undefined;
  }
  const joined = text instanceof Unknown ? text.facts.joined : undefined;
  const apart = joined?.delimiter === delimiter && !(Array.isArray(joined.list) && joined.list.some((item) => String(isScalar(item) ? item : '').includes(delimiter)));
  return apart ? joined.list : undefined;
}

/** The text before and after the first separator, if there is one. */
export function splitOnce(text: string, separator: string): [string] | [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/**
 * Blocks of a network, as `Fn::Cidr` makes them. Undefined where that is not certain, IPv6 included.
 *
 * @param block an IPv4 block such as `10.0.0.0/16`.
 * @param count how many.
 * @param hostBits bits of each block that number hosts.
 */
export function cidrBlocks(block: Value | undefined, count: number | undefined, hostBits: number | undefined): string[] | undefined {
  const match = typeof block === 'string' ? /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(block) : null;
  if (!match || count === undefined || hostBits === undefined || count < 1 || count > 256 || hostBits < 1 || hostBits > 32) {
    return undefined;
  }
  const [a, b, c, d, prefix] = match.slice(1).map(Number);
  const size = 2 ** hostBits;
  if ([a, b, c, d].some((part) => part > 255) || prefix > 32 || count * size > 2 ** (32 - prefix)) {
    return undefined;
  }
  const first = ((a * 256 + b) * 256 + c) * 256 + d;
  const base = first - (first % 2 ** (32 - prefix));
  return Array.from({ length: count }, (_, index) => {
    const start = base + index * size;
    return `${[24, 16, 8, 0].map((shift) => Math.floor(start / 2 ** shift) % 256).join('.')}/${32 - hostBits}`;
  });
}

/** Partition of a region, as the endpoints of the AWS SDKs have it. Undefined for a region of a form that is not known. */
export function partitionOf(region: string): string | undefined {
  const prefixes: [RegExp, string][] = [
    [/^cn-/, 'aws-cn'], [/^us-gov-/, 'aws-us-gov'], [/^us-iso-/, 'aws-iso'], [/^us-isob-/, 'aws-iso-b'], [/^us-isof-/, 'aws-iso-f'],
    [/^eu-isoe-/, 'aws-iso-e'], [/^eusc-/, 'aws-eusc'], [/^(us|eu|ap|sa|ca|me|af|il|mx)-(north|south|east|west|central|northeast|southeast|northwest|southwest)-\d+$/, 'aws'],
  ];
  return prefixes.find(([prefix]) => prefix.test(region))?.[1];
}
