import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
import { EngineError } from '../wire/api-error';

/**
 * Signs requests to Bedrock with the AWS credentials of the environment: those of the task's role in ECS, and of all else that AWS' SDKs know. They are
 * fetched when they are first needed, and anew before they expire.
 */
export class BedrockSigner {
  private readonly signer: SignatureV4;

  /**
   * @param region AWS region that is called.
   */
  constructor(region: string) {
    this.signer = new SignatureV4({ service: 'bedrock', region, credentials: defaultProvider(), sha256: Sha256 });
  }

  /**
   * The headers of a POST, with its signature. Throws EngineError if there are no credentials.
   *
   * @param url where it goes.
   * @param headers what is signed with it.
   * @param body its body.
   */
  public async sign(url: URL, headers: { readonly [name: string]: string }, body: Uint8Array): Promise<{ [name: string]: string }> {
    const request = {
      method: 'POST', protocol: url.protocol, hostname: url.hostname, path: url.pathname, query: {}, headers: { ...headers, host: url.host }, body,
    };
    try {
      return (await this.signer.sign(request)).headers;
    } catch {
      // what the providers of credentials say may quote where secrets are.
      throw new EngineError(502, 'engine_refused', 'the router has no AWS credentials for Bedrock');
    }
  }
}
