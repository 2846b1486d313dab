import { createServer, Server, ServerResponse } from 'node:http';
import { AddressInfo } from 'node:net';
import { COUNTED, promptOf, tell } from '../engine-answer';
import { Behaviour, MockEngine, Received } from '../harness';

/** The KV cache of a request, that a decode engine awaits, for ever if it never comes. */
class Transfer {
  public readonly read: Promise<string>;
  public keep!: (prompt: string) => void;
  public isKept = false;
  public isFetched = false;

  constructor() {
    this.read = new Promise((resolve) => (this.keep = resolve));
  }
}

/**
 * A prefill and a decode engine that treat each other as vLLM 0.32 with its Mooncake connector does. The prefill engine keeps a KV cache only of an answer that
 * its limit has ended, under the id that it was told, until it is fetched. The decode engine learns from the bootstrap server which engines there are, fails what
 * names another, and awaits any id for ever; without parameters, or with some that lack something, it reads the prompt itself.
 */
export class MooncakePair {
  public static async start(): Promise<MooncakePair> {
    const pair = new MooncakePair();
    pair.prefill = await MockEngine.start(async (response, received) => pair.servePrefill(response, received));
    pair.decode = await MockEngine.start(async (response, received) => pair.serveDecode(response, received));
    pair.bootstrap = createServer((request, response) => pair.serveBootstrap(request.url, response));
    await new Promise<void>((resolve) => pair.bootstrap.listen(0, '127.0.0.1', resolve));
    return pair;
  }

  public prefill!: MockEngine;
  public decode!: MockEngine;
  /** Ids of the data-parallel engines behind the prefill engine's URL, by rank. */
  public engineIds = ['engine-p'];
  /** What the bootstrap server does instead of telling them. */
  public bootstrapFault?: (response: ServerResponse) => void;
  /** What the next requests to the prefill engine meet instead of being read. */
  public prefillFaults: Behaviour[] = [];
  /** What the next requests to the decode engine meet. */
  public decodeFaults: Behaviour[] = [];
  /** Waited for by the prefill engine before it reads. */
  public gate: Promise<void> = Promise.resolve();
  /** Whether the first token of every answer is the one that ends it. */
  public endsAtOnce = false;
  /** Prompts that the decode engine read itself. */
  public localPrefills = 0;
  private bootstrap!: Server;
  private readonly transfers = new Map<string, Transfer>();

  public get bootstrapPort(): number {
    return (this.bootstrap.address() as AddressInfo).port;
  }

  /** KV caches that fill the prefill engine. */
  public get pinned(): number {
    return [...this.transfers.values()].filter(({ isKept, isFetched }) => isKept && !isFetched).length;
  }

  public async stop(): Promise<void> {
    this.bootstrap.closeAllConnections();
    await Promise.all([this.prefill.stop(), this.decode.stop(), new Promise((resolve) => this.bootstrap.close(resolve))]);
  }

  private serveBootstrap(path: string | undefined, response: ServerResponse): void {
    if (this.bootstrapFault !== undefined) {
      this.bootstrapFault(response);
      return;
    }
    const workers = Object.fromEntries(this.engineIds.map((id, rank) => [rank, { engine_id: id, worker_addr: { 0: { 0: 'tcp://127.0.0.1:1' } } }]));
    json(response, path === '/query' ? 200 : 404, workers);
  }

  private async servePrefill(response: ServerResponse, received: Received): Promise<void> {
    const fault = this.prefillFaults.shift();
    if (fault !== undefined) {
      return fault(response, received);
    }
    await this.gate;
    const { kv_transfer_params: params, max_tokens: limit, max_completion_tokens: otherLimit, stream, ignore_eos: ignoresEnd, stop } = received.body;
    const rank = Number(received.headers['x-data-parallel-rank']);
    const isAsked = params?.do_remote_decode === true && params.do_remote_prefill === false && typeof params.transfer_id === 'string';
    if (!isAsked || limit !== 1 || otherLimit !== undefined || stream !== false || !(rank < this.engineIds.length)) {
      json(response, 400, { error: { message: 'this is no request of the first leg', code: 400 } });
      return;
    }
    if (received.aborted || response.destroyed) {
      return;
    }
    const isStopped = this.endsAtOnce && (ignoresEnd !== true || stop !== undefined);
    if (!isStopped) {
      const transfer = this.transferOf(`${this.engineIds[rank]} ${params.transfer_id}`);
      transfer.isKept = true;
      transfer.keep(promptOf(received.body));
    }
    json(response, 200, {
      choices: [{ index: 0, message: { role: 'assistant', content: 'never to be seen' }, finish_reason: isStopped ? 'stop' : 'length' }],
      usage: { prompt_tokens: 3 },
      kv_transfer_params: null,
    });
  }

  private async serveDecode(response: ServerResponse, received: Received): Promise<void> {
    const fault = this.decodeFaults.shift();
    if (fault !== undefined) {
      return fault(response, received);
    }
    if (received.path === '/tokenize') {
      json(response, 200, { count: COUNTED.prompt_tokens, max_model_len: 4096, tokens: [] });
      return;
    }
    const { kv_transfer_params: params } = received.body;
    const named = [params?.transfer_id, params?.remote_engine_id, params?.remote_bootstrap_addr];
    if (params?.do_remote_prefill !== true || named.some((one) => typeof one !== 'string')) {
      this.localPrefills++;
      tell(response, received.body, ['read ', promptOf(received.body)]);
      return;
    }
    const known = await fetch(`${params.remote_bootstrap_addr}/query`).then(async (told) => told.json() as Promise<{ [rank: string]: { engine_id: string } }>).catch(() => ({}));
    if (!Object.values(known).some(({ engine_id: id }) => id === params.remote_engine_id)) {
      json(response, 500, { error: { message: `remote engine_id ${params.remote_engine_id} not found from bootstrap server`, code: 500 } });
      return;
    }
    const transfer = this.transferOf(`${params.remote_engine_id} ${params.transfer_id}`);
    if (transfer.isFetched) {
      return;
    }
    const prompt = await transfer.read;
    transfer.isFetched = true;
    tell(response, received.body, ['read ', prompt]);
  }

  private transferOf(id: string): Transfer {
    const transfer = this.transfers.get(id) ?? new Transfer();
    this.transfers.set(id, transfer);
    return transfer;
  }
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
