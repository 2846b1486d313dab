import { EngineError } from './api-error';
import { CallerStream } from './caller-wire';
import { chunkOf, isGivenUp, reasoningOf } from './completion';
import { Fields, isObject } from './fields';
import { dataOfEach } from './sse';

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
      this.text('text', text);
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

  /** A call of a tool, or a part of one. */
  protected abstract toolCall(call: Fields): void;

  /** The engine says why it stops; only its usage may follow. */
  protected abstract stop(finishReason: string, stopReason: unknown): void;

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

  private choice({ delta, finish_reason: finishReason, stop_reason: stopReason }: Fields): void {
    if (!this.begun) {
      this.begun = true;
      this.begin();
    }
    if (isObject(delta)) {
      const reasoning = reasoningOf(delta);
      if (reasoning !== undefined) {
        this.text('reasoning', reasoning);
      }
      if (typeof delta.content === 'string' && delta.content !== '') {
        this.text('text', delta.content);
      }
      if (Array.isArray(delta.tool_calls)) {
        delta.tool_calls.filter(isObject).forEach((call) => this.toolCall(call));
      }
    }
    if (isGivenUp(finishReason)) {
      throw new EngineError(502, 'stream_truncated', 'the engine ended its answer before it was whole');
    }
    if (typeof finishReason === 'string' && this.finishReason === undefined) {
      this.finishReason = finishReason;
      this.stop(finishReason, stopReason);
    }
  }
}
