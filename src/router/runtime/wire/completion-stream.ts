import { EngineError, engineFailed } from './api-error';
import { CallerStream } from './caller-wire';
import { CallPart, chunkOf, isGivenUp, namelessCall, saidIn, stoppedAt } from './completion';
import { Fields, isObject } from './fields';
import { dataOfEach } from './sse';

/** A call of a tool, whose input comes part by part. */
export interface StreamedCall {
  readonly id: unknown;
  readonly name: string;
}

/**
 * The chunks of a chat completion on their way to a caller who is told the answer in another form: its text and reasoning, calls of tools, and its end.
 */
export abstract class CompletionStream implements CallerStream {
  public abstract readonly headers: { readonly [name: string]: string };
  public readonly readsText = true;
  /** Whether the caller was told that the answer failed: nothing follows. */
  protected failed = false;
  /** What the engine counts. */
  protected usage: unknown;
  private begun = false;
  /** The latest call of each index. */
  private readonly calls = new Map<unknown, StreamedCall>();
  private finishReason?: string;

  public event(_: Buffer, data: string | undefined): void {
    if (data !== undefined && !this.failed) {
      this.chunk(data);
    }
  }

  public texts(bytes: Buffer, text?: string): void {
    if (text === undefined) {
      dataOfEach(bytes.toString('utf8')).forEach((data) => this.chunk(data));
    } else if (text !== '') {
      this.say('text', text);
    }
  }

  public done(): void {
    if (this.failed) {
      return;
    }
    if (this.finishReason === undefined) {
      throw new EngineError(502, 'stream_truncated', 'the engine ended its answer without a reason');
    }
    this.end(this.finishReason);
  }

  public abstract engineError(bytes: Buffer): void;

  public abstract take(): Buffer;

  /** The first choice is there. */
  protected abstract begin(): void;

  /** Text, or what the model thought, which comes piece by piece. */
  protected abstract text(kind: 'text' | 'reasoning', text: string): void;

  /** A call of a tool, with the next part of its input. */
  protected abstract toolCall(call: StreamedCall, input: string): void;

  /** The engine says why it stops; only its usage may follow. */
  protected abstract stop(finishReason: string, stop: unknown): void;

  /** The answer is whole. */
  protected abstract end(finishReason: string): void;

  private chunk(data: string): void {
    const { choices, usage } = chunkOf(data);
    this.usage = usage ?? this.usage;
    const choice = Array.isArray(choices) ? choices[0] : undefined;
    if (isObject(choice)) {
      this.choice(choice);
    }
  }

  private choice(choice: Fields): void {
    const { delta, finish_reason: finishReason } = choice;
    if (!this.begun) {
      this.begun = true;
      this.begin();
    }
    if (isObject(delta)) {
      const { reasoning, text, calls } = saidIn(delta);
      if (reasoning !== undefined) {
        this.say('reasoning', reasoning);
      }
      if (text !== undefined) {
        this.say('text', text);
      }
      calls.forEach((call) => this.call(call));
    }
    if (isGivenUp(finishReason)) {
      throw new EngineError(502, 'stream_truncated', 'the engine ended its answer before it was whole');
    }
    if (typeof finishReason === 'string' && this.finishReason === undefined) {
      this.finishReason = finishReason;
      this.stop(finishReason, stoppedAt(choice));
    }
  }

  private say(kind: 'text' | 'reasoning', text: string): void {
    this.throwIfStopped();
    this.text(kind, text);
  }

  private call({ index, id, name, input }: CallPart): void {
    let call = this.calls.get(index);
    // some engines tell no index, or one for all: a part that names a tool begins another call where it has another id, or names another tool.
    if (call === undefined || (name !== undefined && (name !== call.name || (typeof id === 'string' && id !== call.id)))) {
      if (name === undefined) {
        throw namelessCall();
      }
      call = { id, name };
      this.calls.set(index, call);
    } else if (input === '') {
      return;
    }
    this.throwIfStopped();
    this.toolCall(call, input);
  }

  private throwIfStopped(): void {
    if (this.finishReason !== undefined) {
      throw engineFailed('the engine goes on after the end of its answer');
    }
  }
}
