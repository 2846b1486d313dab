import { awscdk, DependencyType, javascript, JsonFile } from 'projen';

const NODE_FLOOR = '20.18.1';

/** The rooms of src/, each with the rooms that it may import. Enforced by eslint, see `importZones`. */
const ROOMS: Record<string, string[]> = {
  'hardware': [],
  'model': [],
  'workload': ['routing'],
  'routing': [],
  'estimator': ['hardware', 'model', 'workload', 'routing'],
  'validation': ['hardware', 'model'],
  'network': ['hardware', 'validation'],
  'decode': ['hardware', 'model', 'workload', 'estimator', 'network', 'validation'],
  'fleet': ['hardware', 'model', 'workload', 'estimator', 'network', 'decode', 'validation'],
  'router': ['hardware', 'model', 'workload', 'routing', 'estimator', 'network', 'fleet', 'decode', 'validation'],
  'annotation': ['hardware', 'model', 'workload', 'estimator'],
  'cli': ['hardware', 'model', 'workload', 'estimator', 'validation', 'router/runtime'],
  'router/runtime': ['routing'],
};

/** Files beside the rooms that any room may import. */
const SHARED = ['problems.ts', 'nearest.ts', 'json-text.ts', 'base-url.ts', 'valkey-url.ts', 'kv-connectors.ts', 'engine-image.ts', 'dns-label.ts', 'encrypted-logs.ts', 'managed-role.ts'];

/** Rooms that never see the CDK: they run in the CLI and in the router's container. */
const CDK_FREE_ROOMS = ['hardware', 'model', 'workload', 'routing', 'estimator', 'cli', 'router/runtime'];

const importZones = Object.entries(ROOMS).map(([room, allowed]) => ({
  target: `./src/${room}`,
  from: './src',
  except: [room, ...allowed, ...SHARED].map((path) => `./${path}`),
  message: `${room}/ may import only ${[...allowed, 'itself'].join(', ')}: see ROOMS in .projenrc.ts`,
}));

/** The rooms of the router's runtime, each with the rooms that it may import; what is not in it serves, and may import all. */
const RUNTIME_ROOMS: Record<string, string[]> = {
  wire: [],
  upstream: [],
  auth: ['wire'],
  targets: ['wire', 'upstream'],
  telemetry: ['targets', 'wire'],
  paths: ['targets', 'wire'],
  admission: ['paths', 'targets', 'telemetry', 'wire'],
  handoff: ['admission', 'paths', 'targets', 'telemetry', 'upstream', 'wire'],
  relay: ['targets', 'wire'],
  execution: ['admission', 'handoff', 'paths', 'relay', 'targets', 'telemetry', 'upstream', 'wire'],
};
/** Files beside them that any of them may import, and one that those may that know of requests. */
const RUNTIME_SHARED = ['body.ts', 'cancellation.ts', 'config.ts', 'hex-digits.ts', 'patience.ts'];
const KNOW_EXCHANGES = ['telemetry', 'paths', 'admission', 'handoff', 'relay', 'execution'];

importZones.push(...Object.entries(RUNTIME_ROOMS).map(([room, allowed]) => ({
  target: `./src/router/runtime/${room}`,
  from: './src/router/runtime',
  except: [room, ...allowed, ...RUNTIME_SHARED, ...(KNOW_EXCHANGES.includes(room) ? ['exchange.ts'] : [])].map((path) => `./${path}`),
  message: `${room}/ may import only ${[...allowed, 'itself'].join(', ')}: see RUNTIME_ROOMS in .projenrc.ts`,
})));
importZones.push({
  target: './src/estimator/simulation',
  from: './src/estimator/planner',
  except: [],
  message: 'plans are made with simulations, never the other way round',
});

