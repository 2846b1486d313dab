// The built-in CloudFormation validator costs 1.3 to 2 s in each test file; validated-synth.test.ts runs it over every example.
process.env.CDK_VALIDATION = 'false';
// a property test gives the same answer at every run; the laws are tried with other seeds by `FAST_CHECK_SEED=<n> npm test`.
require('fast-check').configureGlobal({ seed: Number(process.env.FAST_CHECK_SEED ?? 20261124) });
