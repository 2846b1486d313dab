import { crc32 } from 'node:zlib';

const PRELUDE_BYTES = 12;
const CRC_BYTES = 4;
/** Type of a header whose value is a string. */
const STRING = 7;

/**
 * Writes messages of one kind in AWS' event stream encoding (`application/vnd.amazon.eventstream`): prelude of total and header length with its CRC-32,
 * headers, payload, and the CRC-32 of all before it. The headers are the same for every message, and are encoded once.
 *
 * Source: the encoding of Amazon Transcribe's and Bedrock's streams, https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html.
 */
export class EventFrame {
  /** A modelled event with a JSON payload, such as `contentBlockDelta`. */
  public static event(type: string): EventFrame {
    return new EventFrame({ ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' });
  }

  /** A modelled exception with a JSON payload, such as `modelStreamErrorException`. */
  public static exception(type: string): EventFrame {
    return new EventFrame({ ':exception-type': type, ':content-type': 'application/json', ':message-type': 'exception' });
  }

  private readonly headers: Buffer;

  private constructor(headers: { readonly [name: string]: string }) {
    this.headers = Buffer.concat(Object.entries(headers).map(([name, value]) => {
      const header = Buffer.alloc(1 + name.length + 3 + value.length);
      header.writeUInt8(name.length, 0);
      header.write(name, 1, 'latin1');
      header.writeUInt8(STRING, 1 + name.length);
      header.writeUInt16BE(value.length, 2 + name.length);
      header.write(value, 4 + name.length, 'latin1');
      return header;
    }));
  }

  /**
   * One message.
   *
   * @param payload JSON text.
   */
  public encode(payload: string): Buffer {
    const { headers } = this;
    const payloadStart = PRELUDE_BYTES + headers.length;
    const length = payloadStart + Buffer.byteLength(payload) + CRC_BYTES;
    const frame = Buffer.allocUnsafe(length);
    frame.writeUInt32BE(length, 0);
    frame.writeUInt32BE(headers.length, 4);
    frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8);
    headers.copy(frame, PRELUDE_BYTES);
    frame.write(payload, payloadStart, 'utf8');
    frame.writeUInt32BE(crc32(frame.subarray(0, length - CRC_BYTES)), length - CRC_BYTES);
    return frame;
  }
}
