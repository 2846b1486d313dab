// Bundles what the package ships ready to run: the CLI (bin/), the router's container (assets/router/), and beside them the JSON Schemas (assets/schema/).
// The output depends on the sources and package-lock.json alone, so image asset hashes are the same on every machine.
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const shared = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  charset: 'utf8',
  legalComments: 'eof',
  logLevel: 'warning',
};

rmSync(`${root}assets`, { recursive: true, force: true });
rmSync(`${root}bin`, { recursive: true, force: true });
mkdirSync(`${root}assets/router`, { recursive: true });

await build({
  ...shared,
  entryPoints: ['src/router/runtime/main.ts'],
  outfile: 'assets/router/index.js',
  target: 'node22',
});
copyFileSync(`${root}src/router/runtime/Dockerfile`, `${root}assets/router/Dockerfile`);

mkdirSync(`${root}assets/schema`);
for (const folder of ['src/estimator/schema', 'src/router/runtime']) {
  for (const file of readdirSync(root + folder).filter((name) => name.endsWith('.schema.json'))) {
    copyFileSync(`${root}${folder}/${file}`, `${root}assets/schema/${file}`);
  }
}

await build({
  ...shared,
  entryPoints: ['src/cli/main.ts'],
  outfile: 'bin/cdk-disaggregated-inference.js',
  target: 'node20',
  banner: { js: '#!/usr/bin/env node' },
});
