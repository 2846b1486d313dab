// Bundles what the package ships ready to run: the CLI (bin/), the router's container (assets/router/), and beside them the JSON Schemas (assets/schema/).
// The output depends on the sources and package-lock.json alone, so image asset hashes are the same on every machine.
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
// a folder to write into; the package unless told.
const out = process.argv[2] ? resolve(process.argv[2]) : root;
const shared = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  // ES modules first, of which what is not used is left out.
  mainFields: ['module', 'main'],
  charset: 'utf8',
  legalComments: 'eof',
  logLevel: 'warning',
};

rmSync(join(out, 'assets'), { recursive: true, force: true });
rmSync(join(out, 'bin'), { recursive: true, force: true });
mkdirSync(join(out, 'assets/router'), { recursive: true });

await build({
  ...shared,
  entryPoints: ['src/router/runtime/main.ts'],
  outfile: join(out, 'assets/router/index.js'),
  format: 'cjs',
  target: 'node22',
});
copyFileSync(join(root, 'src/router/runtime/Dockerfile'), join(out, 'assets/router/Dockerfile'));

mkdirSync(join(out, 'assets/schema'));
for (const folder of ['src/estimator/schema', 'src/router/runtime']) {
  for (const file of readdirSync(join(root, folder)).filter((name) => name.endsWith('.schema.json'))) {
    copyFileSync(join(root, folder, file), join(out, 'assets/schema', file));
  }
}

// in chunks, so that a command loads what it needs alone: only ES modules can be split, and what is bundled expects what CommonJS has.
await build({
  ...shared,
  entryPoints: { 'cdk-disaggregated-inference': 'src/cli/main.ts' },
  outdir: join(out, 'bin'),
  outExtension: { '.js': '.mjs' },
  format: 'esm',
  splitting: true,
  target: 'node20',
  banner: {
    js: [
      '#!/usr/bin/env node',
      "import { createRequire } from 'node:module';",
      'const require = createRequire(import.meta.url);',
      'const __dirname = import.meta.dirname;',
    ].join('\n'),
  },
});
// npm makes it so when it links the command, which is not again after a further build.
chmodSync(join(out, 'bin/cdk-disaggregated-inference.mjs'), 0o755);
