import { ServiceTier } from '../../../routing';
import { QueueConfig } from '../config';

/** What waits, as far as its turn depends on it. */
export interface Waiting {
  readonly tier: ServiceTier;
  /** Who is waiting: shares are equal among callers. */
  readonly caller: string;
  readonly promptTokens: number;
  /** Memory that it holds. */
  readonly bytes: number;
  /** What it waits for: while one cannot have it, nobody who needs the same can. */
  readonly needs: unknown;
}

/** How much may wait at once. */
export type QueueBounds = Pick<QueueConfig, 'maxRequests' | 'maxPromptTokens' | 'maxBytes'>;

const TIERS: readonly ServiceTier[] = ['priority', 'default', 'flex'];

/** How much waits somewhere. */
class Load {
  public requests = 0;
  public promptTokens = 0;
  public bytes = 0;

  public add({ promptTokens, bytes }: Waiting, sign: 1 | -1): void {
    this.requests += sign;
    this.promptTokens += sign * promptTokens;
    this.bytes += sign * bytes;
  }

  /** The part of the bounds that it takes, by the bound that it takes most of. */
  public share({ maxRequests, maxPromptTokens, maxBytes }: QueueBounds): number {
    return Math.max(this.requests / maxRequests, this.promptTokens / maxPromptTokens, this.bytes / maxBytes);
  }
}

/** What of one caller waits in one tier, in the order in which it came. */
interface Line<T> {
  readonly items: T[];
  /** How many of them need the same. */
  readonly needs: Map<unknown, number>;
  readonly load: Load;
  /** Tokens that the caller has had, as the tier counts them: the line with the fewest is next. */
  had: number;
}

/** The lines of one service tier. Start-time fair queueing: who comes anew, or back, starts where those that wait are, so that silence earns nothing. */
class Tier<T extends Waiting> {
  public readonly lines = new Map<string, Line<T>>();
  private requests = 0;
  private reached = 0;

  public push(item: T): void {
    const line = this.lines.get(item.caller) ?? { items: [], needs: new Map<unknown, number>(), load: new Load(), had: this.reached };
    if (line.items.length === 0) {
      line.had = Math.max(line.had, this.reached);
    }
    line.items.push(item);
    line.needs.set(item.needs, (line.needs.get(item.needs) ?? 0) + 1);
    line.load.add(item, 1);
    this.lines.set(item.caller, line);
    this.requests++;
  }

  /** Takes one out, wherever in its line it is. Returns whether it was there. */
  public remove(item: T): boolean {
    const line = this.lines.get(item.caller);
    const at = line?.items.indexOf(item) ?? -1;
    if (line === undefined || at === -1) {
      return false;
    }
    line.items.splice(at, 1);
    const alike = line.needs.get(item.needs)! - 1;
    if (alike === 0) {
      line.needs.delete(item.needs);
    } else {
      line.needs.set(item.needs, alike);
    }
    line.load.add(item, -1);
    this.requests--;
    if (this.requests === 0) {
      // nobody is owed anything once nobody waits.
      this.lines.clear();
      this.reached = 0;
    }
    return true;
  }

  /** Whether one waits that needs this. */
  public waitsFor(needs: unknown): boolean {
    return [...this.lines.values()].some((line) => line.needs.has(needs));
  }

  /** The first that needs nothing that is refused, of the line that is next among those that have one. */
  public first(refused: ReadonlySet<unknown>): T | undefined {
    let next: Line<T> | undefined;
    for (const [caller, line] of this.lines) {
      if (line.items.length === 0) {
        if (line.had <= this.reached) {
          this.lines.delete(caller);
        }
      } else if ((next === undefined || line.had < next.had) && [...line.needs.keys()].some((needs) => !refused.has(needs))) {
        next = line;
      }
    }
    return next?.items.find(({ needs }) => !refused.has(needs));
  }

  /** One gets what it waited for. */
  public serve(item: T): void {
    const line = this.lines.get(item.caller)!;
    this.reached = Math.max(this.reached, line.had);
    line.had += Math.max(1, item.promptTokens);
    this.remove(item);
  }

