import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { Random } from '../../src/estimator/simulation/random';
import { Problem, ProblemsError } from '../../src/problems';
import { RequestTrace } from '../../src/workload';

const AZURE = join(__dirname, '../../examples/quick-start/azure-2023-conv.csv');

function problemsOf(text: string): Problem[] {
  try {
    RequestTrace.fromText(text, 'bad.csv');
  } catch (error) {
    if (error instanceof ProblemsError) {
      return error.problems;
    }
    throw error;
  }
  return [];
}

describe('formats', () => {
  test('Azure trace with seven decimals', () => {
    const trace = RequestTrace.fromFile(AZURE);
    expect(trace.name).toBe('azure-2023-conv.csv');
    expect(trace.requests).toHaveLength(19366);
    expect(trace.requests[0]).toEqual({ line: 2, arrivalSeconds: 0, inputTokens: 374, cachedInputTokens: 0, outputTokens: 44 });
    // 18:15:50.9951690 - 18:15:46.6805900
    expect(trace.requests[1].arrivalSeconds).toBeCloseTo(4.314579, 7);
    expect(trace.requestsPerSecond).toBeCloseTo(5.5304, 4);
    expect(trace.interarrivalScv).toBeCloseTo(1.0590, 4);
    expect(trace.peakToMeanRatio).toBeCloseTo(1.3639, 4);
  });

  test('a steady trace has no busiest minute, and a rate that swings is none of its gaps', () => {
    // Poisson arrivals of one rate, or of a rate that is three times as high in the third of four quarters
    const random = new Random(7, 0);
    const arrivals = (rateAt: (seconds: number) => number) => {
      const rows = ['arrivalSeconds,inputTokens,outputTokens'];
      for (let seconds = 0; seconds < 3600; seconds += random.exponential() / rateAt(seconds)) {
        rows.push(`${seconds},100,10`);
      }
      return RequestTrace.fromText(rows.join('\n'), 't.csv');
    };
    const [even, swinging] = [arrivals(() => 4), arrivals((seconds) => Math.floor(seconds / 900) === 2 ? 6 : 2)];
    expect(even.interarrivalScv).toBeCloseTo(1, 1);
    expect(even.peakToMeanRatio).toBe(1);
    expect(swinging.interarrivalScv).toBeCloseTo(1, 1);
    expect(swinging.peakToMeanRatio).toBeCloseTo(2, 0);
    expect(swinging.scaled(2)).toMatchObject({ requestsPerSecond: expect.closeTo(2 * swinging.requestsPerSecond, 6) });
    expect(swinging.scaled(2).requests[9]).toEqual({ ...swinging.requests[9], arrivalSeconds: swinging.requests[9].arrivalSeconds / 2 });
    expect(() => swinging.scaled(0)).toThrow(/the factor is not a finite number above 0/);
  });

  test.each([
    ['seconds', 'arrivalSeconds,inputTokens,outputTokens\n10,5,6\n12.5,7,8'],
    ['timestamp as a name', 'timestamp,inputTokens,outputTokens\n10,5,6\n12.5,7,8'],
    ['any case, order and further columns', 'Model,OUTPUTTOKENS,InputTokens,ArrivalSeconds\nm,6,5,10\nm,8,7,12.5'],
    ['CRLF, BOM and blank lines', '\uFEFFarrivalSeconds,inputTokens,outputTokens\r\n10,5,6\r\n\r\n12.5,7,8\r\n\r\n'],
    ['quotes and spaces', '"arrivalSeconds", "inputTokens","outputTokens"\n"10","5", "6"\n12.5,"7",8\n'],
    ['quoted comma', 'note,arrivalSeconds,inputTokens,outputTokens\n"a, ""b""",10,5,6\nc,12.5,7,8\n'],
    ['dates over a minute', 'TIMESTAMP,ContextTokens,GeneratedTokens\n2024-02-29 23:59:58.5000000,5,6\n2024-03-01T00:00:01,7,8\n'],
    ['time zones', 'TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.5+02:00,5,6\n2024-05-09 22:00:03Z,7,8\n'],
  ])('%s', (_, text) => {
    const lastLine = text.trimEnd().split('\n').length;
    expect(RequestTrace.fromText(text, 'a/b.csv').requests).toEqual([
      { line: 2, arrivalSeconds: 0, inputTokens: 5, cachedInputTokens: 0, outputTokens: 6 },
      { line: lastLine, arrivalSeconds: 2.5, inputTokens: 7, cachedInputTokens: 0, outputTokens: 8 },
    ]);
  });

  test('Mooncake trace, the cached prefix is the leading run of known blocks', () => {
    const trace = RequestTrace.fromText([
      '{"timestamp": 1000, "input_length": 1200, "output_length": 5, "hash_ids": [0, 1, 2]}',
      '{"timestamp": 1000, "input_length": 1300, "output_length": 6, "hash_ids": [0, 1, 3]}',
      '{"timestamp": 4000, "input_length": 1024, "output_length": 7, "hash_ids": [0, 1]}',
      '{"timestamp": 4000, "input_length": 1500, "output_length": 8, "hash_ids": [9, 1, 3]}',
      '{"timestamp": 5000, "input_length": 90, "output_length": 9}',
    ].join('\n'), 'mooncake.jsonl');
    expect(trace.requests.map((r) => r.cachedInputTokens)).toEqual([0, 1024, 1023, 0, 0]);
    expect(trace.requests.map((r) => r.arrivalSeconds)).toEqual([0, 0, 3, 3, 4]);
    expect(trace.requestsPerSecond).toBe(5 / 4);
  });

  test('what is written as plain CSV is read back', () => {
    const row = fc.tuple(fc.integer({ min: 1, max: 10_000_000 }), fc.integer({ min: 1, max: 10_000_000 }));
    fc.assert(fc.property(fc.array(row, { minLength: 2, maxLength: 50 }), fc.constantFrom('\n', '\r\n'), (rows, eol) => {
      const text = ['arrivalSeconds,inputTokens,outputTokens', ...rows.map(([input, output], i) => `${i},${input},${output}`)].join(eol);
      expect(RequestTrace.fromText(text, 't').requests.map((r) => [r.inputTokens, r.outputTokens])).toEqual(rows);
    }));
  });
});

