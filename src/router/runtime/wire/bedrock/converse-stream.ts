import { engineFailed } from '../api-error';
import { AnsweredRequest } from '../caller-wire';
import { CompletionStream, StreamedCall, TextKind } from '../completion-stream';
import { stopReasonOf, tierOf, toolInputOf, toolUseIdOf, bedrockUsageOf } from './converse-answer';
import { EventFrame } from './event-stream';
import { ExactJson } from '../exact-json';

const MESSAGE_START = EventFrame.event('messageStart');
const BLOCK_START = EventFrame.event('contentBlockStart');
const BLOCK_DELTA = EventFrame.event('contentBlockDelta');
const BLOCK_STOP = EventFrame.event('contentBlockStop');
const MESSAGE_STOP = EventFrame.event('messageStop');
const METADATA = EventFrame.event('metadata');
const MODEL_STREAM_ERROR = EventFrame.exception('modelStreamErrorException');

/** What a block of content holds: text, reasoning, or a call of a tool. */
type BlockKind = 'text' | 'reasoning' | StreamedCall;

/**
 * An answer as ConverseStream tells it: messageStart, blocks of content one after the other, messageStop, and metadata with the usage at the end.
 *
 * Text that arrives together is told in one event. Engines may mix the arguments of several calls of tools, and blocks cannot be: the first is told as it comes,
 * the others once it has ended.
 */
export class ConverseStream extends CompletionStream {
  public readonly headers = { 'content-type': 'application/vnd.amazon.eventstream' };
  private readonly request: AnsweredRequest;
  private frames: Buffer[] = [];
  private block?: BlockKind;
  private blockIndex = -1;
  /** Text of the present block that was not told yet. */
  private pendingText = '';
  /** Blank text after the beginning of a call, which may go on. */
  private blankText = '';
  private calledTools = false;
  /** What the tool of the present block is called with, as far as it was told. */
  private input = '';
  private hasMalformedCall = false;
  /** Calls of tools whose blocks have ended. */
  private readonly toldCalls = new Set<StreamedCall>();
  /** What was told of calls whose blocks are not open yet. */
  private readonly heldCalls = new Map<StreamedCall, string>();

  constructor(request: AnsweredRequest) {
    super();
    this.request = request;
  }

  public engineError(): void {
    if (!this.failed) {
      this.failed = true;
      this.flushText();
      this.frames.push(MODEL_STREAM_ERROR.encode('{"message":"the engine failed"}'));
    }
  }

  public take(): Buffer {
    this.flushText();
    const { frames } = this;
    this.frames = [];
    return frames.length === 1 ? frames[0] : Buffer.concat(frames);
  }

  protected begin(): void {
    this.frames.push(MESSAGE_START.encode('{"role":"assistant"}'));
  }

  protected text(said: TextKind, text: string): void {
    // Bedrock knows no refusals.
    const kind = said === 'refusal' ? 'text' : said;
    if (typeof this.block === 'object' && kind === 'text' && text.trim() === '') {
      this.blankText += text;
      return;
    }
    this.tellText(kind, text);
  }

  protected toolCall(call: StreamedCall, input: string): void {
    if (this.toldCalls.has(call)) {
      throw engineFailed('the engine goes on with a call of a tool that had ended');
    }
    if (typeof this.block === 'object' && this.block !== call) {
      this.heldCalls.set(call, (this.heldCalls.get(call) ?? '') + input);
      return;
    }
    if (this.block !== call) {
      this.openCall(call);
    }
    this.tellInput(input);
  }

  protected stop(finishReason: string, stop: unknown): void {
    this.closeBlock();
    this.tellHeldCalls();
    if (this.blankText !== '') {
      this.tellText('text', '');
      this.closeBlock();
    }
    const reason = stopReasonOf(finishReason, stop, this.calledTools, this.hasMalformedCall);
    this.frames.push(MESSAGE_STOP.encode(JSON.stringify({ stopReason: reason })));
  }

  protected end(): void {
    this.frames.push(METADATA.encode(JSON.stringify({
      usage: bedrockUsageOf(this.usage),
      metrics: { latencyMs: Math.round(this.request.elapsedSeconds() * 1000) },
      ...tierOf(this.request),
    })));
  }

  private tellText(kind: 'text' | 'reasoning', text: string): void {
    if (this.block !== kind) {
      this.closeBlock();
      this.tellHeldCalls();
      this.openBlock(kind);
    }
    if (kind === 'text') {
      this.pendingText += this.blankText + text;
      this.blankText = '';
    } else {
      this.pendingText += text;
    }
  }

  private openCall(call: StreamedCall): void {
    this.openBlock(call);
    this.calledTools = true;
    this.input = '';
    const start = { toolUse: { toolUseId: toolUseIdOf(call.id), name: call.name } };
    this.frames.push(BLOCK_START.encode(JSON.stringify({ contentBlockIndex: this.blockIndex, start })));
  }

  private tellInput(input: string): void {
    if (input !== '') {
      this.input += input;
      this.frames.push(BLOCK_DELTA.encode(JSON.stringify({ contentBlockIndex: this.blockIndex, delta: { toolUse: { input } } })));
    }
  }

  private tellHeldCalls(): void {
    for (const [call, input] of this.heldCalls) {
      this.openCall(call);
      this.tellInput(input);
      this.closeBlock();
    }
    this.heldCalls.clear();
  }

  private openBlock(kind: BlockKind): void {
    this.closeBlock();
    this.block = kind;
    this.blockIndex++;
  }

  private closeBlock(): void {
    this.flushText();
    if (this.block !== undefined) {
      this.frames.push(BLOCK_STOP.encode(`{"contentBlockIndex":${this.blockIndex}}`));
      if (typeof this.block === 'object') {
        this.toldCalls.add(this.block);
        this.hasMalformedCall ||= toolInputOf(this.input, new ExactJson()) === undefined;
      }
      this.block = undefined;
    }
  }

  private flushText(): void {
    if (this.pendingText === '') {
      return;
    }
    const text = JSON.stringify(this.pendingText);
    this.pendingText = '';
    const delta = this.block === 'reasoning' ? `{"reasoningContent":{"text":${text}}}` : `{"text":${text}}`;
    this.frames.push(BLOCK_DELTA.encode(`{"contentBlockIndex":${this.blockIndex},"delta":${delta}}`));
  }
}
