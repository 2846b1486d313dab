import { urlToHttpOptions } from 'node:url';
import { Body, lengthOf } from '../body';
import { Connection, Hearing, Place, ResponseListener } from './connection';
import { HostLookup } from './host-lookup';

/** What may not be in a line of a head. */
const NO_HEADER_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * The connections to one server, as many as there are requests at once. The one that was used last is used first, so that those that are not needed close.
 */
export class Connections {
  private readonly place: Place;
  private readonly hostLine: string;
  private readonly hearing: Hearing = { heard: false };
  private readonly open = new Set<Connection>();
  private readonly idle: Connection[] = [];
  private isClosed = false;

  /**
   * @param origin of the server's URL.
   */
  constructor(origin: URL) {
    const isTls = origin.protocol === 'https:';
    const { lookup } = new HostLookup();
    this.place = { host: String(urlToHttpOptions(origin).hostname), port: Number(origin.port) || (isTls ? 443 : 80), isTls, lookup };
    this.hostLine = `host: ${origin.host}\r\n`;
  }

  /**
   * Sends a request. Throws TypeError for a header that is none.
   *
   * @param method GET, or POST with a body.
   * @param path what the line of the request names, encoded as it is to be.
   * @param headers its headers, but for `host`, `connection` and `content-length`.
   * @param body its body.
   * @param listener who awaits the response.
   * @param isAnew whether over a new connection.
   */
  public ask(
    method: 'GET' | 'POST', path: string, headers: { readonly [name: string]: string }, body: Body | undefined, listener: ResponseListener,
    isAnew: boolean,
  ): Connection {
    let head = `${method} ${path} HTTP/1.1\r\n${this.hostLine}connection: keep-alive\r\n`;
    for (const name of Object.keys(headers)) {
      const value = headers[name];
      if (NO_HEADER_VALUE.test(value)) {
        throw new TypeError(`the value of the header ${name} is none`);
      }
      head += `${name}: ${value}\r\n`;
    }
    head += body === undefined ? '\r\n' : `content-length: ${lengthOf(body)}\r\n\r\n`;
    const used = isAnew ? undefined : this.idle.pop();
    const connection = used ?? this.connect();
    connection.ask(head, body ?? [], listener);
    return connection;
  }

  /** Closes those that nobody uses, and the others once nobody does. */
  public close(): void {
    this.isClosed = true;
    [...this.idle].forEach((connection) => connection.destroy());
  }

  /** Whether anything has come over any of them since this was last asked. */
  public wasHeard(): boolean {
    const { heard } = this.hearing;
    this.hearing.heard = false;
    return heard;
  }

  /** Fails the requests that nothing was answered to yet. */
  public giveUp(error: Error): void {
    [...this.open].forEach((connection) => connection.giveUp(error));
  }

  private connect(): Connection {
    const connection = new Connection(this.place, this.hearing, (idle) => this.rest(idle), (closed) => this.forget(closed));
    this.open.add(connection);
    return connection;
  }

  private rest(connection: Connection): void {
    if (this.isClosed) {
      connection.destroy();
    } else {
      this.idle.push(connection);
    }
  }

  private forget(connection: Connection): void {
    this.open.delete(connection);
    const at = this.idle.indexOf(connection);
    if (at !== -1) {
      this.idle.splice(at, 1);
    }
  }
}
