import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020';
import { CliProcess, ROOT, Run } from './cli-process';

const EXAMPLE = join(ROOT, 'examples/specs/llama-3.3-70b-trn2.json');
const ONE_EACH = ['--set', 'prefill.instances=1', '--set', 'decode.instances=1'];

let cli: CliProcess;

beforeAll(() => {
  cli = new CliProcess();
});

function run(args: string[], input?: string): Run {
  return cli.run(args, input);
}

function validator(name: string) {
  const ajv = new Ajv2020({ allErrors: true });
  for (const file of ['deployment-spec', 'estimate', 'fleet-plan', 'fleet-search', 'simulation']) {
    ajv.addSchema(JSON.parse(readFileSync(join(ROOT, `src/estimator/schema/${file}.v1.schema.json`), 'utf8')));
  }
  return ajv.getSchema(`cdk-disaggregated-inference/${name}/v1`)!;
}

test('estimate of Llama 3.3 70B on Trainium2 as text', () => {
  const { status, stdout, stderr } = run(['estimate', EXAMPLE]);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toMatch(/^Llama 3\.3 70B.*, disaggregated, 2 requests\/s of trace azure-2023-conv\.csv, 2\.73\/s in the busiest minute\nconfidence (high|medium|low): \w/);
  expect(stdout).toMatch(/^ +mean +p50 +p90 +p95 +p99$/m);
  for (const row of ['time to first token', 'time per output token', 'end to end']) {
    expect(stdout).toMatch(new RegExp(`^${row}( +[\\d.,]+ m?s){5}\\n  80 % interval( +[\\d.,]+ m?s\\.\\.[\\d.,]+ m?s){5}$`, 'm'));
  }
  expect(stdout).toMatch(/^prefill +trn2\.48xlarge +\d+ +\d+/m);
  expect(stdout).toMatch(/^decode +trn2\.48xlarge +\d+ +\d+/m);
  expect(stdout).toMatch(/^USD per million output tokens +\S+/m);
  expect(stdout).toMatch(/^ {2}time to first token +p95 .* held, \d+ ms as simulated$/m);
  expect(stdout).not.toMatch(/NaN|undefined|\[object/);
});

test('estimate as JSON follows its schema, and says when the objective is missed', () => {
  const { status, stdout } = run(['estimate', EXAMPLE, ...ONE_EACH, '--format', 'json', '--set', 'objective.ttftSeconds=0.000001']);
  const estimate = JSON.parse(stdout);
  const validate = validator('estimate');
  expect([validate(estimate), validate.errors]).toEqual([true, null]);
  expect(estimate.objectives.find((verdict: any) => verdict.metric === 'ttftSeconds').verdict).toBe('missed');
  expect(status).toBe(1);
});

test('a promise that only a simulation can judge is neither held nor missed', () => {
  const { status, stdout } = run(['estimate', join(ROOT, 'examples/specs/qwen3-32b-p5.json'), '--set', 'workload.requestsPerSecond=8',
    '--set', 'workload.interarrivalScv=20', '--set', 'objective.ttftSeconds=0.3']);
  expect(stdout).toMatch(/^ {2}time to first token +p95 .* unknown: simulate tells$/m);
  expect(status).toBe(1);
});

test('a load beyond the fleet is refused, with the spec from standard input', () => {
  const spec = JSON.parse(readFileSync(EXAMPLE, 'utf8'));
  spec.workload.trace = join(ROOT, 'examples/quick-start/azure-2023-conv.csv');
  const { status, stdout, stderr } = run(['estimate', '-', ...ONE_EACH, '--format', 'json', '--set', 'workload.requestsPerSecond=100000'], JSON.stringify(spec));
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual({ refusal: expect.objectContaining({ kind: 'unstable', reason: expect.any(String), mend: expect.any(String) }) });
  expect(status).toBe(3);
});

test('plan finds a fleet and says why others were rejected', () => {
  const args = ['plan', EXAMPLE];
  const text = run(args);
  expect(text.stderr).toBe('');
  expect(text.status).toBe(0);
  expect(text.stdout).toMatch(/^rejected: prefill +decode +TP +USD\/h +because\n( +\d+ +\d+ +\d+ +\S+ +\w.*\n)+/m);

  const plan = JSON.parse(run([...args, '--format', 'json']).stdout);
  const validate = validator('fleet-plan');
  expect([validate(plan), validate.errors]).toEqual([true, null]);
  expect(plan.outcome.estimate.spec.decode.instances).toBeGreaterThanOrEqual(1);
});

test('search tells the cheapest fleet, what more money buys and why the rest was rejected', () => {
  const args = ['search', EXAMPLE, '--hardware', 'trn2.48xlarge', '--hardware', 'p5en.48xlarge', '--tensor-parallel-degree', '8'];
  const text = run(args);
  expect([text.status, text.stderr]).toEqual([0, '']);
  expect(text.stdout).toMatch(/^the cheapest of 4 combinations, and what more money buys, confirmed by simulation\n\nUSD\/h +TTFT +TPOT +end to end +prefill +decode\n( *[\d.]+ .* x .*\n)+/m);
  expect(text.stdout).toMatch(/^rejected: prefill +decode +USD\/h +because$/m);
  expect(text.stdout).not.toMatch(/NaN|undefined|\[object/);

  const found = JSON.parse(run([...args, '--no-simulate', '--serving', 'aggregated', '--format', 'json']).stdout);
  const validate = validator('fleet-search');
  expect([validate(found), validate.errors]).toEqual([true, null]);
  expect([found.solver, found.considered]).toEqual(['closed-form', 2]);

  const none = run([...args, '--set', 'objective.ttftSeconds=0.001']);
  expect([none.status, none.stdout.split('\n')[0]]).toEqual([3, expect.stringMatching(/^no estimate, infeasible: none of 4 combinations holds the objective/)]);
});

test('serve says everything that is wrong with its configuration', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'serve-')), 'router.json');
  writeFileSync(file, JSON.stringify({ schema: 'cdk-disaggregated-inference/router-config/v1', model: { id: 'm', servedNames: [] }, targets: [], auth: 'nobody' }));
  const { status, stdout, stderr } = run(['serve', '--config', file]);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(new RegExp(`^3 problems in ${file}\n`));
  expect(stderr).toContain('the authentication is not understood, got: "nobody" (use "none", {"apiKeysEnv": "NAME"} or');
  expect(run(['serve', '--config', `${file}x`]).stderr).toMatch(/ {2}\[--config\] there is no such file/);
});

