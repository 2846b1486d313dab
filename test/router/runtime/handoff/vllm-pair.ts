import { ServerResponse } from 'node:http';
import { COUNTED, promptOf, tell } from '../engine-answer';
import { MockEngine, Received, ROLE, sse } from '../harness';

/** A KV cache that the prefill engine holds for somebody. */
interface Held {
  readonly prompt: string;
  readonly blocks: number[][];
  /** Whether its blocks were freed, by a fetch or by the end of the lease, and hold something else since. */
  freed: boolean;
}

const ERROR = { error: { message: 'KV load failed', type: 'InternalServerError', param: null, code: 500 } };
const GARBAGE = 'garbage';

/**
 * A prefill and a decode engine that treat each other as vLLM 0.32 with its NIXL connector does, what goes silently wrong included: a KV cache is there
 * once and for a while, a decode engine answers from whatever it finds, and dies of parameters that it does not expect.
 */
export class VllmPair {
  public static async start(): Promise<VllmPair> {
    const pair = new VllmPair();
    pair.prefill = await MockEngine.start(async (response, received) => pair.servePrefill(response, received));
    pair.decode = await MockEngine.start(async (response, received) => pair.serveDecode(response, received));
    return pair;
  }

  public prefill!: MockEngine;
  public decode!: MockEngine;
  /** KV caches that were made, by remote_request_id. */
  public readonly held = new Map<string, Held>();
  /** Tokens that the prefill engine generated. */
  public prefillTokens = 0;
  /** Prompts that the decode engine read itself. */
  public localPrefills = 0;
  /** KV caches that the decode engine fetched. */
  public fetches = 0;
  /** Whether the decode engine's process is gone. */
  public crashed = false;
  /** Waited for by the prefill engine before it answers. */
  public gate: Promise<void> = Promise.resolve();
  /** Whether the prefill engine can be reached by the decode engine. */
  public reachable = true;
  /** Waited for by the decode engine before it fetches a KV cache. */
  public queue: Promise<void> = Promise.resolve();
  /** The tokens of an answer after the first. */
  public more: string[] = [' and', ' more'];
  /** What the prefill engine makes of the parameters that it would tell. */
  public disguise: (params: object) => unknown = (params) => params;

  /** KV caches that fill the prefill engine. */
  public get pinned(): number {
    return [...this.held.values()].filter((held) => !held.freed).length;
  }

  /** The right answer to a request. */
  public answerTo(body: any): string {
    return ['read ' + promptOf(body), ...this.more].join('');
  }

  /** The lease of every KV cache ends. */
  public expire(): void {
    this.held.forEach((held) => (held.freed = true));
  }

  public async stop(): Promise<void> {
    await Promise.all([this.prefill.stop(), this.decode.stop()]);
  }

  private async servePrefill(response: ServerResponse, { body, headers }: Received): Promise<void> {
    await this.gate;
    if (response.destroyed) {
      return;
    }
    const limit = body.max_completion_tokens ?? body.max_tokens ?? 1000;
    if (body.n > 1 || (body.stream_options && !body.stream) || (body.min_tokens ?? 0) > limit) {
      json(response, 400, { error: { message: `Input should be valid, got ${JSON.stringify(body)}`, type: 'BadRequestError', code: 400 } });
      return;
    }
    this.prefillTokens += limit;
    const id = `chatcmpl-${headers['x-request-id']}`;
    const blocks = [[this.held.size * 2 + 1, this.held.size * 2 + 2]];
    if (body.kv_transfer_params?.do_remote_decode === true) {
      this.held.set(id, { prompt: promptOf(body), blocks, freed: false });
    }
    json(response, 200, {
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content: 'never to be seen' }, finish_reason: 'length' }],
      usage: { ...COUNTED, completion_tokens: 1, total_tokens: COUNTED.prompt_tokens + 1 },
      kv_transfer_params: this.disguise({
        do_remote_prefill: true,
        do_remote_decode: false,
        remote_block_ids: blocks,
        remote_engine_id: 'engine-p',
        remote_request_id: id,
        remote_host: '10.0.0.9',
        remote_port: 5559,
        tp_size: 1,
        remote_blocks_expiry_time: null,
        transfer_mode: 'pull',
      }),
    });
  }

  private async serveDecode(response: ServerResponse, { path, body, headers }: Received): Promise<void> {
    if (this.crashed) {
      response.destroy();
      return;
    }
    if (path === '/tokenize') {
      json(response, 200, { count: COUNTED.prompt_tokens, max_model_len: 4096, tokens: [] });
      return;
    }
    const params = body.kv_transfer_params;
    if (typeof params === 'string') {
      json(response, 400, { error: { message: `kv_transfer_params: ${params}`, code: 400 } });
      return;
    }
    if (params === undefined || params === null || Object.keys(params).length === 0) {
      this.localPrefills++;
      this.answer(response, body, promptOf(body), null);
      return;
    }
    await this.queue;
    if (response.destroyed) {
      return;
    }
    const held = this.held.get(params.remote_request_id);
    if (!Array.isArray(params.remote_block_ids) || params.remote_block_ids.flat().length === 0) {
      this.crashed = true;
      this.decode.healthStatus = 503;
    }
    if (this.crashed || !this.reachable || params.remote_engine_id !== 'engine-p') {
      this.fail(response, body);
      return;
    }
    if (params.remote_request_id === undefined || headers['x-request-id'] === undefined) {
      return;
    }
    this.fetches++;
    // blocks that were freed hold another prompt: nothing tells the engine.
    const prompt = held === undefined || held.freed ? GARBAGE : held.prompt;
    if (held !== undefined) {
      held.freed = true;
    }
    this.answer(response, body, prompt, { ...params, do_remote_prefill: false, do_remote_decode: true });
  }

  /** Both ways of vLLM to tell of a failed transfer. */
  private fail(response: ServerResponse, body: any): void {
    if (body.stream) {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' }).end(sse(ROLE) + sse(ERROR) + sse('[DONE]'));
    } else {
      json(response, 500, ERROR);
    }
  }

  private answer(response: ServerResponse, body: any, prompt: string, params: object | null): void {
    tell(response, body, ['read ' + prompt, ...this.more], { more: { kv_transfer_params: params } });
  }
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
