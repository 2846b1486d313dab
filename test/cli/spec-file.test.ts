import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { readSpec } from '../../src/cli/spec-file';
import { Problem, ProblemsError } from '../../src/problems';

const EXAMPLE = join(__dirname, '../../examples/specs/llama-3.3-70b-trn2.json');

function specFile(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'spec-')), 'spec.json');
  writeFileSync(path, text);
  return path;
}

function problemsOf(file: string, ...assignments: string[]): Problem[] {
  try {
    readSpec(file, assignments);
  } catch (error) {
    if (error instanceof ProblemsError) {
      return error.problems;
    }
    throw error;
  }
  return [];
}

test('a trace becomes a workload, relative to the spec file and at the rate asked for', () => {
  const spec = readSpec(EXAMPLE, ['workload.requestsPerSecond=4', 'decode.instances=3']);
  expect(spec.workload.source).toBe('trace azure-2023-conv.csv');
  expect(spec.workload.requestsPerSecond).toBeCloseTo(4, 12);
  expect(spec.workload.lengthClasses.length).toBeGreaterThan(50);
  expect(spec.decode).toEqual({ hardware: 'trn2.48xlarge', instances: 3 });
  expect(spec).not.toHaveProperty('$schema');
});

test('without a rate a trace keeps its own', () => {
  const spec = readSpec(EXAMPLE, ['workload={"trace":"../quick-start/azure-2023-conv.csv"}']);
  expect(spec.workload.requestsPerSecond).toBeCloseTo(5.53, 2);
});

test('--set takes JSON or a string, makes missing objects and reaches into arrays', () => {
  const spec = readSpec(EXAMPLE, [
    'workload={"source":"test","requestsPerSecond":1,"lengthClasses":[{"weight":1,"inputTokens":10,"outputTokens":2}]}',
    'workload.lengthClasses[0].outputTokens=7',
    'calibration.decode.decodeLayerSeconds=1e-4',
    'calibration.source=our own run',
    'prefill.promptBuckets=[128,256]',
    'name=a=b',
  ]);
  expect(spec.workload.lengthClasses).toEqual([{ weight: 1, inputTokens: 10, outputTokens: 7 }]);
  expect(spec.calibration).toEqual({ decode: { decodeLayerSeconds: 1e-4 }, source: 'our own run' });
  expect(spec.prefill?.promptBuckets).toEqual([128, 256]);
  expect(spec.name).toBe('a=b');
});

test.each([
  ['decode', /not an assignment/],
  ['=4', /not an assignment/],
  ['decode..instances=4', /not an assignment/],
  ['decode[0]=4', /not an array/],
  ['model.id.x=4', /not an object/],
  ['__proto__.polluted=1', undefined],
])('--set %s is refused', (assignment, message) => {
  const problems = problemsOf(EXAMPLE, assignment);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toEqual(expect.objectContaining(message
    ? { rule: 'SetNotApplicable', path: `--set ${assignment}`, message: expect.stringMatching(message) }
    : { rule: 'SpecPropertyUnknown', path: '__proto__' }));
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
});

test.each([
  ['decode.instnaces=4', 'decode.instnaces', 'SpecPropertyUnknown', 'did you mean "instances"?'],
  ['decod.instances=4', 'decod', 'SpecPropertyUnknown', 'did you mean "decode"?'],
  ['objective.qqqqqq=4', 'objective.qqqqqq', 'SpecPropertyUnknown', 'known are ttftSeconds, tpotSeconds, endToEndSeconds, percentile'],
  ['precision.weights=fp61', 'precision.weights', 'SpecValueUnknown', 'did you mean "fp16" or "fp8"?'],
  ['objective.percentile=97', 'objective.percentile', 'SpecValueUnknown', 'give one of 50, 90, 95, 99'],
  ['schema=v2', 'schema', 'SpecValueUnknown', 'give "cdk-disaggregated-inference/deployment-spec/v1"'],
  ['decode.instances=1.5', 'decode.instances', 'SpecTypeWrong', 'give a whole number'],
  ['decode.instances="4"', 'decode.instances', 'SpecTypeWrong', 'give a whole number'],
  ['decode.instances=0', 'decode.instances', 'SpecValueOutOfRange', 'it must be >= 1'],
  ['workload.requestsPerSecond=0', 'workload.requestsPerSecond', 'SpecValueOutOfRange', 'it must be > 0'],
  ['prefill.promptBuckets=[]', 'prefill.promptBuckets', 'SpecValueEmpty', 'give at least one'],
  ['decode={"instances":1}', 'decode.hardware', 'SpecPropertyMissing', expect.stringMatching(/^give it: name of the instance type/)],
])('%s: named with its path and its mend', (assignment, path, rule, mend) => {
  expect(problemsOf(EXAMPLE, assignment)).toEqual([expect.objectContaining({ path, rule, mend })]);
});

test('all problems of a file at once', () => {
  expect(problemsOf(specFile('{"model": {"id": 5}, "workload": {"trace": ""}, "decode": {"hardware": "cs-3"}, "modle": 1}')).map((p) => p.path).sort())
    .toEqual(['decode.instances', 'model.id', 'modle', 'schema', 'workload.trace']);
});

