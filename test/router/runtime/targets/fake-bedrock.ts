import { createHash, createHmac } from 'node:crypto';
import { createServer, Server, ServerResponse } from 'node:http';
import { AddressInfo } from 'node:net';
import { EventStreamCodec } from '@smithy/eventstream-codec';
import { Behaviour, MockEngine, Received } from '../harness';

const CODEC = new EventStreamCodec((bytes) => Buffer.from(bytes).toString('utf8'), (text) => Buffer.from(text, 'utf8'));
const REGION = 'us-east-2';

/** A message of an event stream as Bedrock writes it. */
export function frame(type: string, payload: object, kind: 'event' | 'exception' = 'event'): Buffer {
  const text = (value: string) => ({ type: 'string' as const, value });
  return Buffer.from(CODEC.encode({
    headers: { [`:${kind}-type`]: text(type), ':content-type': text('application/json'), ':message-type': text(kind) },
    body: Buffer.from(JSON.stringify(payload)),
  }));
}

/** Answers with a status and a body, as Bedrock does where it is not a stream. */
export const answering = (status: number, body: object, headers: { [name: string]: string } = {}): Behaviour => (response) => {
  response.writeHead(status, { 'content-type': 'application/json', 'x-amzn-requestid': 'of-bedrock', ...headers }).end(JSON.stringify(body));
};

/** Answers with messages of an event stream, in pieces that fit no message. */
export const streaming = (frames: Buffer[], end = (response: ServerResponse) => void response.end()): Behaviour => async (response) => {
  response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream', 'x-amzn-bedrock-content-type': 'application/json' });
  const bytes = Buffer.concat(frames);
  for (let at = 0; at < bytes.length; at += 50) {
    response.write(bytes.subarray(at, at + 50));
    await new Promise((resolve) => setImmediate(resolve));
  }
  end(response);
};

/**
 * Bedrock's runtime API as far as it is authenticated: whatever is not signed for the region and the service, or signed with other credentials than the task's
 * role has now, is refused. Like Bedrock, it has nothing at /health.
 */
export class FakeBedrock {
  public static async start(): Promise<FakeBedrock> {
    const fake = new FakeBedrock();
    fake.engine = await MockEngine.start(async (response, received) => fake.serve(response, received));
    fake.engine.healthStatus = 404;
    await new Promise<void>((resolve) => fake.credentials.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  /** What it does with a request whose signature is right. */
  public behaviour: Behaviour = answering(200, {});
  /** How long credentials of the role are good. */
  public credentialSeconds = 3600;
  /** How often credentials were fetched. */
  public fetched = 0;
  /** Whether credentials are no longer good once others were fetched. */
  public rotates = true;
  private engine!: MockEngine;
  private readonly credentials: Server = createServer((_, response) => {
    this.fetched++;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({
      AccessKeyId: this.keyId,
      SecretAccessKey: this.secret,
      Token: this.token,
      Expiration: new Date(Date.now() + this.credentialSeconds * 1000).toISOString(),
    }));
  });

  public get url(): string {
    return this.engine.url;
  }

  public get requests(): Received[] {
    return this.engine.requests;
  }

  /** Where the container of a task gets the credentials of its role. */
  public get credentialsUrl(): string {
    return `http://127.0.0.1:${(this.credentials.address() as AddressInfo).port}/role`;
  }

  public async stop(): Promise<void> {
    this.credentials.closeAllConnections();
    await Promise.all([this.engine.stop(), new Promise((resolve) => this.credentials.close(resolve))]);
  }

  private get serial(): number {
    return this.rotates ? this.fetched : 0;
  }

  private get keyId(): string {
    return `ASIA${this.serial}`;
  }

  private get secret(): string {
    return `secret ${this.serial}`;
  }

  private get token(): string {
    return `token ${this.serial}`;
  }

  private async serve(response: ServerResponse, received: Received): Promise<void> {
    const fault = this.faultOf(received);
    await (fault === undefined ? this.behaviour : answering(403, { message: fault }, { 'x-amzn-errortype': 'InvalidSignatureException:' }))(response, received);
  }

  /** What is wrong with a signature, by AWS' description of version 4 of it. */
  private faultOf({ path, headers, text }: Received): string | undefined {
    const [, keyId, date, region, service, names, signature] = new RegExp(
      '^AWS4-HMAC-SHA256 Credential=([^/]+)/(\\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$',
    ).exec(headers.authorization ?? '') ?? [];
    const hash = sha256(text);
    if (keyId !== this.keyId || region !== REGION || service !== 'bedrock') {
      return `not signed for this: ${headers.authorization}`;
    }
    const signed = names.split(';');
    if (headers['x-amz-content-sha256'] !== hash || headers['x-amz-security-token'] !== this.token) {
      return 'another body, or another token';
    }
    if (!['host', 'x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'].every((name) => signed.includes(name))) {
      return `headers are not signed: ${names}`;
    }
    const canonical = [
      'POST',
      path.split('/').map(encodeURIComponent).join('/'),
      '',
      ...signed.map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, ' ')}`),
      '',
      names,
      hash,
    ].join('\n');
    const time = String(headers['x-amz-date']);
    const toSign = ['AWS4-HMAC-SHA256', time, `${date}/${REGION}/bedrock/aws4_request`, sha256(canonical)].join('\n');
    const key = [date, REGION, 'bedrock', 'aws4_request'].reduce<Buffer>((secret, part) => hmac(secret, part), Buffer.from(`AWS4${this.secret}`));
    return hmac(key, toSign).toString('hex') === signature && time.startsWith(date) ? undefined : 'the signature does not match';
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'utf8').digest();
}
