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
const END_OF_CHUNKS = Buffer.from('\r\n0\r\n\r\n');

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

/** One connection, one request at a time. Reads no more of an answer than it takes to know its status and its end. */
class Connection {
  private readonly socket: Socket;
  private head = '';
  private left = -1;
  private tail: Buffer = Buffer.alloc(0);
  private done?: (error?: Error) => void;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (data) => this.read(data));
    this.socket.on('error', (error) => this.settle(error));
    this.socket.on('close', () => this.settle(new Error('the connection was closed')));
  }

  public ask(bytes: Buffer, done: (error?: Error) => void): void {
    this.done = done;
    this.head = '';
    this.socket.write(bytes);
  }

  public close(): void {
    this.socket.destroy();
  }

  private read(data: Buffer): void {
    let body = data;
    if (!this.head.includes('\r\n\r\n')) {
      this.head += data.toString('latin1');
      const end = this.head.indexOf('\r\n\r\n');
      if (end === -1) {
        return;
      }
      body = Buffer.from(this.head.slice(end + 4), 'latin1');
      this.head = this.head.slice(0, end + 4);
      const length = /\r\ncontent-length: *(\d+)/i.exec(this.head)?.[1];
      this.left = length === undefined ? -1 : Number(length);
      this.tail = Buffer.alloc(0);
    }
    if (this.left === -1) {
      this.tail = body.length >= END_OF_CHUNKS.length ? body : Buffer.concat([this.tail, body]);
      if (this.tail.subarray(-END_OF_CHUNKS.length).equals(END_OF_CHUNKS)) {
        this.end();
      }
    } else {
      this.left -= body.length;
      if (this.left === 0) {
        this.end();
      }
    }
  }

  private end(): void {
    this.settle(this.head.startsWith('HTTP/1.1 200') ? undefined : new Error(`a request was answered with ${this.head.split('\r\n')[0]}`));
  }

  private settle(error?: Error): void {
    const { done } = this;
    this.done = undefined;
    done?.(error);
  }
}

/** As many requests as can be had with a fixed number in flight, for so long. */
export async function closedLoop({ port, bytes }: Ask, seconds: number): Promise<Outcome> {
  const times: number[] = [];
  const start = performance.now();
  const end = start + seconds * 1000;
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => new Promise<void>((resolve, reject) => {
    const connection = new Connection(port);
    const next = () => {
      const asked = performance.now();
      connection.ask(bytes, (error) => {
        if (error !== undefined) {
          reject(error);
          return;
        }
        times.push(performance.now() - asked);
        if (performance.now() < end) {
          next();
        } else {
          connection.close();
          resolve();
        }
      });
    };
    next();
  })));
  return outcome(times, (performance.now() - start) / 1000);
}

/** So many requests a second, evenly spaced, whatever becomes of those before, of which the first second is not counted; undefined if they are not held. */
export async function openLoop({ port, bytes }: Ask, perSecond: number, seconds: number): Promise<Outcome | undefined> {
  const idle: Connection[] = [];
  const all: Connection[] = [];
  const waiting: number[] = [];
  const times: number[] = [];
  const total = perSecond * (START_SECONDS + seconds);
  let answered = 0;
  let due = 0;
  let failure: Error | undefined;
  const send = (connection: Connection, at: number) => connection.ask(bytes, (error) => {
    failure ??= error;
    answered++;
    if (at >= start + START_SECONDS * 1000) {
      times.push(performance.now() - at);
    }
    const next = waiting.shift();
    if (next === undefined) {
      idle.push(connection);
    } else {
      send(connection, next);
    }
  });
  const ticker = new Worker(TICKER, { eval: true });
  // what its start takes of the core is not to be any request's.
  await once(ticker, 'message');
  const start = performance.now();
  const sendDue = (now: number) => {
    for (let at = start; due < total && (at = start + (due / perSecond) * 1000) <= now; due++) {
      let connection = idle.pop();
      if (connection === undefined && all.length < MOST_CONNECTIONS) {
        connection = new Connection(port);
        all.push(connection);
      }
      if (connection === undefined) {
        waiting.push(at);
      } else {
        send(connection, at);
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