const project = new awscdk.AwsCdkConstructLibrary({
  name: 'cdk-disaggregated-inference',
  description: 'AWS CDK constructs for disaggregated LLM inference: Trainium prefill, Cerebras CS-3 or Trainium decode, EFA, a Bedrock-facing router, synth-time validators and a performance estimator.',
  author: 'cdk-disaggregated-inference maintainers',
  authorAddress: 'maintainers@cdk-disaggregated-inference.example',
  authorOrganization: true,
  repositoryUrl: 'https://github.com/cdk-disaggregated-inference/cdk-disaggregated-inference.git',
  license: 'Apache-2.0',
  copyrightOwner: 'cdk-disaggregated-inference maintainers',
  stability: 'experimental',
  keywords: ['cdk', 'awscdk', 'aws-cdk', 'llm', 'inference', 'trainium', 'neuron', 'cerebras', 'efa', 'bedrock'],
  defaultReleaseBranch: 'main',

  packageManager: javascript.NodePackageManager.NPM,
  minNodeVersion: NODE_FLOOR,
  cdkVersion: '2.270.0',
  constructsVersion: '10.8.1',
  jsiiVersion: '~6.0.0',
  typescriptVersion: '^6.0.0',
  projenrcTs: true,
  github: false,
  release: false,
  depsUpgrade: false,
  sampleCode: false,
  npmignoreEnabled: false,
  docgen: true,
  experimentalIntegRunner: false,
  lambdaAutoDiscover: false,
  integrationTestAutoDiscover: false,
  lambdaExtensionAutoDiscover: false,

  peerDeps: ['cdk-nag@^3.0.2'],
  devDeps: [
    '@ai-sdk/amazon-bedrock@4.0.186',
    '@aws-sdk/client-auto-scaling@^3.1160.0',
    '@aws-sdk/client-bedrock-runtime@^3.1160.0',
    '@aws-sdk/client-cloudformation@^3.1160.0',
    '@aws-sdk/client-ec2@^3.1160.0',
    '@aws-sdk/client-ecs@^3.1160.0',
    '@aws-sdk/client-eks@^3.1160.0',
    '@cerebras/cerebras_cloud_sdk@1.91.0',
    '@langchain/aws@1.4.5',
    '@langchain/core@1.4.0',
    // only its copy of the SARIF schema, which it alone of the registry has.
    '@microsoft/jest-sarif@1.0.0-beta.0',
    '@opentelemetry/semantic-conventions@~1.45.0',
    '@smithy/eventstream-codec@^4.5.2',
    '@smithy/node-http-handler@^4.14.2',
    'ai@6.0.326',
    'aws-cdk@2.1148.1',
    'cdk-preflight@0.0.143',
    'cdk-nag@3.0.2',
    'constructs@10.8.1',
    'esbuild@0.28.2',
    'fast-check@^4.10.2',
    'fast-json-patch@^3.1.1',
    'openai@6.49.0',
    'projen@0.103.25',
    'tsx@^4.23.15',
    // bundled by esbuild into assets/ and bin/, so users install none of them.
    '@aws-sdk/client-secrets-manager@^3.1160.0',
    '@aws-sdk/credential-provider-node@^3.972.98',
    '@smithy/core@^3.41.0',
    '@smithy/signature-v4@^5.7.5',
    'ajv@^8.20.0',
    'commander@^14.0.0',
    '@opentelemetry/api@~1.9.0',
    // of one release: the last on Node 20 that has an exporter of metrics.
    '@opentelemetry/core@2.12.0',
    '@opentelemetry/exporter-metrics-otlp-http@0.223.0',
    '@opentelemetry/exporter-trace-otlp-http@0.223.0',
    '@opentelemetry/resources@2.12.0',
    '@opentelemetry/sdk-metrics@2.12.0',
    '@opentelemetry/sdk-trace-base@2.12.0',
    'iovalkey@~0.4.0',
    'jose@~5.10.0',
    'pino@^10.4.0',
    'prom-client@^15.1.3',
    'undici@^7.30.2',
    'yaml@^2.9.1',
  ],
  bin: { 'cdk-disaggregated-inference': 'bin/cdk-disaggregated-inference.mjs' },
  // bin/ is built, and only that one is for users.
  autoDetectBin: false,

  jest: true,
  jestOptions: {
    jestVersion: '^30',
    passWithNoTests: false,
    updateSnapshot: javascript.UpdateSnapshot.NEVER,
    jestConfig: {
      globalSetup: '<rootDir>/test/temporary-folder.js',
      setupFiles: ['<rootDir>/test/setup.js'],
      setupFilesAfterEnv: ['aws-cdk-lib/testhelpers/jest-autoclean'],
      collectCoverage: false,
      // synths and child processes of a busy machine take longer than jest's 5 s.
      testTimeout: 60_000,
      // jest's own choice leaves one of two cores idle, while many tests wait for time to pass.
      maxWorkers: '100%',
      // to look these up in a sandbox takes simulations four times as long.
      sandboxInjectedGlobals: ['Array', 'Float64Array', 'Infinity', 'Int32Array', 'Map', 'Math', 'Number', 'Object', 'Set'],
      testPathIgnorePatterns: ['/node_modules/', '<rootDir>/lib/', '<rootDir>/test/conformance/', '<rootDir>/test/deploy/', '<rootDir>/test/engines/'],
      modulePathIgnorePatterns: ['<rootDir>/lib/', '<rootDir>/cdk.out/', '<rootDir>/.venv/', '<rootDir>/.venv-deploy/', '<rootDir>/.venv-engines/'],
      moduleNameMapper: { '^cdk-disaggregated-inference$': '<rootDir>/src' },
    },
  },
  eslintOptions: { commandOptions: { fix: false }, dirs: ['src'], devdirs: ['test', 'examples', 'benchmark', 'projenrc'] },
  tsconfigDev: {
    include: ['../src/**/*.ts', '../examples/**/*.ts', '../benchmark/**/*.ts', '../projenrc/**/*.ts', '../.projenrc.ts'],
    compilerOptions: { paths: { 'cdk-disaggregated-inference': ['../src/index.ts'] } },
  },
  gitignore: ['/assets/', '/bin/', 'cdk.out', '.cdk.staging', '/jest-*.json', '.DS_Store', '*.log', '/tsconfig.tsbuildinfo', '/.venv/', '/.venv-deploy/', '/.venv-engines/', '/calibration.json'],
});

