import { membersOf } from '../wire/json-object';
import { KV_PARAMS } from '../wire/kv-members';

/** Far above the block ids of the longest prompt. */
const MAX_PARAMS_BYTES = 1024 * 1024;

/** What a prefill engine is asked for: a KV cache that another engine will fetch. */
export const ASK_FOR_KV_CACHE = JSON.stringify({
  do_remote_decode: true,
  do_remote_prefill: false,
  remote_engine_id: null,
  remote_block_ids: null,
  remote_host: null,
  remote_port: null,
});

/**
 * Where a prefill engine keeps the KV cache of one prompt, to be fetched once and within its lease: engines that are asked again, or too late, answer from
 * whatever has taken its place, and do not know that they are wrong.
 */
export class KvParams {
  /**
   * Reads the answer of a prefill engine; undefined if it does not tell where the KV cache is. Decode engines crash or hang on what is refused here.
   *
   * @param answer the body of the answer.
   * @param millis when the answer began, by a clock that never goes back.
   * @param blockTokens tokens in a block of the KV cache; what is told of its length is not checked if undefined.
   */
  public static read(answer: Buffer, millis: number, blockTokens?: number): KvParams | undefined {
    let params: unknown;
    let text: string;
    try {
      ({ [KV_PARAMS]: params } = JSON.parse(answer.toString('utf8')));
      const { valueStart, end } = membersOf(answer).filter(({ name }) => name === KV_PARAMS).at(-1)!;
      text = answer.toString('utf8', valueStart, end).trim();
    } catch {
      return undefined;
    }
    return text.length <= MAX_PARAMS_BYTES && isUsable(params, blockTokens) ? new KvParams(text, millis) : undefined;
  }

  /** When the lease began, in milliseconds, by the clock that `read` was given. */
  public readonly bornMillis: number;
  private text?: string;

  private constructor(text: string, bornMillis: number) {
    this.text = text;
    this.bornMillis = bornMillis;
  }

  /** The parameters as the engine wrote them; undefined if they are older than the lease or were taken before. */
  public take(millis: number, leaseSeconds: number): string | undefined {
    const { text } = this;
    this.text = undefined;
    return millis - this.bornMillis < leaseSeconds * 1000 ? text : undefined;
  }
}

function isUsable(value: unknown, blockTokens: number | undefined): boolean {
  if (typeof value !== 'object' || value === null) {
    return false;
  }
  const params = value as { readonly [name: string]: unknown };
  const isName = (name: unknown) => typeof name === 'string' && name !== '';
  const port = params.remote_port;
  return params.do_remote_prefill === true
    && hasBlocks(params.remote_block_ids)
    && (blockTokens === undefined || hasRoom(params, blockTokens))
    && isName(params.remote_engine_id) && isName(params.remote_request_id) && isName(params.remote_host)
    && typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65535;
}

/** One list of block ids, or one for each group of layers. */
function hasBlocks(value: unknown): boolean {
  const isList = (list: unknown) => Array.isArray(list) && list.every((id) => Number.isInteger(id) && id >= 0);
  if (!Array.isArray(value) || value.length === 0) {
    return false;
  }
  return isList(value) || (value.every(isList) && value.some((list) => list.length > 0));
}

/** Whether the longest list has a block for every token, where their number is told. With decode context parallelism each rank has a part of a block. */
function hasRoom(params: { readonly [name: string]: unknown }, blockTokens: number): boolean {
  const { remote_num_tokens: tokens, dcp_size: ranks } = params;
  const lists = params.remote_block_ids as number[] | number[][];
  const longest = Math.max(...lists.map((list) => Array.isArray(list) ? list.length : lists.length));
  return typeof tokens !== 'number' || tokens <= longest * blockTokens * (typeof ranks === 'number' ? ranks : 1);
}
