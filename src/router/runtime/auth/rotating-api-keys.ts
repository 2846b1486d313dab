import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { Logger } from 'pino';
import { ApiKeys } from './api-keys';
import { Authenticator } from './authenticator';
import { KeysSecret } from '../config';

/** How long Secrets Manager may take to answer. */
const TIMEOUT_MILLIS = 10_000;

/**
 * API keys that are read anew from Secrets Manager, with the credentials of the environment: those of the task's role in ECS. A variable of a task has the
 * secret's value at its start, and no other. While the secret cannot be read, or holds no keys, those before stay.
 */
export class RotatingApiKeys extends ApiKeys {
  private readonly secret: KeysSecret;
  private readonly log: Logger;
  private readonly client: SecretsManagerClient;
  private readonly timer: NodeJS.Timeout;

  /**
   * Throws ProblemsError if there is no key.
   *
   * @param text the keys at the start.
   * @param secret where they are read anew.
   * @param log where failures are told.
   */
  constructor(text: string, secret: KeysSecret, log: Logger) {
    super(text);
    this.secret = secret;
    this.log = log;
    this.client = new SecretsManagerClient({
      region: secret.arn.split(':')[3], requestHandler: { connectionTimeout: TIMEOUT_MILLIS, requestTimeout: TIMEOUT_MILLIS, throwOnRequestTimeout: true },
    });
    this.timer = setInterval(() => void this.refresh(), secret.refreshSeconds * 1000).unref();
  }

  /** Goes on with the keys that were read last of the same secret: those of the environment may have been revoked. */
  public continue(before: Authenticator | undefined): void {
    if (before instanceof RotatingApiKeys && before.secret.arn === this.secret.arn) {
      this.keys = before.keys;
    }
  }

  public stop(): void {
    clearInterval(this.timer);
    this.client.destroy();
  }

  private async refresh(): Promise<void> {
    let failure = 'the secret holds no keys';
    try {
      const { SecretString: text } = await this.client.send(new GetSecretValueCommand({ SecretId: this.secret.arn }));
      if (text !== undefined && this.replace(text)) {
        return;
      }
    } catch (e) {
      failure = (e as Error).name;
    }
    this.log.error({ failure }, 'the API keys could not be read anew: those before stay');
  }
}
