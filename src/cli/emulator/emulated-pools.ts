/** A prompt that is to be read. */
export interface Prompt {
  /** How long an engine takes to read it. */
  readonly seconds: number;
  /** Called when it is read. */
  readonly done: () => void;
}

/**
 * Engines that read one prompt at a time each; prompts wait in the order that they came.
 */
export class EmulatedPrefillPool {
  private readonly engines: number;
  private readonly waiting: Prompt[] = [];
  private readonly reading = new Map<Prompt, NodeJS.Timeout>();

  /**
   * @param engines how many there are.
   */
  constructor(engines: number) {
    this.engines = engines;
  }

  /** Reads a prompt once an engine is free. */
  public read(prompt: Prompt): void {
    this.waiting.push(prompt);
    this.dispatch();
  }

  /** Forgets a prompt whose caller has left. */
  public cancel(prompt: Prompt): void {
    const at = this.waiting.indexOf(prompt);
    if (at !== -1) {
      this.waiting.splice(at, 1);
    }
    clearTimeout(this.reading.get(prompt));
    this.reading.delete(prompt);
    this.dispatch();
  }

  private dispatch(): void {
    while (this.waiting.length > 0 && this.reading.size < this.engines) {
      const prompt = this.waiting.shift()!;
      this.reading.set(prompt, setTimeout(() => {
        this.reading.delete(prompt);
        this.dispatch();
        prompt.done();
      }, prompt.seconds * 1000));
    }
  }
}

/** A sequence that tokens are written for. */
export interface Sequence {
  /** How long the engine takes to read the prompt itself; 0 where the KV cache is there. */
  promptSeconds: number;
  /** Tokens of the context, which grows with each token that is written. */
  contextTokens: number;
  /** Tokens that are still to be written. */
  tokensLeft: number;
  /** Called for each token. */
  readonly onToken: () => void;
}

/** Seconds of a decode step of these sequences. */
export type StepSeconds = (sequences: readonly Sequence[]) => number;

/**
 * Engines that write tokens for several sequences at once, step by step; sequences wait for a slot in the order that they came.
 *
 * As in the simulation, an engine that reads a prompt itself does nothing else meanwhile, and reading it writes the first token.
 */
export class EmulatedDecodePool {
  private readonly engines: EmulatedEngine[];
  private readonly slots: number;
  private readonly waiting: Sequence[] = [];

  /**
   * @param engines how many there are.
   * @param slots sequences that one engine has at once.
   * @param stepSeconds how long a step takes.
   */
  constructor(engines: number, slots: number, stepSeconds: StepSeconds) {
    this.slots = slots;
    this.engines = Array.from({ length: engines }, () => new EmulatedEngine(stepSeconds, () => this.dispatch()));
  }

  /** Writes the tokens of a sequence once an engine has a slot. */
  public write(sequence: Sequence): void {
    this.waiting.push(sequence);
    this.dispatch();
  }

  /** Forgets a sequence whose caller has left. */
  public cancel(sequence: Sequence): void {
    const at = this.waiting.indexOf(sequence);
    if (at !== -1) {
      this.waiting.splice(at, 1);
    }
    // the engine drops it at the end of its step.
    sequence.tokensLeft = 0;
  }

  private dispatch(): void {
    while (this.waiting.length > 0) {
      const engine = this.engines.reduce((least, one) => (one.sequences.length < least.sequences.length ? one : least));
      if (engine.sequences.length >= this.slots) {
        return;
      }
      engine.add(this.waiting.shift()!);
    }
  }
}

class EmulatedEngine {
  public sequences: Sequence[] = [];
  private readonly stepSeconds: StepSeconds;
  private readonly onFree: () => void;
  /** When the present step ends, in milliseconds. */
  private stepEndMillis = 0;
  private stepping = false;

  constructor(stepSeconds: StepSeconds, onFree: () => void) {
    this.stepSeconds = stepSeconds;
    this.onFree = onFree;
  }

  public add(sequence: Sequence): void {
    this.sequences.push(sequence);
    if (!this.stepping) {
      this.stepping = true;
      this.stepEndMillis = performance.now();
      this.step();
    }
  }

  private step(): void {
    const unread = this.sequences.find(({ promptSeconds }) => promptSeconds > 0);
    const written = unread === undefined ? [...this.sequences] : [unread];
    this.stepEndMillis += (unread?.promptSeconds ?? this.stepSeconds(this.sequences)) * 1000;
    // a timer that comes late does not make the next step later: its wait is shorter.
    setTimeout(() => this.endStep(written), Math.max(0, this.stepEndMillis - performance.now()));
  }

  private endStep(written: readonly Sequence[]): void {
    for (const sequence of written.filter(({ tokensLeft }) => tokensLeft > 0)) {
      sequence.promptSeconds = 0;
      sequence.contextTokens++;
      sequence.tokensLeft--;
      sequence.onToken();
    }
    this.sequences = this.sequences.filter(({ tokensLeft }) => tokensLeft > 0);
    this.onFree();
    this.stepping = this.sequences.length > 0;
    if (this.stepping) {
      this.step();
    }
  }
}
