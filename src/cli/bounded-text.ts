import { closeSync, openSync, readSync } from 'node:fs';
import { Problems, ProblemsError } from '../problems';

/** Standard input, as a file is named on the command line. */
export const STANDARD_INPUT = '-';

const STEP = 65_536;

/** What a file should be. */
export interface ExpectedFile {
  /** Such as `a template`. */
  readonly holds: string;
  /** What to do about one that is too large. */
  readonly tooLarge: string;
}

/**
 * Reads a text file, or standard input for `-`, whole or not at all.
 *
 * @param file path of the file, or `-`.
 * @param limitBytes most bytes that are read.
 * @param expected what the file should hold, such as `a template`, and what to say of one with more bytes.
 * @throws ProblemsError if it cannot be read, has more bytes, or is no text.
 */
export function readText(file: string, limitBytes: number, expected: ExpectedFile): string {
  const refuse = (rule: string, message: string, mend: string) => new ProblemsError([{ rule, path: displayName(file), message, mend }]);
  let bytes: Buffer;
  try {
    bytes = readBytes(file, limitBytes + 1);
  } catch (error) {
    const rule = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'FileMissing' : 'FileNotReadable';
    throw new ProblemsError([Problems.unreadableFile(rule, displayName(file), error)]);
  }
  if (bytes.length > limitBytes) {
    throw refuse('FileTooLarge', `the file has more than ${limitBytes.toLocaleString('en-US')} bytes`, expected.tooLarge);
  }
  if (bytes.length === 0) {
    throw refuse('FileEmpty', 'the file is empty', `give the path of a file that holds ${expected.holds}`);
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!text.includes('\0')) {
      return text;
    }
  } catch {
    // not UTF-8: the same to the reader as a text with NUL in it.
  }
  throw refuse('FileNotText', 'the file is not text in UTF-8', isUtf16(bytes) ? 'it is UTF-16: save it as UTF-8' : 'give the path of a JSON or YAML file');
}

/** The name of a file for messages. */
export function displayName(file: string): string {
  return file === STANDARD_INPUT ? 'standard input' : file;
}

// in steps, since neither a pipe nor a device says how long it is.
function readBytes(file: string, most: number): Buffer {
  const descriptor = file === STANDARD_INPUT ? 0 : openSync(file, 'r');
  const parts: Buffer[] = [];
  let total = 0;
  try {
    while (total < most) {
      const part = Buffer.allocUnsafe(STEP);
      const read = readSync(descriptor, part, 0, Math.min(STEP, most - total), null);
      if (read === 0) {
        break;
      }
      parts.push(part.subarray(0, read));
      total += read;
    }
  } catch (error) {
    // a console that ends and a pipe without a writer end the text.
    if ((error as NodeJS.ErrnoException).code !== 'EOF') {
      throw error;
    }
  } finally {
    if (descriptor !== 0) {
      closeSync(descriptor);
    }
  }
  return Buffer.concat(parts);
}

function isUtf16(bytes: Buffer): boolean {
  return (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
}
