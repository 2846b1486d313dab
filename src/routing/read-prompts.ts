/** Blocks of a prompt that are looked at: of a longer one the rest is taken for new. */
export const MAX_BLOCKS = 1024;
/** Blocks of a generation: about a million tokens, and half a megabyte of memory for two. */
const GENERATION_BLOCKS = 8 * MAX_BLOCKS;
/** Weight of the newest answer. */
const WEIGHT = 0.1;

/** A prompt, as far as engines are chosen by it. */
export interface Prompt {
  /** Its tokens, about. */
  readonly tokens: number;
  /** Its share, 0 to 1, that one block is. */
  readonly sharePerBlock: number;
  /** A hash for each block from the beginning, of it and all before it. */
  readonly blocks: Int32Array;
}

/**
 * The prompts that an engine was given, of which it may have the beginnings in its cache: the latest of them, in bounded memory.
 *
 * They are kept in two generations. Once the young one is full it takes the place of the old one, which is forgotten; what is given again is young again.
 */
export class ReadPrompts {
  private young = new Set<number>();
  private old = new Set<number>();
  private confirmed = 0;
  private hasTold = false;

  /** Blocks that are remembered. */
  public get size(): number {
    return this.young.size + this.old.size;
  }

  /** Share of what was expected to be in its cache, 0 to 1, that the engine says was there: 0 until it says so. */
  public get confidence(): number {
    return this.confirmed;
  }

  /** The engine is given a prompt. */
  public add({ blocks }: Prompt): void {
    if (this.young.size + blocks.length > GENERATION_BLOCKS) {
      this.old = this.young;
      this.young = new Set();
    }
    blocks.forEach((block) => this.young.add(block));
  }

  /** How many blocks, from the beginning of a prompt, the engine was given before. */
  public blocksOf({ blocks }: Prompt): number {
    // whoever has a block has all before it: a generation takes prompts whole.
    let [known, unknown] = [0, blocks.length + 1];
    while (known + 1 < unknown) {
      const middle = Math.floor((known + unknown) / 2);
      if (this.young.has(blocks[middle - 1]) || this.old.has(blocks[middle - 1])) {
        known = middle;
      } else {
        unknown = middle;
      }
    }
    return known;
  }

  /** Tokens of a prompt that are not to be read again, as far as the engine's word can be taken for it. */
  public cachedTokens(prompt: Prompt): number {
    // whole ones: of fractions, sums of what engines have to read would keep some when it is read, and idle engines would not be equals.
    return this.confirmed === 0 ? 0 : Math.round(this.confirmed * expectedTokens(prompt, this.blocksOf(prompt)));
  }

  /**
   * The engine says how much of a prompt was in its cache.
   *
   * @param prompt the prompt.
   * @param blocks of it, as they were known before it was given.
   * @param cachedTokens what the engine says.
   */
  public learn(prompt: Prompt, blocks: number, cachedTokens: number): void {
    if (blocks > 0) {
      const told = Math.min(1, cachedTokens / expectedTokens(prompt, blocks));
      this.confirmed += (this.hasTold ? WEIGHT : 1) * (told - this.confirmed);
      this.hasTold = true;
    }
  }
}

function expectedTokens({ tokens, sharePerBlock }: Prompt, blocks: number): number {
  return tokens * Math.min(1, sharePerBlock * blocks);
}
