import { once } from 'node:events';
import { ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, Socket } from 'node:net';
import { Pool } from 'undici';
import { Answered, complaintAbout } from './answers';
import { FuzzEngine } from './fuzz-engine';
import { Random } from './random';
import { rawHttp } from './raw-http';
import { rawHttp2 } from './raw-http2';
import { FuzzedRequest, mutatedRequest } from './requests';
import { RouterProcess, Vitals } from './router-process';
import { ask, chat, configOf, sleep } from '../harness';

/** What is never over by then hangs. */
const BOUND_MILLIS = 60_000;
/** Inputs between two requests with nothing wrong, which must be answered. */
const BETWEEN_PROBES = 1000;
const WORKERS = 32;
/** Requests of one session of HTTP/2. */
const PER_SESSION = 100;
/** More than what is needed, less than what a leak of a hundred bytes an input takes over a million of them. */
const HEAP_MEGABYTES = 96;
/** What differs in a heap before and after, whatever is done. */
const HEAP_SLACK_BYTES = 8 * 1024 * 1024;

/** What was sent, how it was answered, and what is wrong. */
export interface FuzzReport {
  /** Inputs by kind: a request, a message of HTTP/1.1 on a raw connection, or a frame of HTTP/2. */
  readonly inputs: { readonly [kind: string]: number };
  readonly answers: { readonly [status: string]: number };
  readonly connections: number;
  readonly reachedEngines: number;
  readonly handedOff: number;
  readonly before: Vitals;
  readonly after: Vitals;
  readonly findings: readonly string[];
}

/**
 * Sends a router everything that it should withstand: as many inputs as told, the same for the same seed.
 *
 * @param inputs how many.
 * @param seed which.
 * @param progress told of the count of inputs now and then.
 */
export async function fuzz(inputs: number, seed: number, progress: (done: number) => void = () => {}): Promise<FuzzReport> {
  const engine = await FuzzEngine.start();
  const findings: string[] = [];
  const router = await RouterProcess.start(configFor(engine.url), HEAP_MEGABYTES, (line) => {
    if (line.includes('"code":"500"') || line.includes('"level":60')) {
      findings.push(`the router logs ${line.slice(0, 1000)}`);
    }
  });
  try {
    const run = new FuzzRun(router, seed, findings);
    await run.warmUp();
    const before = await router.vitals();
    await run.send(inputs, progress);
    const after = await run.settle(before);
    return {
      inputs: run.inputs,
      answers: run.answers,
      connections: run.connections,
      reachedEngines: engine.requests,
      handedOff: engine.fetches,
      before,
      after,
      findings: [...findings, ...engine.findings],
    };
  } finally {
    await router.stop();
    await engine.stop();
  }
}

const configFor = (url: string) => configOf([
  { name: 'decode', role: 'decode', protocol: 'openai', url, kvConnector: 'NixlConnector', prefill: 'prefill' },
  { name: 'prefill', role: 'prefill', protocol: 'openai', url, kvConnector: 'NixlConnector' },
], { routing: { minPromptTokens: 100 }, limits: { maxBodyBytes: 150_000, keepAliveSeconds: 1, writeStallSeconds: 5 } });

class FuzzRun {
  public readonly inputs: { [kind: string]: number } = {};
  public readonly answers: { [status: string]: number } = {};
  public connections = 0;
  private readonly router: RouterProcess;
  private readonly seed: number;
  private readonly findings: string[];
  private readonly url: string;

  constructor(router: RouterProcess, seed: number, findings: string[]) {
    this.router = router;
    this.seed = seed;
    this.findings = findings;
    this.url = `http://127.0.0.1:${router.port}`;
  }

  /** What a router does once is done. */
  public async warmUp(): Promise<void> {
    await this.send(500, () => {});
    // connections that idle are closed by then.
    await sleep(2_000);
    Object.keys(this.inputs).forEach((kind) => delete this.inputs[kind]);
    Object.keys(this.answers).forEach((status) => delete this.answers[status]);
    this.connections = 0;
  }

