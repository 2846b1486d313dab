import { partialText, withoutHoles } from './partial-text';
import { Value } from '../graph/template-graph';

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/**
 * The text of user data as far as it is certain, with a `HOLE` for what is not; undefined where nothing is known.
 *
 * @param value `UserData` as a template gives it: in Base64, or as `Fn::Base64` of a text.
 */
export function userDataText(value: Value | undefined): string | undefined {
  const text = partialText(value);
  return text !== undefined && isBase64(text) ? Buffer.from(text, 'base64').toString('utf8') : text;
}

/**
 * Bytes that user data certainly has before Base64, which may be a compressed archive; what is not known counts for nothing.
 *
 * @param value `UserData` as a template gives it.
 */
export function userDataBytes(value: Value | undefined): number {
  const text = partialText(value) ?? '';
  return isBase64(text) ? Buffer.from(text, 'base64').length : Buffer.byteLength(withoutHoles(text));
}

function isBase64(text: string): boolean {
  return BASE64.test(text.replaceAll(/\s/g, ''));
}
