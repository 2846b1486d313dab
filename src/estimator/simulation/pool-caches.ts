import { KvBlocks } from './kv-blocks';
import { Prefixes } from './prefixes';

/**
 * The KV caches of a pool's engines, where prompts find what others have left. Requests are places in the columns of those in the fleet.
 */
export class PoolCaches {
  private readonly engines: KvBlocks[];
  private readonly held: number[][] = [];

  /**
   * @param count of engines.
   * @param blocks of each.
   */
  constructor(count: number, blocks: number, private readonly prefixes: Prefixes) {
    this.engines = Array.from({ length: count }, () => new KvBlocks(blocks, prefixes));
  }

  /** Blocks whose contents others have taken. */
  public get evicted(): number {
    return this.engines.reduce((sum, { evicted }) => sum + evicted, 0);
  }

  /** Whether an engine has room for a request with so many tokens in all, its prompt included. */
  public hasRoom(engine: number, kind: number, tokens: number): boolean {
    const kv = this.engines[engine];
    return kv.demand(kind, this.prefixes.inputTokens[kind], tokens) <= kv.free;
  }

  /** Gives a request its blocks, and lets others find its prompt, which is read next; returns the tokens of it that are there. */
  public admit(engine: number, place: number, kind: number, tokens: number): number {
    const kv = this.engines[engine];
    const input = this.prefixes.inputTokens[kind];
    const blocks: number[] = [];
    const found = kv.admit(kind, input, blocks);
    kv.grow(tokens, blocks);
    kv.written(kind, found, input, blocks);
    this.held[place] = blocks;
    return found;
  }

  public release(engine: number, place: number): void {
    this.engines[engine].release(this.held[place]);
    this.held[place] = [];
  }

  /** An engine went down. */
  public clear(engine: number): void {
    this.engines[engine].clear();
  }
}
