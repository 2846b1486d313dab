// Runs the TypeScript of examples/ as it stands, without a type check: `node --import ./projenrc/tsx.mjs examples/quick-start/main.ts`.
process.env.TSX_TSCONFIG_PATH ??= 'examples/tsconfig.json';
await import('tsx');