  public async send(inputs: number, progress: (done: number) => void): Promise<void> {
    let index = 0;
    let done = 0;
    let probed = 0;
    const work = async () => {
      const pool = new Pool(this.url, { connections: 1, pipelining: 1 });
      let session: ClientHttp2Session | undefined;
      let left = 0;
      while (done < inputs && this.router.end === undefined) {
        const random = new Random(this.seed, index++);
        const at = index;
        const made = random.next();
        let sent: number;
        const bounded = async (kind: string, input: Promise<number>) => this.bounded(`input ${at} of seed ${this.seed}, ${kind}`, input);
        if (made < 0.04) {
          sent = await bounded('raw HTTP/1.1', this.raw(random));
        } else if (made < 0.045) {
          sent = await bounded('frames of HTTP/2', this.frames(random));
        } else if (made < 0.5) {
          sent = await bounded('a request', this.request(random, async (request, leaves) => overHttp1(pool, request, leaves)));
        } else {
          if (session === undefined || session.closed || session.destroyed || left-- === 0) {
            session?.close();
            session = connectHttp2(this.url).on('error', () => {});
            this.connections++;
            left = PER_SESSION;
          }
          const live = session;
          sent = await bounded('a request', this.request(random, async (request, leaves) => overHttp2(live, request, leaves)));
        }
        done += sent;
        if (done - probed >= BETWEEN_PROBES) {
          probed = done;
          progress(done);
          await this.probe();
        }
      }
      session?.close();
      await pool.destroy();
    };
    await Promise.all(Array.from({ length: WORKERS }, work));
    if (this.router.end !== undefined) {
      this.findings.push(`${this.router.end} before input ${index}`);
    }
  }

  /** Waits until the router has nothing left of what it was sent. */
  public async settle(before: Vitals): Promise<Vitals> {
    if (this.router.end !== undefined) {
      return before;
    }
    const sockets = ({ resources }: Vitals) => resources.TCPSocketWrap ?? 0;
    let after = before;
    let busy = '';
    for (let i = 0; i < 300; i++) {
      await sleep(200);
      after = await this.router.vitals();
      busy = (await (await fetch(`${this.url}/metrics`)).text()).split('\n').filter((line) => /^router_in_flight\{.*\} [^0]/.test(line)).join();
      // one of the fetch above.
      if (busy === '' && sockets(after) <= sockets(before) + 1 && after.heapBytes <= before.heapBytes + HEAP_SLACK_BYTES) {
        return after;
      }
    }
    this.findings.push(`something stays: ${busy} ${JSON.stringify(before)} became ${JSON.stringify(after)}`);
    return after;
  }

  private count(kind: string, inputs: number): number {
    this.inputs[kind] = (this.inputs[kind] ?? 0) + inputs;
    return inputs;
  }

  private answered(status: number | 'none'): void {
    this.answers[status] = (this.answers[status] ?? 0) + 1;
  }

  /** A router that is given something right must answer it. */
  private async probe(): Promise<void> {
    try {
      const response = await ask(this.url, chat(), { connection: 'close' });
      const text = await response.text();
      if (response.status !== 200 || !text.includes('hello')) {
        this.findings.push(`a request with nothing wrong is answered with ${response.status} ${text.slice(0, 200)}`);
      }
    } catch (e) {
      this.findings.push(`a request with nothing wrong is not answered: ${(e as Error).message}`);
    }
  }

  private async bounded(what: string, input: Promise<number>): Promise<number> {
    let timer!: NodeJS.Timeout;
    const bound = new Promise<number>((resolve) => {
      timer = setTimeout(() => {
        this.findings.push(`${what} hangs`);
        resolve(1);
      }, BOUND_MILLIS);
    });
    const told = input.catch((e: Error) => {
      if (this.router.end === undefined) {
        this.findings.push(`${what}: ${e.message}`);
      }
      return 1;
    });
    return Promise.race([told, bound]).finally(() => clearTimeout(timer));
  }

