import { Exchange } from '../../exchange';
import { CompletionStream } from '../completion-stream';
import { stopReasonOf, tierOf, usageOf } from './completion';
import { EventFrame } from './event-stream';
import { Fields, isObject } from '../fields';

const MESSAGE_START = EventFrame.event('messageStart');
const BLOCK_START = EventFrame.event('contentBlockStart');
const BLOCK_DELTA = EventFrame.event('contentBlockDelta');
const BLOCK_STOP = EventFrame.event('contentBlockStop');
const MESSAGE_STOP = EventFrame.event('messageStop');
const METADATA = EventFrame.event('metadata');
const MODEL_STREAM_ERROR = EventFrame.exception('modelStreamErrorException');

/** What a block of content holds: text, reasoning, or the call of the tool with this index. */
type BlockKind = 'text' | 'reasoning' | number;

/**
 * An answer as ConverseStream tells it: messageStart, blocks of content one after the other, messageStop, and metadata with the usage at the end.
 *
 * Text that arrives together is told in one event.
 */
export class ConverseStream extends CompletionStream {
  public readonly headers = { 'content-type': 'application/vnd.amazon.eventstream' };
  private readonly exchange: Exchange;
  private frames: Buffer[] = [];
  private block?: BlockKind;
  private blockIndex = -1;
  /** Text of the present block that was not told yet. */
  private pendingText = '';
  private calledTools = false;

  constructor(exchange: Exchange) {
    super();
    this.exchange = exchange;
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

  protected text(kind: 'text' | 'reasoning', text: string): void {
    if (this.block !== kind) {
      this.openBlock(kind);
    }
    this.pendingText += text;
  }

  protected toolCall({ index, id, function: called }: Fields): void {
    const { name, arguments: input } = isObject(called) ? called : {} as Fields;
    const kind = typeof index === 'number' ? index : 0;
    if (this.block !== kind) {
      this.openBlock(kind);
      this.calledTools = true;
      this.frames.push(BLOCK_START.encode(JSON.stringify({ contentBlockIndex: this.blockIndex, start: { toolUse: { toolUseId: id, name } } })));
    }
    if (typeof input === 'string' && input !== '') {
      this.frames.push(BLOCK_DELTA.encode(JSON.stringify({ contentBlockIndex: this.blockIndex, delta: { toolUse: { input } } })));
    }
  }

  protected stop(finishReason: string, stopReason: unknown): void {
    this.closeBlock();
    this.frames.push(MESSAGE_STOP.encode(JSON.stringify({ stopReason: stopReasonOf(finishReason, stopReason, this.calledTools) })));
  }

  protected end(): void {
    this.frames.push(METADATA.encode(JSON.stringify({
      usage: usageOf(this.usage, this.exchange.handoff === 'handed_off'),
      metrics: { latencyMs: Math.round(this.exchange.elapsedSeconds() * 1000) },
      ...tierOf(this.exchange),
    })));
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
