import { createServer, IncomingMessage, Server, ServerResponse } from 'node:http';
import { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';

/** A server that a router takes for an engine: it passes everything on, and may change what a request is answered, or let something happen first. */
export class Between {
  public static async start(engine: string): Promise<Between> {
    const between = new Between(engine);
    await new Promise<void>((resolve) => between.server.listen(0, '127.0.0.1', resolve));
    return between;
  }

  /** Called when a request has come; the engine gets it when this is done. */
  public onRequest?: () => void | Promise<void>;
  /** What the router is told in place of an answer in JSON. */
  public onAnswer?: (answer: any) => unknown;
  /** What the router is told without the engine, which then counts as well whatever it is. */
  public instead?: unknown;
  private readonly engine: string;
  private readonly server: Server;

  private constructor(engine: string) {
    this.engine = engine;
    this.server = createServer((request, response) => void this.serve(request, response).catch(() => response.destroy()));
  }

  public get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  public stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const left = new AbortController();
    response.once('close', () => left.abort());
    const body = Buffer.concat(await request.toArray());
    if (this.instead !== undefined) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(this.instead));
      return;
    }
    const isAsked = request.method === 'POST';
    if (isAsked) {
      await this.onRequest?.();
    }
    const { 'content-type': type = 'application/json', 'x-request-id': id = '' } = request.headers as { [name: string]: string };
    const answer = await fetch(this.engine + request.url!, {
      method: request.method, headers: { 'content-type': type, 'x-request-id': id }, body: isAsked ? body : undefined, signal: left.signal,
    });
    const answerType = answer.headers.get('content-type') ?? '';
    if (isAsked && answerType.startsWith('application/json')) {
      const told: unknown = await answer.json();
      response.writeHead(answer.status, { 'content-type': answerType }).end(JSON.stringify(this.onAnswer === undefined ? told : this.onAnswer(told)));
      return;
    }
    response.writeHead(answer.status, { 'content-type': answerType });
    if (answer.body === null) {
      response.end();
      return;
    }
    // Node's and the DOM's streams are one at run time, and two types.
    Readable.fromWeb(answer.body as ReadableStream).on('error', () => response.destroy()).pipe(response);
  }
}