  private async request(random: Random, send: (request: FuzzedRequest, leaves: boolean) => Promise<Answered | undefined>): Promise<number> {
    const request = mutatedRequest(random);
    const answer = await send(request, random.chance(0.02));
    this.answered(answer?.status ?? 'none');
    const complaint = answer && complaintAbout(request.method, request.path, answer);
    if (complaint !== undefined) {
      const { method, path, headers, body } = request;
      throw new Error(`${method} ${path.slice(0, 100)} ${complaint}; ${JSON.stringify(headers).slice(0, 300)} ${body.toString('utf8', 0, 500)}`);
    }
    return this.count('request', 1);
  }

  /** Sends bytes, and reads what is answered until the router closes, or all is answered that must be. */
  private async raw(random: Random): Promise<number> {
    const { kind, pieces, messages, expected } = rawHttp(random);
    const statuses = await this.talk(pieces, expected?.length, random.chance(0.2));
    statuses.forEach((status) => this.answered(status));
    const allowed = statuses.every((status) => status < 500 || status === 505);
    // a caller that is cut off while it still sends may not get to read why.
    const right = expected === undefined || expected[0] === 431
      ? statuses.every((status) => expected?.includes(status) ?? true) : String(statuses) === String(expected);
    if (!allowed || !right) {
      throw new Error(`${kind} is answered with ${statuses}, expected ${expected}: ${Buffer.concat(pieces).toString('latin1').slice(0, 1000)}`);
    }
    return this.count('message of HTTP/1.1', messages);
  }

  private async frames(random: Random): Promise<number> {
    const { pieces, frames } = rawHttp2(random);
    await this.talk(pieces, undefined, random.chance(0.3));
    return this.count('frame of HTTP/2', frames);
  }

  private async talk(pieces: readonly Buffer[], awaited: number | undefined, cut: boolean): Promise<number[]> {
    const socket = connect({ port: this.router.port, host: '127.0.0.1', allowHalfOpen: true });
    this.connections++;
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (data) => {
      text += data.toString('latin1');
      if (awaited !== undefined && statusesIn(text).length >= awaited && text.endsWith('}')) {
        socket.end();
      }
    });
    socket.on('end', () => socket.end());
    await once(socket, 'connect');
    for (const piece of pieces) {
      if (piece.length > 0 && socket.writable) {
        socket.write(piece);
        await new Promise(setImmediate);
      }
    }
    if (awaited === undefined) {
      leave(socket, cut);
    }
    await closed;
    return statusesIn(text);
  }
}

function leave(socket: Socket, cut: boolean): void {
  if (cut) {
    socket.resetAndDestroy();
  } else {
    socket.end();
  }
}

function statusesIn(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)).filter((status) => status >= 200);
}

async function overHttp1(pool: Pool, { method, path, headers, body }: FuzzedRequest, leaves: boolean): Promise<Answered | undefined> {
  const controller = new AbortController();
  try {
    const asked = pool.request({ method, path: path.replace(/^(?!\/)/, '/'), headers, body, signal: controller.signal });
    if (leaves) {
      setImmediate(() => controller.abort());
    }
    const { statusCode, headers: told, body: answer } = await asked;
    return { status: statusCode, headers: told, body: Buffer.from(await answer.arrayBuffer()) };
  } catch {
    return undefined;
  }
}

async function overHttp2(
  session: ClientHttp2Session, { method, path, headers, body }: FuzzedRequest, leaves: boolean,
): Promise<Answered | undefined> {
  const stream = session.request({ ...headers, ':method': method, ':path': path }, { endStream: false });
  return new Promise((resolve) => {
    let told: { readonly [name: string]: string | string[] | undefined } | undefined;
    const chunks: Buffer[] = [];
    stream.on('response', (given) => (told = given as typeof told));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => {});
    stream.on('close', () => {
      const isWhole = stream.rstCode === 0 && told !== undefined;
      resolve(isWhole ? { status: Number(told![':status']), headers: told!, body: Buffer.concat(chunks) } : undefined);
    });
    stream.end(body);
    if (leaves) {
      setImmediate(() => stream.close(8));
    }
  });
}