describe('malformed traces', () => {
  const header = 'arrivalSeconds,inputTokens,outputTokens\n';

  test.each([
    ['0,1.5,9', 'TraceLengthNotAnInteger', 'bad.csv:2:3', '"1.5"'],
    ['0,abc,9', 'TraceLengthNotAnInteger', 'bad.csv:2:3', '"abc"'],
    ['0,,9', 'TraceLengthNotAnInteger', 'bad.csv:2:3', '""'],
    ['0,0x10,9', 'TraceLengthNotAnInteger', 'bad.csv:2:3', '"0x10"'],
    ['0,12,0', 'TraceLengthOutOfRange', 'bad.csv:2:6', '"0"'],
    ['0,12,-4', 'TraceLengthOutOfRange', 'bad.csv:2:6', '"-4"'],
    ['0,10000001,4', 'TraceLengthOutOfRange', 'bad.csv:2:3', '"10000001"'],
    ['0,12', 'TraceRowTooShort', 'bad.csv:2:1', '"0,12"'],
    ['soon,12,4', 'TraceTimestampInvalid', 'bad.csv:2:1', '"soon"'],
    ['2023-11-31 00:00:00,12,4', 'TraceTimestampInvalid', 'bad.csv:2:1', '"2023-11-31 00:00:00"'],
    ['2023-11-30 00:00:60,12,4', 'TraceTimestampInvalid', 'bad.csv:2:1', '"2023-11-30 00:00:60"'],
    ['1700000000000,12,4', 'TraceTimestampNotSeconds', 'bad.csv:2:1', '"1700000000000"'],
  ])('%s', (row, rule, path, value) => {
    expect(problemsOf(header + row)).toEqual([expect.objectContaining({ rule, path, value, mend: expect.stringMatching(/\w/) })]);
  });

  test('a time of another kind than the first, and one out of order', () => {
    expect(problemsOf(`${header}5,1,1\n2023-11-30 00:00:00,1,1\n4,1,1\n6,1,1\n`)).toEqual([
      expect.objectContaining({ rule: 'TraceTimestampInvalid', path: 'bad.csv:3:1' }),
      expect.objectContaining({ rule: 'TraceOutOfOrder', path: 'bad.csv:4:1', value: '"4"' }),
    ]);
  });

  test('a request that arrives more than thirty years after the first', () => {
    expect(problemsOf(`${header}0,1,1\n5,1,1\n1000000001,1,1\n7,1,1\n`)).toEqual([
      expect.objectContaining({ rule: 'TraceSpanTooLong', path: 'bad.csv:4:1', value: '"1000000001"', mend: expect.stringMatching(/unit/) }),
    ]);
    expect(problemsOf([0, 1e18, 1e300].map((timestamp) => JSON.stringify({ timestamp, input_length: 5, output_length: 5 })).join('\n'))).toEqual([
      expect.objectContaining({ rule: 'TraceSpanTooLong', path: 'bad.csv:2:2', value: '1000000000000000000' }),
      expect.objectContaining({ rule: 'TraceSpanTooLong', path: 'bad.csv:3:2', value: '1e+300' }),
    ]);
  });

  test('every bad field of a row is named, 20 in all and the rest counted', () => {
    const problems = problemsOf(`${header}${Array.from({ length: 30 }, (_, i) => `x${10 + i},-${10 + i},y${10 + i}\n`).join('')}`);
    expect(problems.slice(0, 3).map((p) => p.path)).toEqual(['bad.csv:2:1', 'bad.csv:2:5', 'bad.csv:2:9']);
    expect(problems).toHaveLength(21);
    expect(problems[20]).toEqual(expect.objectContaining({ rule: 'MoreProblems', message: 'and 70 more' }));
  });

  test('a field that is bad alike in many rows is named once', () => {
    expect(problemsOf(`${header}${'1,0,5\n'.repeat(30)}`).map(({ path, message }) => `${path} ${message}`))
      .toEqual(['bad.csv:2:3 the input length is not between 1 and 10000000 tokens, here and in 29 more places']);
  });

  test('an unknown header names those that are understood', () => {
    const [problem, ...more] = problemsOf('when,prompt,answer\n1,2,3\n');
    expect(more).toEqual([]);
    expect(problem).toEqual(expect.objectContaining({ rule: 'TraceHeaderUnknown', path: 'bad.csv:1:1', value: '"when,prompt,answer"' }));
    expect(problem.mend).toContain('TIMESTAMP,ContextTokens,GeneratedTokens');
    expect(problem.mend).toContain('arrivalSeconds,inputTokens,outputTokens');
  });

  test.each([['', 'TraceEmpty'], ['\n \n', 'TraceEmpty'], [header, 'TraceEmpty'], [`${header}3,1,1\n`, 'TraceWithoutSpan'],
    [`${header}3,1,1\n3,2,2\n`, 'TraceWithoutSpan']])('%j has no workload in it', (text, rule) => {
    expect(problemsOf(text)).toEqual([expect.objectContaining({ rule })]);
  });

  test('a bad row of a Mooncake trace names its fields', () => {
    expect(problemsOf([
      '{"timestamp": 5, "input_length": 0, "output_length": "7"}',
      '{"timestamp": 4, "input_length": 5, "output_length": 5}',
      '{"timestamp": 6, "input_length": 9000, "output_length": 5, "hash_ids": [1, 2]}',
      '{"timestamp": 7, "input_length": 9, output_length: 5}',
      '[1]',
      '{"input_length": 9, "output_length": 5}',
    ].join('\n')).map((p) => `${p.path} ${p.rule}`)).toEqual([
      'bad.csv:1:18 TraceLengthOutOfRange',
      'bad.csv:1:37 TraceLengthNotAnInteger',
      'bad.csv:2:2 TraceOutOfOrder',
      'bad.csv:3:60 TraceBlocksMismatch',
      'bad.csv:4:37 TraceRowNotJson',
      'bad.csv:5:1 TraceRowNotAnObject',
      'bad.csv:6:1 TraceTimestampInvalid',
    ]);
  });

  test('a file that is not there', () => {
    expect(() => RequestTrace.fromFile('/nowhere/t.csv')).toThrow('[/nowhere/t.csv] there is no such file (give the path of a file that exists) [TraceNotReadable]');
  });

  test('messages of a file name its path', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'trace-')), 't.csv');
    writeFileSync(path, `${header}1,2,three\n`);
    expect(() => RequestTrace.fromFile(path)).toThrow(`[${path}:2:5]`);
  });
});

test('a path that is no file is refused, without reading what never ends', () => {
  for (const path of ['/dev/zero', __dirname, join(__dirname, 'missing.csv')]) {
    expect(() => RequestTrace.fromFile(path)).toThrow(/(this is no file|there is no such file) .*\[TraceNotReadable\]/);
  }
});