  /** A caller who waits for more, or did lately, was answered so many tokens. */
  public charge(caller: string, tokens: number): void {
    const line = this.lines.get(caller);
    if (line !== undefined) {
      line.had += tokens;
    }
  }
}

/**
 * Who is next, of requests that wait: the more urgent tier first; within a tier callers have equal shares, in tokens of prompts and of answers, which count once
 * they are there; of one caller, of those that need the same, first come first.
 * It never holds more than its bounds, save for a single one that is longer than they are: when it is full, one that comes displaces the last of a less urgent
 * tier, or of a caller who has more of the room.
 */
export class FairQueue<T extends Waiting> {
  private readonly bounds: QueueBounds;
  private readonly tiers: { readonly [tier in ServiceTier]: Tier<T> } = { priority: new Tier(), default: new Tier(), flex: new Tier() };
  private readonly load = new Load();

  constructor(bounds: QueueBounds) {
    this.bounds = bounds;
  }

  /** Requests that wait. */
  public get requests(): number {
    return this.load.requests;
  }

  /** Tokens of their prompts. */
  public get promptTokens(): number {
    return this.load.promptTokens;
  }

  /** Whether one waits that needs this. */
  public waitsFor(needs: unknown): boolean {
    return TIERS.some((tier) => this.tiers[tier].waitsFor(needs));
  }

  /** Lets one wait. Returns those that it displaces; undefined if there is no room for it. */
  public push(item: T): T[] | undefined {
    const displaced = this.roomFor(item);
    displaced?.forEach((one) => this.remove(one));
    if (displaced !== undefined) {
      this.tiers[item.tier].push(item);
      this.load.add(item, 1);
    }
    return displaced;
  }

  /** Takes one out that waits no longer. */
  public remove(item: T): void {
    if (this.tiers[item.tier].remove(item)) {
      this.load.add(item, -1);
    }
  }

  /**
   * Takes the next one out that can have what it needs; undefined if none can. One that cannot is passed over, and keeps its turn.
   *
   * @param offer gives one what it needs, if that is there; asked once for each need that is not.
   */
  public take(offer: (item: T) => boolean): T | undefined {
    const refused = new Set<unknown>();
    for (const tier of TIERS) {
      for (let item = this.tiers[tier].first(refused); item !== undefined; item = this.tiers[tier].first(refused)) {
        if (offer(item)) {
          this.tiers[tier].serve(item);
          this.load.add(item, -1);
          return item;
        }
        refused.add(item.needs);
      }
    }
    return undefined;
  }

  /** One that was taken out was answered so many tokens. */
  public charge(tier: ServiceTier, caller: string, tokens: number): void {
    this.tiers[tier].charge(caller, tokens);
  }

  /** Those that are to go so that one has room: none where there is; undefined if too few have less of a claim. */
  private roomFor(item: T): T[] | undefined {
    const after = new Load();
    Object.assign(after, this.load);
    after.add(item, 1);
    const displaced: T[] = [];
    // one that is longer than the bounds could never wait otherwise.
    if (after.share(this.bounds) <= 1 || (this.requests === 0 && this.bounds.maxRequests > 0)) {
      return displaced;
    }
    const own = new Load();
    Object.assign(own, this.tiers[item.tier].lines.get(item.caller)?.load);
    own.add(item, 1);
    const claim = own.share(this.bounds);
    for (const tier of TIERS.slice(TIERS.indexOf(item.tier)).reverse()) {
      const least = tier === item.tier ? claim : 0;
      const lines = [...this.tiers[tier].lines.values()].filter(({ load }) => load.share(this.bounds) > least);
      lines.sort((a, b) => b.load.share(this.bounds) - a.load.share(this.bounds));
      for (const line of lines) {
        const left = new Load();
        Object.assign(left, line.load);
        for (let i = line.items.length - 1; i >= 0; i--) {
          left.add(line.items[i], -1);
          if (left.share(this.bounds) < least) {
            break;
          }
          displaced.push(line.items[i]);
          after.add(line.items[i], -1);
          if (after.share(this.bounds) <= 1) {
            return displaced;
          }
        }
      }
    }
    return undefined;
  }
}
