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
/** What some encoders begin a text with. */
const BYTE_ORDER_MARK = /^\uFEFF/;

/**
 * Splits a byte stream into server-sent events without holding more than one of them.
 */
export class SseSplitter {
  private readonly maxEventBytes: number;
  private pending: Buffer = Buffer.alloc(0);
  /** Where the line that is being read starts, within `pending`. */
  private lineStart = 0;
  /** Up to where `pending` holds no end of a line that was not seen. */
  private scanned = 0;
  /** Whether lines may end otherwise than by a line feed alone, as hardly any engine has them. */
  private hasCr = false;

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
  public push(chunk: Buffer): SseEvent[] {
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    this.hasCr ||= chunk.includes(CR);
    const events: SseEvent[] = [];
    let eventStart = 0;
    let end: number;
    while ((end = this.lineEnd()) !== -1) {
      const next = end + (this.pending[end] === CR && this.pending[end + 1] === LF ? 2 : 1);
      if (end === this.lineStart) {
        const bytes = this.pending.subarray(eventStart, next);
        // without the blank line and the end of the line before it.
        events.push({ bytes, data: dataOf(bytes.toString('utf8', 0, end - eventStart - 1)) });
        eventStart = next;
      }
      this.lineStart = this.scanned = next;
    }
    this.pending = this.pending.subarray(eventStart);
    this.lineStart -= eventStart;
    this.scanned = this.pending.length - (this.hasCr && this.pending.at(-1) === CR ? 1 : 0);
    if (this.pending.length > this.maxEventBytes) {
      throw new SseEventTooLong(`an event is longer than ${this.maxEventBytes} bytes`);
    }
    return events;
  }

  /** Where the line ends that is being read; -1 if that has not come. A carriage return that is the last byte may have a line feed yet. */
  private lineEnd(): number {
    const { pending, scanned, lineStart } = this;
    const lf = pending.indexOf(LF, scanned);
    if (!this.hasCr) {
      return lf;
    }
    const cr = pending.subarray(scanned, lf === -1 ? pending.length : lf).indexOf(CR);
    if (cr === -1) {
      return lf;
    }
    const at = scanned + cr;
    // an event is not kept waiting by it if the line before ended with a carriage return alone.
    return at < pending.length - 1 || (at === lineStart && pending[at - 1] === CR) ? at : -1;
  }
}

/** The event that says something. */
export function eventOf(data: string): Buffer {
  return Buffer.from(`data: ${data.replace(/\n/g, '\ndata: ')}\n\n`);
}

/** What the `data:` lines of events say that end with blank lines of line feeds alone. */
export function dataOfEach(events: string): string[] {
  return events.split('\n\n').map(dataOf).filter((data) => data !== undefined);
}

function dataOf(event: string): string | undefined {
  // what nearly every event is: one line of data.
  if (event.startsWith('data: ') && !event.includes('\n') && !event.includes('\r')) {
    return event.slice('data: '.length);
  }
  const lines = event.replace(BYTE_ORDER_MARK, '').split(/\r\n?|\n/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.replace(/^data: ?/, ''));
  return lines.length === 0 ? undefined : lines.join('\n');
}
