// The built-in CloudFormation validator costs 1.3 to 2 s in each test file; validated-synth.test.ts runs it over every example.
process.env.CDK_VALIDATION = 'false';
