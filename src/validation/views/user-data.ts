import { partialText } from './partial-text';
import { Resource, Value } from '../graph/template-graph';

/**
 * The text of user data as far as it is certain, with a `HOLE` for what is not; undefined where nothing is known.
 *
 * @param value `UserData` as a template gives it: in Base64, or as `Fn::Base64` of a text.
 * @param resource the resource that it is of.
 */
export function userDataText(value: Value | undefined, resource: Resource): string | undefined {
  const text = partialText(value, resource);
  return text !== undefined && /^[A-Za-z0-9+/\s]+={0,2}\s*$/.test(text) ? Buffer.from(text, 'base64').toString('utf8') : text;
}