test('a port that is in use is wrong input, and nothing goes on', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const file = join(mkdtempSync(join(tmpdir(), 'serve-')), 'router.json');
  writeFileSync(file, JSON.stringify({
    schema: 'cdk-disaggregated-inference/router-config/v1',
    model: { id: 'm', servedNames: ['m'] },
    host: '127.0.0.1',
    port,
    auth: 'none',
    targets: [{ name: 'engines', role: 'aggregated', protocol: 'openai', url: 'http://127.0.0.1:9' }],
  }));
  expect(run(['emulate', EXAMPLE, '--port', String(port)])).toEqual({
    status: 2,
    stdout: '',
    stderr: `1 problem in ${EXAMPLE}\n  [--port] 127.0.0.1:${port} is in use (stop what listens there, or give --port 0) [PortInUse]\n`,
  });
  const { status, stderr } = run(['serve', '--config', file]);
  expect([status, stderr]).toEqual([2,
    `1 problem in ${file}\n  [config.port] 127.0.0.1:${port} is in use (stop what listens there, or give another port; 0 takes a free one) [PortInUse]\n`]);
  other.close();
});

test('models lists what a spec can name', () => {
  const { status, stdout } = run(['models']);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^llama-3\.3-70b +70\.6 +69\.5 +131072 +327680 +meta-llama\/Llama-3\.3-70B-Instruct$/m);
  const listed: { id: string }[] = JSON.parse(run(['models', '--format', 'json']).stdout);
  expect(listed.map(({ id }) => id)).toEqual(expect.arrayContaining(['llama-3.1-8b', 'deepseek-v3', 'gpt-oss-120b']));
  expect(run(['estimate', EXAMPLE, '--set', 'model.id=zzzzzz']).stderr).toContain('the command "models" lists');
});

