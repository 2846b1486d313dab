import { HEX_DIGITS } from '../hex-digits';

/** Bytes of a head, and of a line between chunks, that are far above those of any engine. */
const MAX_HEAD_BYTES = 16 * 1024;
const MAX_LINE_BYTES = 1024;
const END_OF_HEAD = '\r\n\r\n';
const CR = 13;
const LF = 10;
const PROTOCOL = 'HTTP/1.';
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: .*)?$/;
const HEADER = /^([!#$%&'*+.^_`|~\dA-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;
const CONTENT_LENGTH = /^\d{1,15}$/;
/** The line before a chunk: its length, and extensions, which nobody has. */
const CHUNK_LINE = /^([\da-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n$/i;
/** Digits of the length of any chunk. */
const MAX_LENGTH_DIGITS = 8;
const NO_HTTP = 'the response is not of HTTP/1.1';
const NOTHING = Buffer.alloc(0);

/** Headers by their names in lower case; those of one name are joined as a list. */
export type ResponseHeaders = { readonly [name: string]: string | undefined };

/** What came is no response of HTTP/1.1, or not one that everybody reads alike. */
export class MalformedResponse extends Error {}

/**
 * Reads one response of HTTP/1.1 to a GET or a POST from the bytes of a connection. What could be read in two ways, or is not as the standard has it, is refused.
 */
export class ResponseParser {
  /** Its status; 0 until its headers are known. */
  public status = 0;
  public headers: ResponseHeaders = {};
  /** Whether all of it has come. */
  public isWhole = false;
  /** Whether the connection can be used again once it is whole. */
  public keepsAlive = false;
  /** The head, or the line between chunks, as far as it has come. */
  private text = '';
  private part: 'head' | 'length' | 'chunk line' | 'chunk' | 'chunk end' | 'trailer' | 'to the end' = 'head';
  /** Bytes of the body, or of a chunk, that are to come. */
  private left = 0;

  /**
   * The bytes of the body that are among those that have come; they are copied. Throws MalformedResponse.
   *
   * @param bytes what has come.
   */
  public read(bytes: Buffer): Buffer {
    const start = this.part === 'head' ? this.readHeads(bytes) : 0;
    if (this.isWhole) {
      // it was not asked for anything more.
      this.keepsAlive &&= start === bytes.length;
      return NOTHING;
    }
    switch (this.part) {
      case 'head':
        return NOTHING;
      case 'length':
        return this.readLength(bytes, start);
      case 'to the end':
        return Buffer.from(bytes.subarray(start));
      default:
        return this.readChunks(bytes, start);
    }
  }

  /** The connection has ended. Returns whether the response is whole by that. */
  public end(): boolean {
    this.isWhole ||= this.part === 'to the end';
    return this.isWhole;
  }

  /** Reads heads up to that of the response itself. Returns where its body begins. */
  private readHeads(bytes: Buffer): number {
    let at = 0;
    while (this.part === 'head' && at < bytes.length && !this.isWhole) {
      const before = this.text.length;
      const found = bytes.indexOf(END_OF_HEAD, at, 'latin1');
      // its end may be in what came before.
      this.text += bytes.toString('latin1', at, Math.min(found === -1 ? bytes.length : found + END_OF_HEAD.length, at + MAX_HEAD_BYTES + END_OF_HEAD.length));
      const end = this.text.indexOf(END_OF_HEAD, Math.max(0, before - END_OF_HEAD.length));
      if (end > MAX_HEAD_BYTES || (end === -1 && this.text.length > MAX_HEAD_BYTES)) {
        throw new MalformedResponse('the head is too long');
      }
      if (end === -1) {
        this.expectStatusLine();
        return bytes.length;
      }
      at += end + END_OF_HEAD.length - before;
      const [statusLine, ...lines] = this.text.slice(0, end).split('\r\n');
      this.text = '';
      this.readHead(statusLine, lines);
    }
    return at;
  }

  /** Refuses what has come of a head as soon as it cannot be one: who speaks something else may never end it. */
  private expectStatusLine(): void {
    const [line, ...more] = this.text.split('\n', 2);
    const isStatusLine = more.length === 0 || (line.endsWith('\r') && STATUS_LINE.test(line.slice(0, -1)));
    if (!PROTOCOL.startsWith(line.slice(0, PROTOCOL.length)) || !isStatusLine) {
      throw new MalformedResponse(NO_HTTP);
    }
  }

  private readHead(statusLine: string, lines: string[]): void {
    const [, minor, digits] = STATUS_LINE.exec(statusLine) ?? [];
    const status = Number(digits);
    if (minor === undefined || status === 101) {
      throw new MalformedResponse(NO_HTTP);
    }
    if (status < 200) {
      // the response itself is yet to come.
      return;
    }
    const headers: { [name: string]: string | undefined } = {};
    for (const line of lines) {
      const [, name, value] = HEADER.exec(line) ?? [];
      if (name === undefined) {
        throw new MalformedResponse('a header is none');
      }
      const key = name.toLowerCase();
      const known = Object.hasOwn(headers, key) ? headers[key] : undefined;
      headers[key] = known === undefined ? value.trimEnd() : `${known}, ${value.trimEnd()}`;
    }
    this.status = status;
    this.headers = headers;
    this.frame(headers, minor === '1');
  }

  /** How the end of the body is known. */
  private frame({ connection = '', 'transfer-encoding': encoding, 'content-length': length }: ResponseHeaders, isHttp11: boolean): void {
    this.keepsAlive = isHttp11 && !/(?:^|,)\s*close\s*(?:,|$)/i.test(connection);
    if (encoding !== undefined && (length !== undefined || encoding.toLowerCase() !== 'chunked' || !isHttp11)) {
      throw new MalformedResponse('the end of the body is told in another way than by chunks');
    }
    if (length !== undefined && !CONTENT_LENGTH.test(length)) {
      throw new MalformedResponse('the length of the body is no number');
    }
    if (this.status === 204 || this.status === 304) {
      this.isWhole = true;
    } else if (encoding !== undefined) {
      this.part = 'chunk line';
    } else if (length !== undefined) {
      this.part = 'length';
      this.left = Number(length);
      this.isWhole = this.left === 0;
    } else {
      this.part = 'to the end';
      this.keepsAlive = false;
    }
  }

  private readLength(bytes: Buffer, start: number): Buffer {
    const end = Math.min(bytes.length, start + this.left);
    this.left -= end - start;
    this.isWhole = this.left === 0;
    this.keepsAlive &&= end === bytes.length;
    return Buffer.from(bytes.subarray(start, end));
  }

  private readChunks(bytes: Buffer, start: number): Buffer {
    const body = Buffer.allocUnsafe(bytes.length - start);
    let length = 0;
    let at = start;
    while (at < bytes.length && !this.isWhole) {
      if (this.part === 'chunk') {
        const end = Math.min(bytes.length, at + this.left);
        length += bytes.copy(body, length, at, end);
        this.left -= end - at;
        at = end;
        this.part = this.left === 0 ? 'chunk end' : 'chunk';
      } else {
        at = this.readPlainLine(bytes, at) ?? this.readLine(bytes, at);
      }
    }
    this.keepsAlive &&= at === bytes.length;
    return body.subarray(0, length);
  }

  /**
   * Reads a line between chunks that has come whole and says no more than it has to, as nearly all do. Returns where the next one begins; undefined if it is
   * another.
   */
  private readPlainLine(bytes: Buffer, start: number): number | undefined {
    let at = start;
    let length = 0;
    for (; this.part === 'chunk line' && at < start + MAX_LENGTH_DIGITS && HEX_DIGITS[bytes[at]] >= 0; at++) {
      length = length * 16 + HEX_DIGITS[bytes[at]];
    }
    const isPlain = this.text === '' && (this.part === 'chunk end' || length > 0) && bytes[at] === CR && bytes[at + 1] === LF;
    if (!isPlain) {
      return undefined;
    }
    this.left = length;
    this.part = length > 0 ? 'chunk' : 'chunk line';
    return at + 2;
  }

  /** Reads a line between chunks. Returns where the next one begins. */
  private readLine(bytes: Buffer, start: number): number {
    const at = bytes.indexOf(LF, start);
    const end = at === -1 ? bytes.length : at + 1;
    if (this.text.length + end - start > MAX_LINE_BYTES) {
      throw new MalformedResponse('a line between chunks is too long');
    }
    const line = this.text + bytes.toString('latin1', start, end);
    this.text = at === -1 ? line : '';
    if (at !== -1) {
      this.endLine(line);
    }
    return end;
  }

  private endLine(line: string): void {
    if (this.part === 'chunk line') {
      const [, digits] = CHUNK_LINE.exec(line) ?? [];
      if (digits === undefined) {
        throw new MalformedResponse('the length of a chunk is no number');
      }
      this.left = parseInt(digits, 16);
      this.part = this.left === 0 ? 'trailer' : 'chunk';
    } else if (line === '\r\n') {
      this.isWhole = this.part === 'trailer';
      this.part = 'chunk line';
    } else if (this.part === 'chunk end' || !line.endsWith('\r\n')) {
      throw new MalformedResponse('a chunk is longer than it says');
    }
  }
}
