import { hash, timingSafeEqual } from 'node:crypto';
import { Authenticator, bearerOf, Caller, unauthenticated } from './authenticator';
import { Problems } from '../../../problems';

/** A key that lets a caller in. */
interface Key {
  readonly digest: Buffer;
  /** Whose it is. */
  readonly caller: Caller;
}

/**
 * Callers present one of several keys as `Authorization: Bearer <key>`: several allow a rotation without a gap. A key that has a name is its caller's as well
 * as every other of that name; one that has none is a caller of its own.
 */
export class ApiKeys implements Authenticator {
  public readonly kind = 'apiKeys';
  protected keys: readonly Key[];

  /**
   * Throws ProblemsError if there is no key.
   *
   * @param text a JSON list of keys, each a string or `{"name", "key"}`, or one key a line.
   */
  constructor(text: string) {
    const keys = keysOf(text);
    if (keys === undefined) {
      Problems.throwIfAny([{
        rule: 'RouterApiKeysEmpty',
        path: 'config.auth.apiKeysEnv',
        // the value is a secret: it is not told.
        message: 'the API keys are not a list of keys',
        mend: 'give a JSON list of strings or of {"name", "key"}, or one key a line, of printable ASCII without blanks',
      }]);
    }
    this.keys = keys!;
  }

  /** Takes other keys, if the text has any. Returns whether it has. */
  public replace(text: string): boolean {
    const keys = keysOf(text);
    this.keys = keys ?? this.keys;
    return keys !== undefined;
  }

  public check(authorization: string | undefined): Caller {
    const presented = digest(bearerOf(authorization) ?? '');
    // every key is compared, so that the time taken tells nothing.
    const caller = this.keys.reduce<Caller | undefined>((found, key) => (timingSafeEqual(key.digest, presented) ? key.caller : found), undefined);
    if (caller === undefined) {
      throw unauthenticated('invalid_api_key', 'the API key is missing or wrong');
    }
    return caller;
  }

  public stop(): void {
    // it does nothing by itself.
  }
}

/** What can be within a header, and with a blank would be two words. */
const CAN_BE_PRESENTED = /^[\x21-\x7e]+$/;

/** The keys in a text; undefined if there are none, or one that nobody can present. */
function keysOf(text: string): Key[] | undefined {
  const given = parseKeys(text);
  const areKeys = given !== undefined && given.length > 0 && given.every(({ key }) => CAN_BE_PRESENTED.test(key));
  return !areKeys ? undefined : given.map(({ name, key }) => {
    const of = digest(key);
    return { digest: of, caller: { id: name ?? of.toString('base64'), name } };
  });
}

function parseKeys(text: string): { readonly name?: string; readonly key: string }[] | undefined {
  // other JSON than a list is no key: a line of it would be one that anybody can guess.
  if (!/^\s*[[{]/.test(text)) {
    return text.split('\n').map((line) => line.trim()).filter((line) => line !== '').map((key) => ({ key }));
  }
  try {
    const list: unknown = JSON.parse(text);
    const keys = Array.isArray(list) ? list.map((one) => (typeof one === 'string' ? { key: one } : one)) : [];
    return keys.every(isNamedKey) ? keys : undefined;
  } catch {
    return undefined;
  }
}

function isNamedKey(one: any): boolean {
  const isText = (value: unknown) => typeof value === 'string' && value.trim() !== '';
  return isText(one?.key) && (one.name === undefined || isText(one.name));
}

function digest(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}
