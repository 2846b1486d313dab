import { MAX_BLOCKS, Prompt } from '../../routing';
import { PREFIX_BLOCK_TOKENS } from '../../workload/limits';

/** Blocks that the router looks at, of each id: its blocks of text are some 128 tokens. */
const ROUTER_BLOCKS_OF_ID = 4;
const ROUTER_BLOCK_TOKENS = PREFIX_BLOCK_TOKENS / ROUTER_BLOCKS_OF_ID;

/**
 * Which blocks of prompts are the same: those that stand for the same tokens after the same tokens have the same key.
 */
export class Prefixes {
  private readonly starts: Int32Array;
  private readonly ids: Int32Array;
  private readonly blocksOfId: number;

  /**
   * @param idsOfKinds ids of the leading pieces of each kind's prompt, `PREFIX_BLOCK_TOKENS` long; equal ones stand for equal tokens after equal ones.
   * @param inputTokens of each kind.
   * @param blockTokens of the engines' blocks.
   */
  constructor(idsOfKinds: readonly (readonly number[])[], public readonly inputTokens: Float64Array, public readonly blockTokens: number) {
    this.starts = new Int32Array(idsOfKinds.length + 1);
    idsOfKinds.forEach((ids, kind) => {
      this.starts[kind + 1] = this.starts[kind] + ids.length;
    });
    this.ids = new Int32Array(this.starts[idsOfKinds.length]);
    idsOfKinds.forEach((ids, kind) => this.ids.set(ids, this.starts[kind]));
    this.blocksOfId = Math.ceil(PREFIX_BLOCK_TOKENS / blockTokens);
  }

  /** Leading blocks of a kind's prompt that are full and have a key. */
  public keyed(kind: number): number {
    const known = (this.starts[kind + 1] - this.starts[kind]) * PREFIX_BLOCK_TOKENS;
    return Math.floor(Math.min(known, this.inputTokens[kind]) / this.blockTokens);
  }

  /** The key of one of these. */
  public key(kind: number, block: number): number {
    const last = (block + 1) * this.blockTokens - 1;
    const piece = Math.floor(last / PREFIX_BLOCK_TOKENS);
    return this.ids[this.starts[kind] + piece] * this.blocksOfId + Math.floor((last - piece * PREFIX_BLOCK_TOKENS) / this.blockTokens);
  }

  /** A kind's prompt as the router sees it. */
  public prompt(kind: number): Prompt {
    const tokens = this.inputTokens[kind];
    const known = (this.starts[kind + 1] - this.starts[kind]) * PREFIX_BLOCK_TOKENS;
    const blocks = new Int32Array(Math.min(MAX_BLOCKS, Math.floor(Math.min(known, tokens) / ROUTER_BLOCK_TOKENS)));
    for (let i = 0; i < blocks.length; i++) {
      const piece = Math.floor(i / ROUTER_BLOCKS_OF_ID);
      blocks[i] = this.ids[this.starts[kind] + piece] * ROUTER_BLOCKS_OF_ID + i - piece * ROUTER_BLOCKS_OF_ID;
    }
    return { tokens, sharePerBlock: ROUTER_BLOCK_TOKENS / tokens, blocks };
  }
}
