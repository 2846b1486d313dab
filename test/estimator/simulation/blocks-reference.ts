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
    while (held.length * this.blockTokens < tokens) {
      const block = this.free.shift()!;
      if (block.contents !== undefined) {
        this.evicted += 1;
        this.known.delete(block.contents);
      }
      Object.assign(block, { contents: undefined, users: 1 });
      held.push(block);
    }
  }

  public write(prompt: Prompt, from: number, to: number): void {
    this.held.get(prompt)!.forEach((block, i) => {
      const contents = this.contents(prompt)[i];
      const isFull = (i + 1) * this.blockTokens <= to && (i + 1) * this.blockTokens > from;
      if (isFull && contents !== undefined && !this.known.has(contents)) {
        block.contents = contents;
        this.known.set(contents, block);
      }
    });
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
    for (let i = 0; (i + 1) * this.blockTokens <= toRead - 1; i++) {
      const block = this.known.get(this.contents(prompt)[i] ?? 'none');
      if (block === undefined) {
        break;
      }
      found.push(block);
    }
    return found;
  }

  /** Of each full block of a prompt: all that it was written after, and how far; undefined where nobody knows. */
  private contents(prompt: Prompt): (string | undefined)[] {
    const { ids, inputTokens } = prompt;
    const contents = this.contentsOf.get(prompt) ?? Array.from({ length: Math.floor(inputTokens / this.blockTokens) }, (_, i) => {
      const end = (i + 1) * this.blockTokens;
      const pieces = Math.ceil(end / 512);
      return pieces > ids.length ? undefined : `${ids.slice(0, pieces).join()} to ${end}`;
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
