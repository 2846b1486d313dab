import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the package says of itself. */
export interface PackageFacts {
  readonly version: string;
  /** Address of the sources. */
  readonly homepage: string;
}

/** Reads package.json, which is beside the folder of the bundle. */
export function packageFacts(): PackageFacts {
  const { version, repository } = JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8'));
  return { version, homepage: repository.url.replace(/\.git$/, '') };
}
