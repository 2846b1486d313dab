import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliProcess, ROOT } from './cli-process';

const EXAMPLE = join(ROOT, 'examples/specs/llama-3.3-70b-trn2.json');
const TWO_EACH = ['--set', 'prefill.instances=2', '--set', 'decode.instances=2'];
const folder = mkdtempSync(join(tmpdir(), 'simulate-'));

let cli: CliProcess;

beforeAll(() => {
  cli = new CliProcess();
});

test('a deployment as text', () => {
  const { status, stdout, stderr } = cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--requests', '10000']);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toMatch(/, disaggregated, 2 requests\/s of trace azure-2023-conv\.csv, 2\.73\/s in the busiest minute, 10000 requests, seed 0\n/);
  expect(stdout).toMatch(/^ +avg +min +max +p50 +p90 +p95 +p99$/m);
  for (const row of ['time to first token', 'time per output token', 'end to end']) {
    expect(stdout).toMatch(new RegExp(`^${row}( +[\\d.,]+ m?s){7}$`, 'm'));
  }
  expect(stdout).toMatch(/^requests per second that kept the objective +[\d.]+$/m);
  expect(stdout).toMatch(/^stage +engines +share of time with work +mean batch$/m);
  expect(stdout).toMatch(/^decode +2 +[01](\.\d+)? +[\d.]+ of \d+$/m);
  expect(stdout).toMatch(/^ttftSeconds p95 .*: held$/m);
  expect(stdout).not.toMatch(/NaN|undefined|\[object/);
});

test('every request as a line of JSON, the same for the same seed', () => {
  const lines = (seed: string, name: string) => {
    const path = join(folder, name);
    const { status, stdout } = cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--requests', '3000', '--seed', seed, '--jsonl', path, '--format', 'json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ schema: 'cdk-disaggregated-inference/simulation/v1', requests: 3000, seed: Number(seed) });
    return readFileSync(path, 'utf8');
  };
  const once = lines('5', 'once.jsonl');
  const requests = once.trimEnd().split('\n').map((line) => JSON.parse(line));
  expect(requests.map(({ request }) => request).sort((a, b) => a - b)).toEqual(Array.from({ length: 3000 }, (_, i) => i));
  expect(requests[0]).toEqual({
    request: expect.any(Number),
    arrivalSeconds: expect.any(Number),
    inputTokens: expect.any(Number),
    cachedTokens: 0,
    outputTokens: expect.any(Number),
    serviceTier: 'default',
    ttftSeconds: expect.any(Number),
    tpotSeconds: expect.any(Number),
    endToEndSeconds: expect.any(Number),
    prefillEngine: expect.any(Number),
    decodeEngine: expect.any(Number),
  });
  expect(lines('5', 'again.jsonl')).toBe(once);
  expect(lines('6', 'other.jsonl')).not.toBe(once);
});

