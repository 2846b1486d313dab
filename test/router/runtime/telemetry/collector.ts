import { createServer, Server } from 'node:http';
import { AddressInfo } from 'node:net';
import { until } from '../harness';

/** What a collector of OpenTelemetry's was sent at once. */
interface Sent {
  readonly path: string;
  readonly headers: { readonly [name: string]: unknown };
  readonly text: string;
}

type Attributes = { [name: string]: unknown };

/** A sum of observations with the same attributes. */
export interface Point {
  readonly attributes: Attributes;
  readonly count: number;
  readonly sum: number;
  readonly bounds: readonly number[];
}

/** A server that takes what is sent by OTLP over HTTP. */
export class Collector {
  public static async start(): Promise<Collector> {
    const collector = new Collector();
    await new Promise<void>((resolve) => collector.server.listen(0, '127.0.0.1', resolve));
    return collector;
  }

  public readonly sent: Sent[] = [];
  /** What it answers with; undefined for nothing at all. */
  public status?: number = 200;
  private readonly server: Server;

  private constructor() {
    this.server = createServer(async (request, response) => {
      let text = '';
      for await (const chunk of request.setEncoding('utf8')) {
        text += chunk;
      }
      this.sent.push({ path: request.url!, headers: request.headers, text });
      if (this.status !== undefined) {
        response.writeHead(this.status, { 'content-type': 'application/json' }).end('{}');
      }
    });
  }

  public get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  public async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** All that it was sent. */
  public get text(): string {
    return this.sent.map(({ text }) => text).join('\n');
  }

  public get spans(): any[] {
    return this.bodies('/v1/traces').flatMap(({ resourceSpans }) => resourceSpans).flatMap(({ scopeSpans }) => scopeSpans).flatMap((scope) => scope.spans);
  }

  /** The spans, once there are so many. */
  public async toldSpans(count: number): Promise<any[]> {
    await until(() => this.spans.length >= count, `${count} spans are told`);
    return this.spans;
  }

  /** The metrics as they were told last, by name. */
  public get metrics(): Map<string, { unit: string; points: Point[] }> {
    const scopes = this.bodies('/v1/metrics').at(-1)?.resourceMetrics.flatMap(({ scopeMetrics }: any) => scopeMetrics) ?? [];
    return new Map(scopes.flatMap((scope: any) => scope.metrics).map(({ name, unit, histogram }: any) => [name, {
      unit,
      points: histogram.dataPoints.map((point: any) => (
        { attributes: attributesOf(point), count: Number(point.count), sum: Number(point.sum), bounds: point.explicitBounds })),
    }]));
  }

  /** The attributes of who sent something. */
  public get resources(): Attributes[] {
    return [
      ...this.bodies('/v1/traces').flatMap(({ resourceSpans }) => resourceSpans), ...this.bodies('/v1/metrics').flatMap(({ resourceMetrics }) => resourceMetrics),
    ].map(({ resource }) => attributesOf(resource));
  }

  private bodies(path: string): any[] {
    return this.sent.filter((one) => one.path === path).map(({ text }) => JSON.parse(text));
  }
}

/** Attributes as they were before they were sent. */
export const attributesOf = (of: { attributes: any[] }): Attributes => Object.fromEntries(of.attributes.map(({ key, value }) => [key, plain(value)]));

function plain(value: any): unknown {
  return value.stringValue ?? value.intValue ?? value.doubleValue ?? value.boolValue ?? value.arrayValue?.values.map(plain);
}
