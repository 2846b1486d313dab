import { openSync } from 'node:fs';
import { ProblemsError } from '../problems';

/**
 * Opens a file to write at its end, so that what takes long is done after it is known to be writable; what is in it stays until it is emptied.
 *
 * @param path of the file.
 * @returns its descriptor.
 * @throws ProblemsError if it cannot be written.
 */
export function openToWrite(path: string): number {
  try {
    return openSync(path, 'a');
  } catch (error) {
    throw new ProblemsError([{
      rule: 'FileNotWritable',
      path,
      message: `the file cannot be written: ${(error as NodeJS.ErrnoException).code}`,
      mend: 'give a path that can be written',
    }]);
  }
}
