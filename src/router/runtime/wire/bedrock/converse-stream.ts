import { Exchange } from '../../exchange';
import { EngineError } from '../api-error';
import { CallerStream } from '../caller-wire';
import { chunkOf, isGivenUp, reasoningOf } from '../completion';
import { stopReasonOf, tierOf, usageOf } from './completion';
import { EventFrame } from './event-stream';
import { Fields, isObject } from '../fields';
import { dataOfEach } from '../sse';

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
export class ConverseStream implements CallerStream {
  public readonly headers = { 'content-type': 'application/vnd.amazon.eventstream' };
  private readonly exchange: Exchange;
  private frames: Buffer[] = [];
  private begun = false;
  private failed = false;
  private block?: BlockKind;
  private blockIndex = -1;
  /** JSON literals of text of the present block that was not told yet, without their quotes. */
  private pendingText = '';
  private stopReason?: string;
  private calledTools = false;
  private usage: unknown;

  constructor(exchange: Exchange) {
    this.exchange = exchange;
  }

  public event(_: Buffer, data: string | undefined): void {
    if (data === undefined || this.failed) {
      return;
    }
    const { choices, usage } = chunkOf(data);
    this.usage = usage ?? this.usage;
    const choice = Array.isArray(choices) ? choices[0] : undefined;
    if (isObject(choice)) {
      this.choice(choice);
    }
  }

  public texts(bytes: Buffer): void {
    dataOfEach(bytes).forEach((data) => this.event(bytes, data));
  }

  public engineError(): void {
    if (!this.failed) {
      this.failed = true;
      this.flushText();
      this.frames.push(MODEL_STREAM_ERROR.encode('{"message":"the engine failed"}'));
    }
  }

  public done(): void {
    if (this.failed) {
      return;
    }
    if (this.stopReason === undefined) {
      throw new EngineError(502, 'stream_truncated', 'the engine ended its answer without a reason');
    }
    this.frames.push(METADATA.encode(JSON.stringify({
      usage: usageOf(this.usage, this.exchange.handoff === 'handed_off'),
      metrics: { latencyMs: Math.round(this.exchange.elapsedSeconds() * 1000) },
      ...tierOf(this.exchange),
    })));
  }

  public take(): Buffer {
    this.flushText();
    const { frames } = this;
    this.frames = [];
    return frames.length === 1 ? frames[0] : Buffer.concat(frames);
  }

  private choice({ delta, finish_reason: finishReason, stop_reason: stop }: Fields): void {
    if (!this.begun) {
      this.begun = true;
      this.frames.push(MESSAGE_START.encode('{"role":"assistant"}'));
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
    if (typeof finishReason === 'string' && this.stopReason === undefined) {
      this.closeBlock();
      this.stopReason = stopReasonOf(finishReason, stop, this.calledTools);
      this.frames.push(MESSAGE_STOP.encode(JSON.stringify({ stopReason: this.stopReason })));
    }
  }

  private text(kind: 'text' | 'reasoning', text: string): void {
    if (this.block !== kind) {
      this.openBlock(kind);
    }
    this.pendingText += JSON.stringify(text).slice(1, -1);
  }

  private toolCall({ index, id, function: called }: Fields): void {
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
    const text = this.pendingText;
    this.pendingText = '';
    const delta = this.block === 'reasoning' ? `{"reasoningContent":{"text":"${text}"}}` : `{"text":"${text}"}`;
    this.frames.push(BLOCK_DELTA.encode(`{"contentBlockIndex":${this.blockIndex},"delta":${delta}}`));
  }
}