describe('against a run that was measured', () => {
  const CPU = join(ROOT, 'examples/specs/llama-185m-cpu.json');
  const RUN = join(ROOT, 'examples/measurements/llama-185m-cpu-1-per-second.jsonl');
  const calibration = join(folder, 'calibration.json');

  beforeAll(() => {
    const unloaded = join(ROOT, 'examples/measurements/llama-185m-cpu-unloaded.jsonl');
    expect(cli.run(['calibrate', unloaded, '--spec', CPU, '--out', calibration])).toMatchObject({ status: 0, stderr: '' });
  });

  // as docs/ACCURACY.md has it
  test('each request is compared with what it met', () => {
    const { status, stdout, stderr } = cli.run(['simulate', CPU, '--calibration', calibration, '--against', RUN]);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^measured +avg +min +max +p50 +p90 +p95 +p99\ntime to first token +308 ms( +[\d.]+ m?s){6}\ntime per output token +25\.7 ms( +[\d.]+ m?s){6}$/m);
    expect(stdout).toMatch(/^time to first token +150 +308 ms +\d+ ms +-2\.5 % +6\.7 % +4\.3 % +-3\.2 %\ntime per output token +150 +25\.7 ms +26\.1 ms +\+1\.4 % +10\.1 % +5\.1 % +-0\.2 %$/m);
    const { comparisons, simulation } = JSON.parse(cli.run(['simulate', CPU, '--calibration', calibration, '--against', RUN, '--format', 'json']).stdout);
    expect(simulation).toMatchObject({ load: 'trace', requests: 150 });
    expect(comparisons.map(({ metric, count }: { metric: string; count: number }) => [metric, count])).toEqual([['ttft', 150], ['tpot', 150]]);
    expect(comparisons[0].predictedMeanSeconds).toBeCloseTo(simulation.ttftSeconds.avg, 9);
  });

  test('requests without measured times are load alone', () => {
    const log = join(folder, 'log.csv');
    writeFileSync(log, 'arrival_s,prompt_tokens,output_tokens,ttft_ms,e2e_ms\n1,64,1,90,90\n2,64,8,,\n3,64,8,90,\n9,64,8,90,230\n');
    const { comparisons } = JSON.parse(cli.run(['simulate', CPU, '--calibration', calibration, '--against', log, '--format', 'json']).stdout);
    expect(comparisons.map(({ metric, count }: { metric: string; count: number }) => [metric, count])).toEqual([['ttft', 3], ['tpot', 1]]);
    expect(comparisons[1].measuredSeconds.avg).toBeCloseTo(0.02, 9);
  });

  test.each<[string, string[], RegExp]>([
    ['a trace too', ['--against', RUN, '--trace', RUN], /\[--against\] the measured run says when requests come/],
    ['a log without times', ['--against', join(folder, 'untimed.csv')], /untimed\.csv\] the file holds no run of requests with measured times/],
    ['a calibration of other hardware', ['--against', RUN, '--set', 'decode.hardware=two cores'],
      /\[calibration\.accelerator\] the calibration is of one CPU core, and decode\.hardware is two cores/],
  ])('%s is refused', (_, args, message) => {
    writeFileSync(join(folder, 'untimed.csv'), 'arrivalSeconds,inputTokens,outputTokens\n0,64,8\n1,64,8\n');
    const { status, stderr } = cli.run(['simulate', CPU, '--calibration', calibration, ...args]);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });
});

test('a closed loop, and a trace', () => {
  const closed = cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--concurrency', '4', '--requests', '500', '--format', 'json']);
  expect(JSON.parse(closed.stdout)).toMatchObject({ load: 'closed-loop', requests: 500, mostInFlight: 4 });
  const trace = join(folder, 'trace.csv');
  writeFileSync(trace, 'arrivalSeconds,inputTokens,outputTokens\n0,100,10\n0.5,2000,20\n3,50,1\n');
  const replayed = cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--trace', trace, '--format', 'json']);
  expect(JSON.parse(replayed.stdout)).toMatchObject({ load: 'trace', requests: 3 });
  const own = cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--format', 'json']);
  expect(JSON.parse(own.stdout)).toMatchObject({ load: 'trace', requests: 19_366, requestsPerSecond: expect.closeTo(2, 2) });
});

