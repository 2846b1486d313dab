import { EngineError, engineFailed } from './api-error';
import { CallerStream } from './caller-wire';
import { CallIds, CallPart, chunkOf, isGivenUp, isNoInput, namelessCall, saidIn, stoppedAt } from './completion';
import { Fields, isObject } from './fields';
import { dataOfEach } from './sse';

/** What a model says piece by piece: its answer, what it thought, or what it says instead of an answer. */
export type TextKind = 'text' | 'reasoning' | 'refusal';

/** A call of a tool, whose input comes part by part. */
export interface StreamedCall {
  /** Undefined if the engine tells none, or has given it to another call. */
  readonly id?: string;
  readonly name: string;
}

/** The same as it comes. */
interface OpenCall extends StreamedCall {
  /** The id as the engine tells it, with every part or not. */
  readonly toldId: unknown;
  /** All that has come of its input. */
  input: string;
  /** Whether that may yet be none, and was kept back. */
  isHeld: boolean;
}

/** What an input begins with that may yet be none. */
const MAY_BE_NONE = /^\s*(?:n|nu|nul|null\s*)?$/;

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
  private readonly calls = new Map<unknown, OpenCall>();
  private readonly ids = new CallIds();
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

  /** The next piece of what the model says. */
  protected abstract text(kind: TextKind, text: string): void;

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
      const { reasoning, text, refusal, calls } = saidIn(delta);
      if (reasoning !== undefined) {
        this.say('reasoning', reasoning);
      }
      if (text !== undefined) {
        this.say('text', text);
      }
      if (refusal !== undefined) {
        this.say('refusal', refusal);
      }
      calls.forEach((call) => this.call(call));
    }
    if (isGivenUp(finishReason)) {
      throw new EngineError(502, 'stream_truncated', 'the engine ended its answer before it was whole');
    }
    // engines that are written in Go may tell an empty one in every chunk.
    if (typeof finishReason === 'string' && finishReason !== '' && this.finishReason === undefined) {
      this.calls.forEach((call) => this.tellHeld(call));
      this.finishReason = finishReason;
      this.stop(finishReason, stoppedAt(choice));
    }
  }

  private say(kind: TextKind, text: string): void {
    this.throwIfStopped();
    this.text(kind, text);
  }

  private call({ index, id, name, input }: CallPart): void {
    let call = this.calls.get(index);
    if (call === undefined || (name !== undefined && beginsAnother(call, name, id, input))) {
      if (name === undefined) {
        throw namelessCall();
      }
      this.throwIfStopped();
      if (call !== undefined) {
        this.tellHeld(call);
      }
      call = { id: this.ids.taken(id), name, toldId: id, input, isHeld: MAY_BE_NONE.test(input) };
      this.calls.set(index, call);
      this.toolCall(call, call.isHeld ? '' : input);
    } else if (input !== '') {
      this.throwIfStopped();
      call.input += input;
      if (!call.isHeld) {
        this.toolCall(call, input);
      } else if (!MAY_BE_NONE.test(call.input)) {
        this.tellHeld(call);
      }
    }
  }

  /** Tells what was kept back of a call's input, unless that is none. */
  private tellHeld(call: OpenCall): void {
    if (call.isHeld && !isNoInput(call.input)) {
      this.toolCall(call, call.input);
    }
    call.isHeld = false;
  }

  private throwIfStopped(): void {
    if (this.finishReason !== undefined) {
      throw engineFailed('the engine goes on after the end of its answer');
    }
  }
}

/**
 * Whether a part that names a tool begins another call than the one that is there. Some engines tell no index, or one for all: it does where it has another
 * id, or names another tool, or goes on where an input is whole.
 */
function beginsAnother(call: OpenCall, name: string, id: unknown, input: string): boolean {
  return name !== call.name || (typeof id === 'string' && id !== '' && id !== call.toldId) || (input !== '' && isJson(call.input));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
