// Packs the package, unpacks it into an empty app and uses it from there as a user would: the API, the CLI, the router's bundle.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const app = mkdtempSync(join(tmpdir(), 'smoke-'));
const modules = join(app, 'node_modules');
const installed = join(modules, 'cdk-disaggregated-inference');
mkdirSync(installed, { recursive: true });

const [{ filename, files }] = JSON.parse(execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', app], { cwd: root, encoding: 'utf8' }));
const paths = files.map((file) => file.path);
const foreign = paths.filter((path) => !/^(lib|assets|bin)\/|^(\.jsii|API\.md|LICENSE|README\.md|package\.json)$/.test(path));
if (foreign.length > 0) {
  throw new Error(`the package ships files that no user needs: ${foreign.join(', ')}`);
}
const schemas = readdirSync(join(root, 'assets/schema')).map((name) => `assets/schema/${name}`);
const needed = [
  '.jsii', 'LICENSE', 'README.md', 'lib/index.js', 'lib/index.d.ts', 'bin/cdk-disaggregated-inference.mjs', 'assets/router/index.js', 'assets/router/Dockerfile', ...schemas,
];
const missing = needed.filter((path) => !paths.includes(path));
if (missing.length > 0) {
  throw new Error(`the package lacks what users need: ${missing.join(', ')}`);
}
execFileSync('tar', ['-xzf', join(app, filename), '-C', installed, '--strip-components=1']);
for (const peer of ['aws-cdk-lib', 'constructs', 'cdk-nag']) {
  symlinkSync(join(root, 'node_modules', peer), join(modules, peer));
}

writeFileSync(join(app, 'app.js'), `
const { App, Stack, Duration, aws_s3: s3 } = require('aws-cdk-lib');
const di = require('cdk-disaggregated-inference');
const app = new App({ outdir: 'cdk.out' });
const stack = new Stack(app, 'Smoke');
const pool = { instanceType: di.NeuronInstanceType.TRN2_48XLARGE, purchase: di.Purchase.capacityBlock({ reservationId: 'cr-0123456789abcdef0', availabilityZone: 'us-east-2b' }) };
new di.DisaggregatedInference(stack, 'Chat', {
  model: di.ModelArchitecture.LLAMA_3_3_70B,
  workload: di.Workload.steady({ requestsPerSecond: 2, inputTokens: 1000, outputTokens: 200 }),
  objective: { timeToFirstToken: Duration.millis(900), timePerOutputToken: Duration.millis(30) },
  prefill: di.Prefill.trainium(pool),
  decode: di.Decode.trainium(pool),
  artifacts: di.ModelArtifacts.fromBucket(s3.Bucket.fromBucketName(stack, 'Models', 'amzn-s3-demo-bucket'), 'llama/'),
});
app.synth();
`);
execFileSync('node', ['app.js'], { cwd: app, env: { ...process.env, CDK_VALIDATION: 'false' }, stdio: 'inherit' });
const written = readdirSync(join(app, 'cdk.out'));
for (const expected of ['Smoke.template.json', 'Smoke.inference-estimate.json']) {
  if (!written.includes(expected)) {
    throw new Error(`${expected} was not synthesized from the installed package: ${written.join(', ')}`);
  }
}
execFileSync('node', [join(installed, 'bin/cdk-disaggregated-inference.mjs'), '--help'], { stdio: 'ignore' });
execFileSync('node', ['--check', join(installed, 'assets/router/index.js')]);
console.log(`the packed package works: ${files.length} files, ${written.length} entries in its cloud assembly`);