test('simulate as JSON follows its schema', () => {
  const simulation = JSON.parse(run(['simulate', EXAMPLE, '--requests', '500', '--format', 'json']).stdout);
  const validate = validator('simulation');
  expect([validate(simulation), validate.errors]).toEqual([true, null]);
});

test('the commands of the README work as they stand there', () => {
  const commands = [...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/^npx cdk-disaggregated-inference (.*[^&])$/gm)].map((match) => match[1].split(' '));
  expect(commands.length).toBeGreaterThan(1);
  // one of them checks what the README has synthesized before.
  const synth = spawnSync('npx', ['cdk', 'synth', '--quiet', '--no-notices'], { cwd: ROOT, encoding: 'utf8' });
  expect([synth.status, synth.error]).toEqual([0, undefined]);
  for (const args of commands) {
    const { status, stderr } = run(args);
    expect([args, status, stderr]).toEqual([args, 0, '']);
  }
}, 120_000);

test('wrong input is told in sentences on standard error', () => {
  const { status, stdout, stderr } = run(['estimate', EXAMPLE, '--set', 'decode.instnaces=4', '--set', 'objective.percentile=97']);
  expect(stdout).toBe('');
  expect(stderr).toBe([
    `2 problems in ${EXAMPLE}`,
    '  [objective.percentile] there is no such value, got: 97 (give one of 50, 90, 95, 99) [SpecValueUnknown]',
    '  [decode.instnaces] there is no such property, got: 4 (did you mean "instances"?) [SpecPropertyUnknown]',
    '',
  ].join('\n'));
  expect(status).toBe(2);
});

test('what the estimator refuses is wrong input too', () => {
  const { status, stderr } = run(['estimate', EXAMPLE, '--set', 'decode.hardware=trn2.48xlrage']);
  expect(stderr).toMatch(/^1 problem in .*\n {2}\[decode\.hardware\] .*"trn2\.48xlrage"/);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(status).toBe(2);
});

test('broken JSON names line and column', () => {
  const { status, stderr } = run(['plan', '-'], '{\n  "schema": nope\n}');
  expect(stderr).toBe('1 problem in standard input\n  [standard input:2:13] the spec is not JSON: expected a value (mend the text at this place) [SpecNotJson]\n');
  expect(status).toBe(2);
});

test('usage errors and help', () => {
  expect(run(['estimat', EXAMPLE])).toEqual({ status: 2, stdout: '', stderr: "error: unknown command 'estimat'\n(Did you mean estimate?)\nsee cdk-disaggregated-inference --help\n" });
  expect(run(['estimate', EXAMPLE, '--sett', 'a=1']).stderr).toBe("error: unknown option '--sett'\n(Did you mean --set?)\nsee cdk-disaggregated-inference estimate --help\n");
  expect(run(['plan']).stderr).toBe("error: missing required argument 'spec'\nsee cdk-disaggregated-inference plan --help\n");
  expect(run(['--version'])).toEqual({ status: 0, stdout: `${JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version}\n`, stderr: '' });
  const help = run(['estimate', '--help']);
  expect(help.status).toBe(0);
  expect(help.stdout).toMatch(/--set <path=value>/);
  expect(help.stdout).toMatch(/1 {3}the objective is missed[^]*2 {3}wrong input[^]*3 {3}no estimate/);
});
