import { BlockMap } from './block-map';
import { Prefixes } from './prefixes';

/**
 * The KV cache of one engine in blocks, as vLLM's automatic prefix caching has it: full blocks of prompts keep their contents when nobody refers to
 * them any more, and are found by prompts that begin alike, until others take them. Of free blocks the one that is free for longest is taken first;
 * a sequence's blocks are freed from its last to its first, as a prefix is of use only whole.
 *
 * Source: https://docs.vllm.ai/en/stable/design/prefix_caching.html. A full block whose contents another block has too is not found a second time.
 */
export class KvBlocks {
  /** Blocks that nobody refers to. */
  public free: number;
  /** Blocks with contents that others have taken. */
  public evicted = 0;

  private readonly references: Int32Array;
  /** Key of the contents; -1 without. */
  private readonly keys: Float64Array;
  /** The queue of free blocks, a ring with the last place as its end. */
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
  private readonly byKey: BlockMap;

  constructor(private readonly capacity: number, private readonly prefixes: Prefixes) {
    this.references = new Int32Array(capacity);
    this.keys = new Float64Array(capacity);
    this.next = new Int32Array(capacity + 1);
    this.previous = new Int32Array(capacity + 1);
    this.byKey = new BlockMap(capacity);
    this.free = capacity;
    this.clear();
  }

  /** Blocks that so many tokens take. */
  public blocksOf(tokens: number): number {
    return Math.ceil(tokens / this.prefixes.blockTokens);
  }

  /**
   * Free blocks that a sequence takes: all but those that it shares with others that are there.
   *
   * @param kind of its prompt.
   * @param toRead tokens that it has to read, one of which at least is not found.
   * @param tokens that it is to have room for.
   */
  public demand(kind: number, toRead: number, tokens: number): number {
    const hits = this.hits(kind, toRead);
    let shared = 0;
    for (let i = 0; i < hits; i++) {
      shared += this.references[this.byKey.get(this.prefixes.key(kind, i))] > 0 ? 1 : 0;
    }
    return this.blocksOf(tokens) - shared;
  }

  /**
   * Gives a sequence the blocks that are there for it; returns their tokens.
   *
   * @param kind of its prompt.
   * @param toRead tokens that it has to read, one of which at least is not found.
   * @param into is given the blocks.
   */
  public admit(kind: number, toRead: number, into: number[]): number {
    const { prefixes, references } = this;
    const hits = this.hits(kind, toRead);
    for (let i = 0; i < hits; i++) {
      const block = this.byKey.get(prefixes.key(kind, i));
      if (references[block]++ === 0) {
        this.unlink(block);
      }
      into.push(block);
    }
    return hits * prefixes.blockTokens;
  }

  /** Gives a sequence blocks until it has room for so many tokens; there must be enough. */
  public grow(tokens: number, blocks: number[]): void {
    for (let missing = this.blocksOf(tokens) - blocks.length; missing > 0; missing--) {
      const block = this.next[this.capacity];
      this.unlink(block);
      if (this.keys[block] >= 0) {
        this.byKey.delete(this.keys[block]);
        this.keys[block] = -1;
        this.evicted++;
      }
      this.references[block] = 1;
      blocks.push(block);
    }
  }

  /** Tokens of a prompt are written, from one place to another: blocks that became full are found from now on. */
  public written(kind: number, from: number, to: number, blocks: readonly number[]): void {
    const { prefixes, keys, byKey } = this;
    const full = Math.min(prefixes.keyed(kind), Math.floor(to / prefixes.blockTokens));
    for (let i = Math.floor(from / prefixes.blockTokens); i < full; i++) {
      const key = prefixes.key(kind, i);
      if (byKey.get(key) < 0) {
        byKey.add(key, blocks[i]);
        keys[blocks[i]] = key;
      }
    }
  }

  /** A sequence needs its blocks no more. */
  public release(blocks: readonly number[]): void {
    const { references, next, previous, capacity } = this;
    for (let i = blocks.length - 1; i >= 0; i--) {
      const block = blocks[i];
      if (--references[block] === 0) {
        const last = previous[capacity];
        next[last] = block;
        previous[block] = last;
        next[block] = capacity;
        previous[capacity] = block;
        this.free++;
      }
    }
  }

  /** The engine went down. */
  public clear(): void {
    const { capacity } = this;
    this.references.fill(0);
    this.keys.fill(-1);
    this.byKey.clear();
    for (let block = 0; block <= capacity; block++) {
      this.next[block] = block === capacity ? 0 : block + 1;
      this.previous[block] = block === 0 ? capacity : block - 1;
    }
    this.free = capacity;
  }

  /** Leading blocks that are there; the last token is always read, as the next one follows from it. */
  private hits(kind: number, toRead: number): number {
    const { prefixes, byKey } = this;
    const most = Math.min(prefixes.keyed(kind), Math.floor((toRead - 1) / prefixes.blockTokens));
    let hits = 0;
    while (hits < most && byKey.get(prefixes.key(kind, hits)) >= 0) {
      hits++;
    }
    return hits;
  }

  private unlink(block: number): void {
    const { next, previous } = this;
    next[previous[block]] = next[block];
    previous[next[block]] = previous[block];
    this.free--;
  }
}
