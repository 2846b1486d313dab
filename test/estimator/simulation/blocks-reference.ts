/** A prompt by its contents: ids of pieces of 512 tokens. */
export interface Prompt { readonly inputTokens: number; readonly ids: readonly number[] }
interface Block { contents?: string; users: number }

/** A KV cache block by block: plain lists, every block with its contents from the first token on. Slow, and easy to check by reading. */
export class ReferenceBlocks {
  public evicted = 0;
  private readonly free: Block[];
  private readonly held = new Map<object, Block[]>();
  private readonly known = new Map<string, Block>();
  private readonly contentsOf = new Map<Prompt, (string | undefined)[]>();

  constructor(count: number, public readonly blockTokens: number) {
    this.free = Array.from({ length: count }, () => ({ users: 0 }));
  }

  public get freeCount(): number {
    return this.free.length;
  }

  public blocksOf(prompt: object): number {
    return this.held.get(prompt)?.length ?? 0;
  }

  public fits(prompt: Prompt, toRead: number, tokens: number): boolean {
    const shared = this.found(prompt, toRead).filter(({ users }) => users > 0).length;
    return Math.ceil(tokens / this.blockTokens) - shared <= this.free.length;
  }

  /** Gives a prompt what is there of it; returns the tokens of that. */
  public admit(prompt: Prompt, toRead: number): number {
    const found = this.found(prompt, toRead);
    found.forEach((block) => {
      block.users += 1;
      if (block.users === 1) {
        this.free.splice(this.free.indexOf(block), 1);
      }
    });
    this.held.set(prompt, [...found]);
    return found.length * this.blockTokens;
  }

  public grow(prompt: Prompt, tokens: number): void {
    const held = this.held.get(prompt)!;
    const missing = Math.max(0, Math.ceil(tokens / this.blockTokens) - held.length);
    if (missing > this.free.length) {
      throw new Error(`${missing} blocks are asked for, ${this.free.length} are free`);
    }
    for (const block of this.free.splice(0, missing)) {
      if (block.contents !== undefined) {
        this.evicted += 1;
        this.known.delete(block.contents);
      }
      block.contents = undefined;
      block.users = 1;
      held.push(block);
    }
  }

  public write(prompt: Prompt, from: number, to: number): void {
    const held = this.held.get(prompt)!;
    const contents = this.contents(prompt);
    for (let i = Math.floor(from / this.blockTokens); (i + 1) * this.blockTokens <= to; i++) {
      const own = contents[i];
      if (own !== undefined && !this.known.has(own)) {
        held[i].contents = own;
        this.known.set(own, held[i]);
      }
    }
  }

  public release(prompt: Prompt): void {
    [...this.held.get(prompt)!].reverse().forEach((block) => {
      block.users -= 1;
      if (block.users === 0) {
        this.free.push(block);
      }
    });
    this.held.delete(prompt);
  }

  private found(prompt: Prompt, toRead: number): Block[] {
    const found: Block[] = [];
    const contents = this.contents(prompt);
    for (let i = 0; (i + 1) * this.blockTokens <= toRead - 1; i++) {
      const block = this.known.get(contents[i] ?? 'none');
      if (block === undefined) {
        break;
      }
      found.push(block);
    }
    return found;
  }

  /** Of each full block of a prompt: all that it was written after, and how far; undefined where nobody knows. */
  private contents(prompt: Prompt): (string | undefined)[] {
    const known = this.contentsOf.get(prompt);
    if (known !== undefined) {
      return known;
    }
    const { ids, inputTokens } = prompt;
    const beginnings = ids.map((_, piece) => ids.slice(0, piece + 1).join());
    const contents = Array.from({ length: Math.floor(inputTokens / this.blockTokens) }, (_, i) => {
      const end = (i + 1) * this.blockTokens;
      const beginning: string | undefined = beginnings[Math.ceil(end / 512) - 1];
      return beginning && `${beginning} to ${end}`;
    });
    this.contentsOf.set(prompt, contents);
    return contents;
  }
}

/** Ids of a prompt: of so many full pieces that prompts of a family share, and of others that are its own. */
export function idsOf(inputTokens: number, family: number, shared: number, own: number): number[] {
  return Array.from({ length: Math.ceil(inputTokens / 512) }, (_, piece) => (
    piece < shared && (piece + 1) * 512 <= inputTokens ? family * 100 + piece : 10_000 + own * 100 + piece));
}
