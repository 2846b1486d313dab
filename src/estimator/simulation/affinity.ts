import { Prefixes } from './prefixes';
import { Tournament } from './tournament';
import { EngineChoice, EngineState, ReadPrompts, chooseEngine } from '../../routing';

/** An engine as the router sees it; of its KV cache it tells nothing. */
class RoutedEngine implements EngineState {
  public readonly isNearlyFull = false;
  public readonly prompts = new ReadPrompts();

  constructor(public readonly number: number, private readonly loads: Tournament) {}

  // what is counted is what the choice goes by
  public get sequences(): number {
    return this.loads.valueOf(this.number);
  }

  public get everybodysPromptTokens(): number {
    return this.loads.valueOf(this.number);
  }

  public get turn(): number {
    return this.loads.turnOf(this.number);
  }
}

/**
 * The router's own choice among the engines of a pool: by what they have to do, and by the prompts that it has given them. Requests are places in the columns
 * of those in the fleet.
 */
export class Affinity {
  private readonly engines: readonly RoutedEngine[];
  // of each request, the blocks that its engine was given before, and the tokens that the router takes for unread
  private readonly known: number[] = [];
  private readonly unread: number[] = [];

  /**
   * @param count of engines.
   * @param loads what each has to do; Infinity while it is down.
   */
  constructor(
    count: number, private readonly loads: Tournament, private readonly prefixes: Prefixes, private readonly choice: EngineChoice,
  ) {
    this.engines = Array.from({ length: count }, (_, engine) => new RoutedEngine(engine, loads));
  }

  /** The engine that a prompt of a kind would be given to; one must be up. */
  public next(kind: number): number {
    const up = this.engines.filter(({ number }) => this.loads.valueOf(number) < Infinity);
    return chooseEngine(up, this.prefixes.prompt(kind), this.choice)!.number;
  }

  /** Tokens of a prompt that an engine need not read, as far as the router knows. */
  public cachedTokens(engine: number, kind: number): number {
    return this.engines[engine].prompts.cachedTokens(this.prefixes.prompt(kind));
  }

  /** An engine is given a prompt. */
  public give(engine: number, place: number, kind: number): void {
    const { prompts } = this.engines[engine];
    const prompt = this.prefixes.prompt(kind);
    this.known[place] = prompts.blocksOf(prompt);
    this.unread[place] = prompt.tokens - prompts.cachedTokens(prompt);
    prompts.add(prompt);
  }

  /** Tokens that the router took for unread when it gave a prompt. */
  public unreadTokens(place: number): number {
    return this.unread[place];
  }

  /** An engine has read a prompt, and says how much of it was in its cache. */
  public learn(engine: number, place: number, kind: number, cachedTokens: number): void {
    this.engines[engine].prompts.learn(this.prefixes.prompt(kind), this.known[place], cachedTokens);
  }
}