test('exit codes tell a missed objective, wrong input and an overload apart', () => {
  expect(cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--set', 'objective.ttftSeconds=0.2']).status).toBe(1);
  const odd = cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--fail', 'decode:0']);
  expect(odd.status).toBe(2);
  expect(odd.stderr).toContain('this is no failure of an instance, got: "decode:0"');
  const wrong = cli.run(['simulate', EXAMPLE, '--jsonl', folder]);
  expect(wrong.status).toBe(2);
  expect(wrong.stderr).toContain('[FileNotWritable]');
  const options = cli.run(['simulate', EXAMPLE, '--seed=-1', '--requests', 'many', '--concurrency', '0']);
  expect(options.status).toBe(2);
  expect(options.stderr.match(/\[SimulationOptionOutOfRange\]/g)).toHaveLength(3);
  const kept = join(folder, 'kept.jsonl');
  writeFileSync(kept, 'before');
  expect(cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--jsonl', kept, '--fail', 'decode:7@1']).status).toBe(2);
  expect(readFileSync(kept, 'utf8')).toBe('before');
  const made = join(folder, 'made.jsonl');
  expect(cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--jsonl', made, '--seed', 'x']).status).toBe(2);
  expect(cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--jsonl', made, '--fail', 'decode:7@1']).status).toBe(2);
  expect(existsSync(made)).toBe(false);
  const overload = cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--requests', '1000', '--set', 'workload.requestsPerSecond=2000']);
  expect(overload.status).toBe(3);
  expect(overload.stdout).toMatch(/^no estimate, unstable at prefill: .*: short by \d+ prefill and \d+ decode instances$/m);
});

test('a run that is too short for the waits says how many requests would do', () => {
  const short = cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--requests', '2000', '--set', 'workload.requestsPerSecond=10']);
  expect(short.stdout).toMatch(/^2000 requests are too few: .* is \S+ m?s \+- \d+(\.\d+)? %; for \+- 10 %, simulate with --requests \d+$/m);
  expect(cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--requests', '10000', '--set', 'workload.requestsPerSecond=1']).stdout).not.toContain('too few');
});

test('everything that is wrong with the spec, the trace and the options is told at once', () => {
  const { status, stderr } = cli.run([
    'simulate', EXAMPLE, '--set', 'decode.hardware=trn2', '--trace', 'none.csv', '--requests', '1.5', '--seed', 'x', '--fail', 'decode', '--jsonl', 'none/x.jsonl',
  ]);
  expect(status).toBe(2);
  expect([...stderr.matchAll(/^ {2}\[(.*?)\]/gm)].map(([, path]) => path)).toEqual([
    'decode.hardware', 'none.csv', '--requests', '--seed', '--fail', 'none/x.jsonl',
  ]);
});

test('an option that is out of range and a calibration that is missing go by the names of their flags', () => {
  const paths = (...args: string[]) => [...cli.run(args).stderr.matchAll(/^ {2}\[(.*?)\].*?\[(\w+)\]$/gm)].map(([, path, rule]) => [path, rule]);
  expect(paths('simulate', EXAMPLE, ...TWO_EACH, '--seed', '99999999999', '--requests', '99999999999')).toEqual([
    ['--seed', 'SimulationOptionOutOfRange'], ['--requests', 'SimulationOptionOutOfRange'],
  ]);
  const { stderr } = cli.run(['search', EXAMPLE, '--hardware', 'p9', '--tensor-parallel-degree', '8', '--tensor-parallel-degree', 'many', '--serving', 'both']);
  expect([...stderr.matchAll(/^ {2}\[(.*?)\].*, got: (\S+)/gm)].map(([, path, value]) => [path, value])).toEqual([
    ['--hardware', '"p9"'], ['--serving', '"both"'], ['--tensor-parallel-degree', '"many"'],
  ]);
  const missing = cli.run(['estimate', EXAMPLE, '--calibration', 'none.json']);
  expect(missing.stderr).toMatch(/\[\S*none\.json\] there is no such file \(.* in --calibration, or .*\) \[CalibrationNotReadable\]/);
});

test('the router decides with --route, with a length of its own or the estimator\'s', () => {
  const readByDecode = (...options: string[]) =>
    JSON.parse(cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--requests', '2000', '--format', 'json', ...options]).stdout).readByDecodeRequests;
  expect(readByDecode()).toBe(0);
  expect(readByDecode('--route', '100000000')).toBe(2000);
  expect(readByDecode('--route')).toBeLessThan(2000);
  expect(cli.run(['simulate', EXAMPLE, '--route', 'all']).status).toBe(2);
});

test('a promise that too few were answered to keep is told so', () => {
  const { status, stdout } = cli.run(['simulate', EXAMPLE, '--set', 'prefill.instances=1', '--set', 'decode.instances=1', '--requests', '2000', '--fail', 'decode:0@60-120']);
  expect(status).toBe(1);
  expect(stdout).toMatch(/^ttftSeconds p95 of 1\.5 s: missed, as [\d.]+ % of the requests were answered with an error$/m);
});

test('an instance that fails is told in the table and in the lines of its requests', () => {
  const path = join(folder, 'failed.jsonl');
  const { stdout } = cli.run(['simulate', EXAMPLE, ...TWO_EACH, '--requests', '3000', '--fail', 'decode:1@60-120', '--jsonl', path]);
  const [, told] = /(\d+) requests were answered with an error as instances failed/.exec(stdout)!;
  const failed = readFileSync(path, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line)).filter((line) => 'failedAfterSeconds' in line);
  expect(failed).toHaveLength(Number(told));
  expect(failed.every(({ arrivalSeconds, failedAfterSeconds }) => Math.abs(arrivalSeconds + failedAfterSeconds - 60) < 1e-6)).toBe(true);
});
