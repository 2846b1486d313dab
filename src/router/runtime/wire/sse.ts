/** Headers of a stream of server-sent events, which no proxy is to hold back. */
export const SSE_HEADERS = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', 'x-accel-buffering': 'no' };

/** A server-sent event: its bytes as they came, and what its `data:` lines say. */
export interface SseEvent {
  /** The event as it came, the blank line included. */
  readonly bytes: Buffer;
  /** The `data:` lines joined by line feeds; undefined for a comment or an event without data. */
  readonly data?: string;
}

/** An event is longer than the splitter may hold. */
export class SseEventTooLong extends Error {}

const LF = 10;
const CR = 13;

/**
 * Splits a byte stream into server-sent events without holding more than one of them.
 */
export class SseSplitter {
  private readonly maxEventBytes: number;
  private pending: Buffer = Buffer.alloc(0);
  /** Where the line that is being read starts, within `pending`. */
  private lineStart = 0;
  /** Up to where `pending` holds no line feed that was not seen. */
  private scanned = 0;

  /**
   * @param maxEventBytes longest event, in bytes.
   */
  constructor(maxEventBytes: number) {
    this.maxEventBytes = maxEventBytes;
  }

  /** Whether what was pushed ended with an event. */
  public get isBetweenEvents(): boolean {
    return this.pending.length === 0;
  }

  /**
   * Events that the chunk completes.
   *
   * Throws SseEventTooLong if what is left over is longer than an event may be.
   */
  public push(chunk: Uint8Array): SseEvent[] {
    this.pending = this.pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.pending, chunk]);
    const events: SseEvent[] = [];
    let eventStart = 0;
    let at: number;
    while ((at = this.pending.indexOf(LF, this.scanned)) !== -1) {
      const end = at > this.lineStart && this.pending[at - 1] === CR ? at - 1 : at;
      if (end === this.lineStart) {
        const bytes = this.pending.subarray(eventStart, at + 1);
        events.push({ bytes, data: dataOf(bytes) });
        eventStart = at + 1;
      }
      this.lineStart = this.scanned = at + 1;
    }
    this.pending = this.pending.subarray(eventStart);
    this.lineStart -= eventStart;
    this.scanned = this.pending.length;
    if (this.pending.length > this.maxEventBytes) {
      throw new SseEventTooLong(`an event is longer than ${this.maxEventBytes} bytes`);
    }
    return events;
  }
}

function dataOf(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8');
  // what nearly every event is: one line of data.
  if (text.startsWith('data: ') && text.indexOf('\n') === text.length - 2 && text.charCodeAt(text.length - 3) !== CR) {
    return text.slice('data: '.length, -2);
  }
  const lines = text.split('\n')
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.replace(/^data: ?/, '').replace(/\r$/, ''));
  return lines.length === 0 ? undefined : lines.join('\n');
}
