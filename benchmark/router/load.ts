import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';

/** Tokens of a streamed answer. */
export const EVENTS = 500;
/** Events that an engine writes at once. One that is busy steps for many sequences, and a gateway that is busy reads what has come meanwhile. */
export const EVENTS_A_WRITE = 10;
/** Connections of a closed loop. */
const IN_FLIGHT = 64;
/** Connections that an open loop may come to need. */
const MOST_CONNECTIONS = 512;
/** In which an open loop makes its connections: not counted. */
const START_SECONDS = 1;
/** Ticks every tenth of a millisecond: with a timer, which knows whole ones, some requests would come at once. */
const TICKER = `
  const { parentPort } = require('node:worker_threads');
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    Atomics.wait(nothing, 0, 0, 0.1);
    parentPort.postMessage(undefined);
  }
`;
const END_OF_HEAD = '\r\n\r\n';
const END_OF_CHUNKS = Buffer.from('\r\n0\r\n\r\n');
const STATUS = 'HTTP/1.1 200';
const NOTHING = Buffer.alloc(0);

/** What is asked over and over. */
export interface Ask {
  readonly port: number;
  readonly bytes: Buffer;
}

/** How a load went. */
export interface Outcome {
  readonly requests: number;
  readonly perSecond: number;
  /** From when a request was due to its last byte. */
  readonly p50Millis: number;
  readonly p99Millis: number;
}

/** A POST as bytes. */
export function post(path: string, key: string, body: object): Buffer {
  const text = JSON.stringify(body);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
}

/** Told when an answer has come whole, or with what went wrong. */
type Done = (connection: Connection, error?: Error) => void;

/** One connection, one request at a time. Reads no more of an answer than it takes to know its status and its end, and makes next to no garbage by it. */
class Connection {
  /** When its request was due. */
  public dueMillis = 0;
  private readonly socket: Socket;
  private readonly done: Done;
  private isAsked = false;
  /** The head, as far as it has come. */
  private head = '';
  private hasHead = false;
  /** Bytes of the body that are to come; -1 if its end is told by a last chunk. */
  private left = -1;
  private tail: Buffer = NOTHING;

  constructor(port: number, done: Done) {
    this.done = done;
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (data) => this.read(data));
    this.socket.on('error', (error) => this.settle(error));
    this.socket.on('close', () => this.settle(new Error('the connection was closed')));
  }

  public ask(bytes: Buffer, dueMillis: number): void {
    this.dueMillis = dueMillis;
    this.isAsked = true;
    this.head = '';
    this.hasHead = false;
    this.socket.write(bytes);
  }

  public close(): void {
    this.socket.destroy();
  }

  private read(data: Buffer): void {
    let start = 0;
    if (!this.hasHead) {
      start = this.readHead(data);
      if (!this.hasHead) {
        return;
      }
    }
    if (this.left === -1) {
      this.tail = data.length - start >= END_OF_CHUNKS.length ? data : Buffer.concat([this.tail, data.subarray(start)]);
      if (this.tail.subarray(-END_OF_CHUNKS.length).equals(END_OF_CHUNKS)) {
        this.end();
      }
    } else {
      this.left -= data.length - start;
      if (this.left === 0) {
        this.end();
      }
    }
  }

  /** Returns where the body begins. */
  private readHead(data: Buffer): number {
    const before = this.head.length;
    const found = data.indexOf(END_OF_HEAD, 0, 'latin1');
    this.head += data.toString('latin1', 0, found === -1 ? data.length : found + END_OF_HEAD.length);
    // its end may be in two parts.
    const end = this.head.indexOf(END_OF_HEAD, Math.max(0, before - END_OF_HEAD.length));
    this.hasHead = end !== -1;
    this.tail = NOTHING;
    const length = this.hasHead ? /\r\ncontent-length: *(\d+)/i.exec(this.head)?.[1] : undefined;
    this.left = length === undefined ? -1 : Number(length);
    return end + END_OF_HEAD.length - before;
  }

  private end(): void {
    this.settle(this.head.startsWith(STATUS) ? undefined : new Error(`a request was answered with ${this.head.split('\r\n')[0]}`));
  }

  private settle(error?: Error): void {
    if (this.isAsked) {
      this.isAsked = false;
      this.done(this, error);
    }
  }
}

/** As many requests as can be had with a fixed number in flight, for so long. */
export async function closedLoop({ port, bytes }: Ask, seconds: number): Promise<Outcome> {
  const times: number[] = [];
  const start = performance.now();
  const end = start + seconds * 1000;
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => new Promise<void>((resolve, reject) => {
    const connection = new Connection(port, (one, error) => {
      const now = performance.now();
      if (error !== undefined) {
        reject(error);
        return;
      }
      times.push(now - one.dueMillis);
      if (now < end) {
        one.ask(bytes, now);
      } else {
        one.close();
        resolve();
      }
    });
    connection.ask(bytes, performance.now());
  })));
  return outcome(times, (performance.now() - start) / 1000);
}

/** So many requests a second, evenly spaced, whatever becomes of those before, of which the first second is not counted; undefined if they are not held. */
export async function openLoop({ port, bytes }: Ask, perSecond: number, seconds: number): Promise<Outcome | undefined> {
  const idle: Connection[] = [];
  const all: Connection[] = [];
  const waiting: number[] = [];
  const total = perSecond * (START_SECONDS + seconds);
  const times: number[] = [];
  let answered = 0;
  let due = 0;
  let failure: Error | undefined;
  const done: Done = (connection, error) => {
    failure ??= error;
    answered++;
    if (connection.dueMillis >= start + START_SECONDS * 1000) {
      times.push(performance.now() - connection.dueMillis);
    }
    const next = waiting.shift();
    if (next === undefined) {
      idle.push(connection);
    } else {
      connection.ask(bytes, next);
    }
  };
  const ticker = new Worker(TICKER, { eval: true });
  // what its start takes of the core is not to be any request's.
  await once(ticker, 'message');
  const start = performance.now();
  const sendDue = (now: number) => {
    for (let at = start; due < total && (at = start + (due / perSecond) * 1000) <= now; due++) {
      let connection = idle.pop();
      if (connection === undefined && all.length < MOST_CONNECTIONS) {
        connection = new Connection(port, done);
        all.push(connection);
      }
      if (connection === undefined) {
        waiting.push(at);
      } else {
        connection.ask(bytes, at);
      }
    }
  };
  await new Promise<void>((resolve) => ticker.on('message', () => {
    const now = performance.now();
    sendDue(now);
    if (answered >= total || failure !== undefined || now - start > (START_SECONDS + seconds) * 1000 + 2000) {
      resolve();
    }
  }));
  const elapsedSeconds = (performance.now() - start) / 1000 - START_SECONDS;
  await ticker.terminate();
  all.forEach((connection) => connection.close());
  return failure !== undefined || answered < total || elapsedSeconds > seconds * 1.05 + 0.1 ? undefined : outcome(times, elapsedSeconds);
}

function outcome(times: number[], seconds: number): Outcome {
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)];
  return { requests: times.length, perSecond: times.length / seconds, p50Millis: at(0.5), p99Millis: at(0.99) };
}
