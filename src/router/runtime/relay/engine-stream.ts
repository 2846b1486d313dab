import { Exchange } from '../exchange';

/** Share of the time of a stream for which its caller may keep it waiting before that says too little of the engine. */
const MOST_HELD_UP = 0.1;

/**
 * What has been seen of an answer that an engine streams, and what of it the caller is to be sent.
 */
export abstract class EngineStream {
  /** What the engine's answer is if it is one. */
  public abstract readonly contentType: string;
  /** Headers of the answer to the caller. */
  public abstract readonly headers: { readonly [name: string]: string };
  /** Whether any part of the answer was seen. */
  public begun = false;
  /** Whether nothing can follow that matters. */
  public done = false;
  protected readonly exchange: Exchange;
  /** Whether the engine told that it failed. */
  protected failed = false;
  /** Tokens of the answer, as the engine tells. */
  protected tokens?: number;
  private parts = 0;
  private firstSeconds = 0;
  private lastSeconds = 0;

  constructor(exchange: Exchange) {
    this.exchange = exchange;
  }

  /** Whether the answer is whole, or its failure was told. */
  public abstract get ended(): boolean;

  /** Tokens of the answer so far; events stand for them until they are told. */
  public get answerTokens(): number {
    return this.tokens ?? this.parts;
  }

  /** What the caller is to be sent of what has come. Throws EngineError for what is no answer. */
  public abstract read(chunk: Buffer): Buffer;

  /** Tells the exchange how it went. */
  public conclude(): void {
    const { exchange, failed, answerTokens: tokens } = this;
    exchange.code = failed ? 'stream_error' : '200';
    if (failed) {
      exchange.failure = 'the engine told of an error in its stream';
    } else if (tokens > 1) {
      const seconds = this.lastSeconds - this.firstSeconds;
      exchange.tpotSeconds = exchange.answer.heldUpSeconds > MOST_HELD_UP * seconds ? undefined : seconds / (tokens - 1);
    }
  }

  /** So many events with parts of the answer were seen, or something else that belongs to it. */
  protected count(events: number): void {
    this.lastSeconds = this.exchange.elapsedSeconds();
    if (!this.begun) {
      this.begun = true;
      this.firstSeconds = this.lastSeconds;
      this.exchange.begun();
    }
    this.parts += events;
  }
}
