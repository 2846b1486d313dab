import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { ProblemsError } from '../problems';

/**
 * Checks that a file can be written, before what takes long is done for it; nothing is made or changed, as input may still be refused.
 *
 * @param path of the file.
 * @throws ProblemsError if it cannot be written.
 */
export function checkWritable(path: string): void {
  writing(path, () => {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isDirectory()) {
      throw Object.assign(new Error(`${path} is a folder`), { code: 'EISDIR' });
    }
    // the slash at its end refuses what is no folder
    accessSync(found === undefined ? `${dirname(path)}/` : path, constants.W_OK);
  });
}

/**
 * Writes to a file, or opens it to be written.
 *
 * @param path of the file.
 * @param action what is done.
 * @returns what it returns.
 * @throws ProblemsError if the system refuses it.
 */
export function writing<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new ProblemsError([{
      rule: 'FileNotWritable',
      path,
      message: `the file cannot be written: ${(error as NodeJS.ErrnoException).code}`,
      mend: 'give a path that can be written',
    }]);
  }
}
