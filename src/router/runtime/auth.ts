import { createHash, timingSafeEqual } from 'node:crypto';
import { Problems } from '../../problems';

/**
 * Tells callers that hold an API key from those that do not.
 */
export class Authenticator {
  /** Everybody may call: the network is the only guard. */
  public static none(): Authenticator {
    return new Authenticator(undefined);
  }

  /**
   * Callers present one of the keys as `Authorization: Bearer <key>`.
   *
   * @param text a JSON list of keys, or one key a line; several keys allow a rotation without a gap.
   */
  public static apiKeys(text: string): Authenticator {
    const keys = parseKeys(text);
    if (keys === undefined || keys.length === 0) {
      Problems.throwIfAny([{
        rule: 'RouterApiKeysEmpty',
        path: 'config.auth.apiKeysEnv',
        // the value is a secret: it is not told.
        message: 'the API keys are not a list of keys',
        mend: 'give a JSON list of non-empty strings, or one key a line',
      }]);
    }
    return new Authenticator(keys!.map(digest));
  }

  private readonly digests?: Buffer[];

  private constructor(digests: Buffer[] | undefined) {
    this.digests = digests;
  }

  /** Whether the value of an Authorization header holds one of the keys. */
  public accepts(authorization: string | undefined): boolean {
    if (this.digests === undefined) {
      return true;
    }
    const presented = digest(/^bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? '');
    // every key is compared, so that the time taken tells nothing.
    return this.digests.reduce((found, key) => timingSafeEqual(key, presented) || found, false);
  }
}

function parseKeys(text: string): string[] | undefined {
  if (!text.trimStart().startsWith('[')) {
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
  return createHash('sha256').update(key, 'utf8').digest();
}
