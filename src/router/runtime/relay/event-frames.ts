import { EventStreamCodec } from '@smithy/core/event-streams';
import { engineFailed } from '../wire/api-error';

/** Prelude, its checksum, and that of the whole. */
const MIN_FRAME_BYTES = 16;
/** Far above the megabyte of Bedrock's longest events. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;

const CODEC = new EventStreamCodec((bytes) => Buffer.from(bytes).toString('utf8'), (text) => Buffer.from(text, 'utf8'));

/** A message of an event stream: its bytes as they came, and what it says. */
export interface Frame {
  readonly bytes: Buffer;
  /** `event`, or `exception` or `error` if the answer failed. */
  readonly messageType: string;
  /** Which event it is, such as `contentBlockDelta`. */
  readonly eventType: string;
  readonly payload: Buffer;
}

/**
 * Splits a byte stream into the messages of AWS' event stream encoding without holding more than one of them.
 */
export class FrameSplitter {
  private pending: Buffer = Buffer.alloc(0);

  /** Messages that the chunk completes. Throws EngineError for bytes that are none. */
  public push(chunk: Buffer): Frame[] {
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    const frames: Frame[] = [];
    while (this.pending.length >= 4) {
      const length = this.pending.readUInt32BE(0);
      if (length < MIN_FRAME_BYTES || length > MAX_FRAME_BYTES) {
        throw engineFailed('Bedrock streams something that is no event');
      }
      if (this.pending.length < length) {
        break;
      }
      frames.push(read(this.pending.subarray(0, length)));
      this.pending = this.pending.subarray(length);
    }
    return frames;
  }
}

function read(bytes: Buffer): Frame {
  try {
    const { headers, body } = CODEC.decode(bytes);
    const text = (name: string) => String(headers[name]?.value ?? '');
    return { bytes, messageType: text(':message-type'), eventType: text(':event-type'), payload: Buffer.from(body.buffer, body.byteOffset, body.byteLength) };
  } catch {
    throw engineFailed('Bedrock streams an event that is damaged');
  }
}