// an allowlist: what is new in the checkout is not shipped until it is named here. npm adds LICENSE, README.md and package.json.
project.package.addField('files', ['.jsii', 'API.md', 'assets', 'bin', 'lib']);

// fields are what their constructors make them: V8 knows no type of one that was undefined first, and boxes its numbers.
project.tsconfig?.file.addOverride('compilerOptions.useDefineForClassFields', false);

// the banner about Node 20's end of life, which jsii prints at every run.
project.compileTask.env('JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION', '1');

// unrs-resolver 1.13.0 lists platform packages that were never published, so `npm ci` fails on it.
project.package.addPackageResolutions('unrs-resolver@1.12.2');
// the peer floor is `cdkVersion`; development and tests run against the newest line that was checked.
project.deps.addDependency('aws-cdk-lib@2.276.0', DependencyType.DEVENV);

new JsonFile(project, 'cdk.json', {
  obj: {
    app: 'node --import ./projenrc/tsx.mjs examples/quick-start/main.ts',
    context: { '@aws-cdk/core:validateAgainstDefaultRules': true },
  },
});

for (const folder of ['examples', 'benchmark']) {
  new JsonFile(project, `${folder}/tsconfig.json`, {
    obj: { extends: '../test/tsconfig.json', include: ['**/*.ts'] },
  });
}

// ts-jest transpiles only, so the types of tests, examples and benchmarks are checked on their own.
project.testTask.exec('tsc --noEmit -p test/tsconfig.json');

const LONG_TESTS: Record<string, string> = {
  conformance: 'other checkers over the same templates, such as cfn-lint, and clients and receivers in Python of the router',
  deploy: 'the examples, created in AWS emulators',
  engines: 'the router and its clients over real vLLM engines',
};
for (const [folder, description] of Object.entries(LONG_TESTS)) {
  project.addTask(`test:${folder}`, {
    description: `Runs what needs a long install: ${description}`,
    exec: `jest --ci --testPathIgnorePatterns /node_modules/ --testMatch "<rootDir>/test/${folder}/**/*.test.ts"`,
    receiveArgs: true,
  });
}

// what users get without installing anything: the CLI and the router's container, each one byte-stable file.
const bundle = project.addTask('bundle', {
  description: 'Bundles the CLI into bin/ and the router into assets/router/',
  exec: 'node projenrc/bundle.mjs',
});
project.preCompileTask.spawn(bundle);

project.addTask('accuracy', {
  description: 'Measures how right the estimator is, and writes docs/ACCURACY.md',
  exec: 'tsx --tsconfig benchmark/tsconfig.json benchmark/accuracy.ts',
});
project.addTask('rules:page', {
  description: 'Writes RULES.md, the table of every rule',
  exec: 'tsx src/cli/main.ts rules --format markdown > RULES.md',
});
project.addTask('policy:page', {
  description: 'Writes POLICY.md, the table of what policy packs find',
  exec: 'tsx projenrc/policy-page.ts > POLICY.md',
});
const conformancePage = project.addTask('conformance:page', {
  description: 'Asks every client for every operation over every path of the router, and writes docs/CONFORMANCE.md',
});
conformancePage.spawn(project.tasks.tryFind('test:conformance')!, { args: ['--testPathPatterns', 'conformance/matrix.test'] });
conformancePage.exec('tsx projenrc/conformance-page.ts > docs/CONFORMANCE.md');
project.package.setScript('prepare', 'node projenrc/bundle.mjs');

project.eslint?.allowDevDeps('benchmark/**');
Object.assign(project.eslint?.config.settings['import/resolver'].typescript, { project: 'test/tsconfig.json' });
project.eslint?.addRules({
  'import/no-restricted-paths': ['error', { zones: importZones }],
  'no-console': 'error',
});
project.eslint?.addOverride({
  files: [
    ...CDK_FREE_ROOMS.map((room) => `src/${room}/**/*.ts`),
    // the rules themselves, which the CLI runs on any template.
    'src/validation/**/*.ts',
  ],
  excludedFiles: ['src/validation/{check-stacks,index,inference-*,resource-constructs}.ts'],
  rules: { 'no-restricted-imports': ['error', { patterns: ['aws-cdk-lib', 'aws-cdk-lib/*', 'constructs', 'cdk-nag'] }] },
});
project.eslint?.addOverride({
  // esbuild bundles what these two import.
  files: ['src/cli/**/*.ts', 'src/router/runtime/**/*.ts'],
  rules: { 'import/no-extraneous-dependencies': ['error', { devDependencies: true }] },
});
project.eslint?.addOverride({
  files: ['src/cli/**/*.ts', 'benchmark/**/*.ts', 'examples/**/*.ts'],
  rules: { 'no-console': 'off' },
});

project.synth();
