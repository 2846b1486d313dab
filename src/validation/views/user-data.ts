import { HOLE, partialText } from './partial-text';
import { Resource, Value } from '../graph/template-graph';

const BASE64 = /^[A-Za-z0-9+/\s]+={0,2}\s*$/;

/**
 * The text of user data as far as it is certain, with a `HOLE` for what is not; undefined where nothing is known.
 *
 * @param value `UserData` as a template gives it: in Base64, or as `Fn::Base64` of a text.
 * @param resource the resource that it is of.
 */
export function userDataText(value: Value | undefined, resource: Resource): string | undefined {
  const text = partialText(value, resource);
  return text !== undefined && BASE64.test(text) ? Buffer.from(text, 'base64').toString('utf8') : text;
}

/**
 * Bytes that user data certainly has before Base64, which may be a compressed archive; what is not known counts for nothing.
 *
 * @param value `UserData` as a template gives it.
 * @param resource the resource that it is of.
 */
export function userDataBytes(value: Value | undefined, resource: Resource): number {
  const text = partialText(value, resource) ?? '';
  return BASE64.test(text) ? Buffer.from(text, 'base64').length
    : Buffer.byteLength(text.replaceAll(HOLE, '').replaceAll(/<(account|partition|region)>/g, ''));
}
