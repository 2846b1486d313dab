import { hash, timingSafeEqual } from 'node:crypto';
import { Authenticator, bearerOf, unauthenticated } from './authenticator';
import { Problems } from '../../../problems';

/**
 * Callers present one of several keys as `Authorization: Bearer <key>`: several allow a rotation without a gap.
 */
export class ApiKeys implements Authenticator {
  public readonly kind = 'apiKeys';
  protected digests: Buffer[];

  /**
   * Throws ProblemsError if there is no key.
   *
   * @param text a JSON list of keys, or one key a line.
   */
  constructor(text: string) {
    const digests = digestsOf(text);
    if (digests === undefined) {
      Problems.throwIfAny([{
        rule: 'RouterApiKeysEmpty',
        path: 'config.auth.apiKeysEnv',
        // the value is a secret: it is not told.
        message: 'the API keys are not a list of keys',
        mend: 'give a JSON list of non-empty strings, or one key a line',
      }]);
    }
    this.digests = digests!;
  }

  /** Takes other keys, if the text has any. Returns whether it has. */
  public replace(text: string): boolean {
    const digests = digestsOf(text);
    this.digests = digests ?? this.digests;
    return digests !== undefined;
  }

  public check(authorization: string | undefined): string {
    const presented = digest(bearerOf(authorization) ?? '');
    // every key is compared, so that the time taken tells nothing.
    if (!this.digests.reduce((found, key) => timingSafeEqual(key, presented) || found, false)) {
      throw unauthenticated('invalid_api_key', 'the API key is missing or wrong');
    }
    return presented.toString('base64');
  }

  public stop(): void {
    // it does nothing by itself.
  }
}

/** Digests of the keys in a text; undefined if there are none. */
function digestsOf(text: string): Buffer[] | undefined {
  const keys = parseKeys(text);
  return keys === undefined || keys.length === 0 ? undefined : keys.map(digest);
}

function parseKeys(text: string): string[] | undefined {
  // other JSON than a list is no key: a line of it would be one that anybody can guess.
  if (!/^\s*[[{]/.test(text)) {
    return text.split('\n').map((line) => line.trim()).filter((line) => line !== '');
  }
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((key) => typeof key === 'string' && key.trim() !== '') ? list : undefined;
  } catch {
    return undefined;
  }
}

function digest(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}
