import { KvBlocks } from './kv-blocks';
import { kvTokenBytes } from '../phases/memory';
import { ModelShape, kvBytes } from '../phases/shapes';

/** What a sequence has of its engine's KV cache. */
export interface Holder {
  /** Kind of the prompt, where blocks are found by their contents. */
  readonly kind: number;
  /** Leading tokens of the prompt that are there, where they are not found but given. */
  readonly cachedTokens: number;
  /** How much it holds, for how many tokens, and which blocks, where they are told apart. */
  held: number;
  heldTokens: number;
  readonly blocks: number[];
}

/** The KV cache of an engine; sizes are of one unit, whichever. */
export interface EngineMemory {
  /** What is left; Infinity if it never fills. */
  readonly free: number;
  /** Whether it matters who takes of it first. */
  readonly isOrdered: boolean;
  /** What a sequence of so many tokens takes. */
  sizeOf(tokens: number): number;
  /** The most that so many sequences take for so many tokens in all, beyond what they hold. */
  most(sequences: number, tokens: number): number;
  /** What one that holds nothing takes of what is left, if it has so many tokens to read. */
  demand(holder: Holder, tokens: number): number;
  /** Gives it as much; returns the tokens of its prompt that are there. */
  admit(holder: Holder, tokens: number): number;
  /** Lets it hold so many tokens. */
  hold(holder: Holder, tokens: number): void;
  /** Tokens of it were written, from one place to another. */
  written(holder: Holder, from: number, to: number): void;
  release(holder: Holder): void;
  /** The engine went down. */
  clear(): void;
}

/** Memory whose blocks are counted: what prompts find in it is given beforehand. Windowed layers keep no more than their window. */
export class CountedMemory implements EngineMemory {
  public free: number;
  public readonly isOrdered = false;
  private readonly limit: number;
  private readonly tokenBytes: number;

  /**
   * @param kvTokens that it holds, each in all layers; Infinity if it never fills.
   * @param blockTokens of a block.
   */
  constructor(private readonly model: ModelShape, kvTokens: number, private readonly blockTokens: number) {
    this.tokenBytes = kvTokenBytes(model);
    this.limit = kvTokens === Infinity ? Infinity : kvTokens * this.tokenBytes;
    this.free = this.limit;
  }

  public sizeOf(tokens: number): number {
    return kvBytes(this.model, Math.ceil(tokens / this.blockTokens) * this.blockTokens);
  }

  public most(sequences: number, tokens: number): number {
    return tokens === 0 ? 0 : (tokens + sequences * this.blockTokens) * this.tokenBytes;
  }

  public demand(_holder: Holder, tokens: number): number {
    return this.sizeOf(tokens);
  }

  public admit(holder: Holder, tokens: number): number {
    this.hold(holder, tokens);
    return holder.cachedTokens;
  }

  public hold(holder: Holder, tokens: number): void {
    const size = this.sizeOf(tokens);
    this.free -= size - holder.held;
    holder.held = size;
    holder.heldTokens = tokens;
  }

  public written(): void {}

  public release(holder: Holder): void {
    this.free += holder.held;
    holder.held = 0;
  }

  public clear(): void {
    this.free = this.limit;
  }
}

/** Memory whose blocks are told apart, so that prompts find what others have left. */
export class BlockMemory implements EngineMemory {
  public readonly isOrdered = true;

  constructor(private readonly kv: KvBlocks) {}

  public get free(): number {
    return this.kv.free;
  }

  public sizeOf(tokens: number): number {
    return this.kv.blocksOf(tokens);
  }

  public most(sequences: number, tokens: number): number {
    return tokens === 0 ? 0 : sequences + this.kv.blocksOf(tokens);
  }

  public demand({ kind }: Holder, tokens: number): number {
    return this.kv.demand(kind, tokens, tokens);
  }

  public admit(holder: Holder, tokens: number): number {
    const found = this.kv.admit(holder.kind, tokens, holder.blocks);
    this.hold(holder, tokens);
    return found;
  }

  public hold(holder: Holder, tokens: number): void {
    this.kv.grow(tokens, holder.blocks);
    holder.held = holder.blocks.length;
    holder.heldTokens = tokens;
  }

  public written({ kind, blocks }: Holder, from: number, to: number): void {
    this.kv.written(kind, from, to, blocks);
  }

  public release(holder: Holder): void {
    this.kv.release(holder.blocks);
    holder.blocks.length = 0;
    holder.held = 0;
  }

  public clear(): void {
    this.kv.clear();
  }
}