test('what does not fit together is told beside what is malformed, and nothing twice', () => {
  expect(problemsOf(EXAMPLE,
    'precision={"weights":"fp61"}', 'workload={"trace":"nowhere.csv","requestsPerSecond":-1}', 'prefill.hardware=trn2.48xlrage', 'prefill.tensorParallelDegree=0',
    'decode.tensorParallelDegree=1000', 'decode.wafersPerReplica=4', 'calibration={"accelerator":"h100","decode":{"decodeLayerSecond":1}}',
    'headroom={"growth":101}', 'objective={"percentile":95}', 'objective.ttftSeconds="0.9"',
  ).map(({ path, rule }) => `${path} ${rule}`).sort()).toEqual([
    'calibration.accelerator CalibrationOfOtherHardware',
    'calibration.decode.decodeLayerSecond CalibrationCoefficientUnknown',
    'decode.tensorParallelDegree TensorParallelDegreeTooHigh',
    'decode.wafersPerReplica WaferOptionWithoutWafer',
    'headroom.growth SpecValueOutOfRange',
    'objective.ttftSeconds SpecTypeWrong',
    expect.stringMatching(/\/nowhere\.csv TraceNotReadable$/),
    'precision.weights SpecValueUnknown',
    'prefill.hardware HardwareUnknown',
    'prefill.tensorParallelDegree SpecValueOutOfRange',
    'workload.requestsPerSecond SpecValueOutOfRange',
  ].sort());
});

/** Paths of all values in a value, its own first. */
function placesIn(value: unknown): string[][] {
  const items = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return [[], ...items.flatMap(([name, one]) => placesIn(one).map((path) => [name, ...path]))];
}

/** The value with another one at a path; the same where what the path leads through is no longer there. */
function put(value: unknown, [name, ...path]: string[], odd: unknown): unknown {
  if (name === undefined || typeof value !== 'object' || value === null) {
    return name === undefined ? odd : value;
  }
  return Object.assign(Array.isArray(value) ? [...value] : { ...value }, { [name]: put((value as { [name: string]: unknown })[name], path, odd) });
}

test('whatever is put anywhere into a spec is told or taken', () => {
  const whole: unknown = {
    ...JSON.parse(readFileSync(EXAMPLE, 'utf8')),
    workload: { source: 'test', requestsPerSecond: 1, lengthClasses: [{ weight: 1, inputTokens: 10, outputTokens: 2 }] },
    precision: { weights: 'fp8' },
    calibration: { decode: { decodeLayerSeconds: 1e-4 } },
    link: { blockTokens: 16 },
  };
  const change = fc.tuple(fc.constantFrom(...placesIn(whole).slice(1)), fc.jsonValue({ maxDepth: 2 }));
  fc.assert(fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
    const problems = problemsOf(specFile(JSON.stringify(changes.reduce((value, [path, odd]) => put(value, path, odd), whole))));
    expect(problems.filter(({ path, message, mend }) => /undefined|\[object/.test(`${path} ${message} ${mend}`))).toEqual([]);
    expect(new Set(problems.map(({ path, rule }) => `${path} ${rule}`)).size).toBe(problems.length);
  }), { numRuns: 100 });
});

test.each([
  ['{"a": 1,\n  b: 2}', '2:3', 'a property name in double quotes'],
  ['{"a": [1, 2', '1:12', '"," or "]"'],
  ['{"a": tru}', '1:7', 'a value'],
  ['{"a": 1} x', '1:10', 'the end of the text'],
  ['{"a" 1}', '1:6', '":"'],
  ['', '1:1', 'a value'],
  ['{"a": "x\n"}', '1:9', 'the end of a string, without control characters in it'],
])('broken JSON %j names line and column', (text, place, expected) => {
  const file = specFile(text);
  expect(problemsOf(file)).toEqual([expect.objectContaining({
    rule: 'SpecNotJson', path: `${file}:${place}`, message: `the spec is not JSON: expected ${expected}`,
  })]);
});

test('JSON with a character cut out is either still JSON or named with a place inside the text', () => {
  const text = JSON.stringify({ a: [1, -2.5e3, true, null, 'q"\\u00e9\n'], b: { c: {} } });
  fc.assert(fc.property(fc.nat({ max: text.length - 1 }), (at) => {
    const cut = text.slice(0, at) + text.slice(at + 1);
    const [problem] = problemsOf(specFile(cut));
    if (problem.rule === 'SpecNotJson') {
      expect(() => JSON.parse(cut)).toThrow();
      expect(Number(problem.path.split(':').pop())).toBeLessThanOrEqual(cut.length + 1);
    } else {
      expect(JSON.parse(cut)).toBeDefined();
    }
  }), { numRuns: 60 });
});

test('a file that is not there, and a spec that is no object', () => {
  expect(problemsOf('/nowhere.json')).toEqual([expect.objectContaining({ rule: 'SpecNotReadable', path: '/nowhere.json' })]);
  expect(problemsOf(specFile('[]'))).toEqual([expect.objectContaining({ rule: 'SpecTypeWrong', path: 'the spec' })]);
});

test('a trace that is malformed is named by line and column', () => {
  const trace = specFile('arrivalSeconds,inputTokens,outputTokens\n0,x,1\n');
  expect(problemsOf(EXAMPLE, `workload.trace=${trace}`)).toEqual([expect.objectContaining({ rule: 'TraceLengthNotAnInteger', path: `${trace}:2:3` })]);
});

test('--set of null takes a part out, and of another model the name of the old one', () => {
  const other = readSpec(EXAMPLE, ['prefill=null', 'model.id=qwen3-32b']);
  expect(other).not.toHaveProperty('prefill');
  expect([other.model.id, other.name]).toEqual(['qwen3-32b', undefined]);
  expect(readSpec(EXAMPLE, ['model.id=qwen3-32b', 'name=mine']).name).toBe('mine');
  expect(readSpec(EXAMPLE, ['decode.instances=null']).name).toMatch(/^Llama 3.3 70B/);
});
