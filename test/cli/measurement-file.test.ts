import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readMeasurements } from '../../src/cli/measurement-file';
import { ProblemsError } from '../../src/problems';

const NOTHING = { prompts: [], steps: [], loops: [], logs: [] };
const REQUEST = { arrivalSeconds: 0, inputTokens: 100, outputTokens: 11, ttftSeconds: 0.25, endToEndSeconds: 0.75 };
const VLLM = { input_lens: [100], output_lens: [11], ttfts: [0.25], itls: [Array<unknown>(10).fill(0.05)], start_times: [1], errors: [''] };

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'calibrate-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

function refusal(name: string, content: unknown): string {
  try {
    readMeasurements([write(name, content)]);
  } catch (error) {
    expect(error).toBeInstanceOf(ProblemsError);
    return (error as Error).message.replaceAll(`${folder}/`, '');
  }
  return 'none';
}

describe('measurements', () => {
  test.each<[string, string, unknown, object]>([
    ['requests as JSON Lines, in any order', 'a.jsonl', [
      { ...REQUEST, arrivalSeconds: 7.5 }, { ...REQUEST, arrivalSeconds: 5 },
    ].map((one) => JSON.stringify(one)).join('\n'), { ...NOTHING, logs: [[REQUEST, { ...REQUEST, arrivalSeconds: 2.5 }]] }],
    ['requests whose times are not known', 'a.json', [{ arrival_s: 3, input_tokens: 100, output_tokens: 11 }], {
      ...NOTHING, logs: [[{ arrivalSeconds: 0, inputTokens: 100, outputTokens: 11 }]],
    }],
    ['prompts, steps and loops as CSV, times in milliseconds', 'a.csv', [
      'inputTokens,outputTokens,concurrency,ttftMs,tpot_ms,sequences,context_tokens,step_ms',
      '128,,,250,,,,', '128,64,8,500,"20",,,', ',,,,,4,512,10', '',
    ].join('\r\n'), {
      ...NOTHING,
      prompts: [{ inputTokens: 128, ttftSeconds: 0.25 }],
      loops: [{ concurrency: 8, inputTokens: 128, outputTokens: 64, ttftSeconds: 0.5, tpotSeconds: 0.02 }],
      steps: [{ sequences: 4, contextTokens: 512, stepSeconds: 0.01 }],
    }],
    ['a result of vllm bench serve', 'vllm.json', {
      ...VLLM, completed: 1, input_lens: [100, 50], output_lens: [11, 0], ttfts: [0.25, 0], itls: [...VLLM.itls, []], start_times: [1000.5, 1001], errors: ['', 'refused'],
    }, { ...NOTHING, logs: [[REQUEST]] }],
    ['results of vllm bench serve in lines, each of which is a run', 'vllm.json', `${JSON.stringify(VLLM)}\n${JSON.stringify({ ...VLLM, errors: undefined })}`, {
      ...NOTHING, logs: [[REQUEST], [REQUEST]],
    }],
    ['a list of results of vllm bench serve, and of requests of another run', 'vllm.json', [VLLM, REQUEST, VLLM, { ...REQUEST, arrivalSeconds: 2 }], {
      ...NOTHING, logs: [[REQUEST], [REQUEST, { ...REQUEST, arrivalSeconds: 2 }], [REQUEST]],
    }],
    ['records of aiperf', 'profile_export.jsonl', [
      { metadata: { request_start_ns: 1759813207532900363, benchmark_phase: 'warmup' }, metrics: {}, error: null },
      {
        metadata: { request_start_ns: 1759813207532900363, benchmark_phase: 'profiling', was_cancelled: false },
        metrics: {
          input_sequence_length: { value: 100, unit: 'tokens' },
          output_sequence_length: { value: 11, unit: 'tokens' },
          time_to_first_token: { value: 250, unit: 'ms' },
          request_latency: { value: 750, unit: 'ms' },
        },
        error: null,
      },
      { metadata: { request_start_ns: 1, was_cancelled: true }, metrics: null, error: { code: 499 } },
    ].map((one) => JSON.stringify(one)).join('\n'), { ...NOTHING, logs: [[REQUEST]] }],
    ['a summary of aiperf', 'profile_export_aiperf.json', {
      time_to_first_token: { unit: 'ms', avg: 250 },
      inter_token_latency: { unit: 'ms', avg: 50 },
      input_sequence_length: { unit: 'tokens', avg: 100 },
      output_sequence_length: { unit: 'tokens', avg: 11 },
      input_config: { loadgen: { concurrency: 4 } },
    }, { ...NOTHING, loops: [{ concurrency: 4, inputTokens: 100, outputTokens: 11, ttftSeconds: 0.25, tpotSeconds: 0.05 }] }],
    ['benchmarks of guidellm', 'benchmarks.json', {
      benchmarks: [{
        requests: {
          successful: [{ request_start_time: 1700000000, prompt_tokens: 100, output_tokens: 11, time_to_first_token_ms: 250, request_latency: 0.75 }],
          errored: [{}],
        },
      }],
    }, { ...NOTHING, logs: [[REQUEST]] }],
    ['prompts of an idle engine that have arrivals', 'a.jsonl', [
      '{"id": "p-0", "arrival_s": 0.2, "sent_s": 0.2, "prompt_tokens": 16, "output_tokens": 1, "chunks": 1, "ttft_ms": 34.4, "e2e_ms": 34.4, "tpot_ms": null, "kind": "unloaded_prefill"}',
      '{"id": "p-1", "arrival_s": 0.3, "sent_s": 0.3, "prompt_tokens": 64, "output_tokens": 1, "chunks": 1, "ttft_ms": 76, "e2e_ms": 76, "tpot_ms": null, "kind": "unloaded_prefill"}',
    ].join('\n'), { ...NOTHING, prompts: [{ inputTokens: 16, ttftSeconds: 0.0344 }, { inputTokens: 64, ttftSeconds: 0.076 }] }],
    ['decode steps with several statistics', 'a.jsonl', [
      { kind: 'decode_step', batch: 4, context: 64, out: 40, steps: 37, step_ms_med: 19.2, step_ms_mean: 20, step_ms_p10: 17 },
      { batch: 1, context: 64, step_ms_p50: 17, step_ms_p99: 30 },
    ].map((one) => JSON.stringify(one)).join('\n'), {
      ...NOTHING, steps: [{ sequences: 4, contextTokens: 84, stepSeconds: 0.02 }, { sequences: 1, contextTokens: 64, stepSeconds: 0.017 }],
    }],
    ['requests in the order of their ends, sent later than due', 'a.jsonl', [
      '{"id": 2, "arrival_s": 3, "sent_s": 4.5, "prompt_tokens": 100, "output_tokens": 11, "ttft_ms": 250, "e2e_ms": 750, "tpot_ms": 50, "kind": "poisson", "rate": 1.0}',
      '{"id": 0, "arrival_s": 2, "sent_s": 2, "prompt_tokens": 100, "output_tokens": 11, "ttft_ms": 250, "tpot_ms": 50, "kind": "poisson", "rate": 1.0}',
    ].join('\n'), { ...NOTHING, logs: [[REQUEST, { ...REQUEST, arrivalSeconds: 2.5 }]] }],
    ['an engine\'s log, which has times of its own clock', 'a.jsonl', [
      { request_id: 'b-0', input_toks: 100, output_toks: 11, arrival_time: 1787267980, queued_ts: 27.5, scheduled_ts: 27.6, first_token_ts: 27.75, last_token_ts: 28.25 },
      { request_id: 'b-1', input_toks: 100, output_toks: 11, arrival_time: 1787267985, queued_ts: 30, scheduled_ts: 30, first_token_ts: 30.25, last_token_ts: 30.75 },
    ].map((one) => JSON.stringify(one)).join('\n'), { ...NOTHING, logs: [[REQUEST, { ...REQUEST, arrivalSeconds: 2.5 }]] }],
    ['a table of batches', 'a.csv', [
      'Model,Inst. Type,TTFT Latency P50 (ms),TTFT Latency P99 (ms),TPOT Latency P50 (ms),TPOT Latency P99 (ms),TP Degree,Batch Size,'
        + 'Sequence Length,Input Length,Output Length',
      'Llama-2-70b,trn1.32xlarge,130,190,28,29,32,4,256,128,100',
    ].join('\n'), {
      ...NOTHING,
      prompts: [{ inputTokens: 128, prompts: 4, ttftSeconds: 0.13 }],
      steps: [{ sequences: 4, contextTokens: 178, stepSeconds: 0.028 }],
      tensorParallelDegree: 32,
    }],
    ['a table of metrics of aiperf', 'profile_export_aiperf.csv', [
      'Metric,avg,min,max,sum,p1,p5,p10,p25,p50,p75,p90,p95,p99,std', 'Effective Concurrency,3.98,0.00,4.00,,,,,,4.00,,4.00,4.00,4.00,0.14',
      'Input Sequence Length (tokens),100.00,100,100,,,,,,100,,100,100,100,0', 'Inter Token Latency (ms),50.00,40.00,60.00,,,,,,50.00,,55.00,55.00,59.00,3.00',
      'Output Sequence Length (tokens),11.00,11,11,,,,,,11,,11,11,11,0', 'Time to First Token (ms),250.00,1.00,300.00,,,,,,250.00,,280.00,290.00,300.00,2.00',
      '', 'Metric,Value', 'Request Count,12', '',
    ].join('\r\n'), { ...NOTHING, loops: [{ concurrency: 4, inputTokens: 100, outputTokens: 11, ttftSeconds: 0.25, tpotSeconds: 0.05 }] }],
    ['requests of genai-perf', 'profile_export.json', {
      service_kind: 'openai',
      endpoint: 'v1/chat/completions',
      experiments: [{
        experiment: { mode: 'concurrency', value: 1 },
        requests: [{
          timestamp: 2e9,
          request_inputs: { payload: '{}' },
          response_timestamps: [2.1e9, 2.25e9, 2.75e9, 2.8e9, 2.9e9],
          response_outputs: [
            'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n', 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
            'data: {"choices":[{"delta":{"content":"b"}}]}\n\ndata: {"choices":[{"delta":{"content":"c"}}]}\n\n',
            'data: {"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":11}}\n\n', 'data: [DONE]\n\n',
          ].map((response) => ({ response })),
        }],
      }],
    }, { ...NOTHING, logs: [[REQUEST]] }],
  ])('are read from %s', (_, name, content, expected) => {
    expect(JSON.parse(JSON.stringify({ ...readMeasurements([write(name, content)]), skipped: undefined }, (_key, value) => typeof value === 'number' ? Number(value.toPrecision(9)) : value)))
      .toEqual(expected);
  });

  test.each<[string, string, unknown, RegExp]>([
    ['nothing', 'a.json', '', /^\[a\.json\] the file is empty \(give the path of a file that holds measurements\)/],
    ['no records', 'a.json', [], /the file holds no measurements/],
    ['no JSON', 'a.json', '{"inputTokens": }', /^\[a\.json:1:17\] the text is not JSON/],
    ['a line of no JSON', 'a.jsonl', '{"inputTokens": 1, "ttftSeconds": 1}\n{"inputTokens": }', /^\[a\.jsonl:2:17\] the text is not JSON/],
    ['every line of no JSON, and every wrong field', 'a.jsonl', '{"inputTokens": 1, "ttft_ms": 0}\n{"inputTokens": }\n{"inputTokens": -2, "outputTokens": "x", "ttft_ms": 1e12}\n{"a": 1 2}', new RegExp([
      '\\[a\\.jsonl:1\\] ttft_ms is not a number above 0, got: 0 .*', '\\[a\\.jsonl:2:17\\] the text is not JSON.*', '\\[a\\.jsonl:3\\] inputTokens is not a number above 0, got: -2 .*',
      '\\[a\\.jsonl:3\\] outputTokens is not a number above 0, got: "x" .*', '\\[a\\.jsonl:3\\] ttft_ms is above 1000000 seconds, got: 1000000000000 .*', '\\[a\\.jsonl:4:9\\] .*',
    ].join('\\n'))],
    ['a time that is none', 'a.csv', 'inputTokens,ttftMs\n100,fast\n100,-1\n', /^\[a\.csv:2\] ttftMs is not a number above 0, got: "fast" .*\n\[a\.csv:3\] ttftMs is not a number above 0, got: -1 /],
    ['a record that is no measurement', 'a.json', [{ inputTokens: 5, tpotMs: 1 }, null], /^\[a\.json record 1\] a record of inputTokens, tpotMs is no measurement.*\n\[a\.json record 2\] a record of nothing that is known/],
    ['a column that is misspelt', 'a.csv', 'inputTokens,outputTokens,concurrency,note,tftMs,tpotMs\n100,10,1,quiet,50,10\n',
      /^\[a\.csv:2\] a record of inputTokens, outputTokens, tpotMs, concurrency is no measurement \(give what "calibrate --help" lists; "tftMs" is not known, did you mean ttft\?\)/],
    ['a result of vLLM without its requests', 'a.json', { input_lens: [1], ttfts: [1] }, /the result lacks input_lens, output_lens, ttfts, itls or start_times/],
    ['a result of vLLM that is not detailed', 'a.json', { backend: 'openai-chat', mean_ttft_ms: 128.3 }, /the result lacks input_lens.* \(write it with --save-result --save-detailed/],
    ['a result of vLLM with gaps that are none', 'a.json', [[null], [0.1, -1], 5].map((gaps) => ({ ...VLLM, itls: [gaps] })), new RegExp(
      ['null', '-1', '5'].map((got, i) => `\\[a\\.json record ${i + 1} request 1\\] itls is not a number above 0, got: ${got} .*`).join('\\n'))],
    ['a result of vLLM with a first token and a length that are none', 'a.json', { ...VLLM, ttfts: [null], output_lens: ['x'] }, new RegExp([
      '\\[a\\.json request 1\\] output_lens is not a number above 0, got: "x" .*', '\\[a\\.json request 1\\] ttfts is not a number above 0, got: null .*',
    ].join('\\n'))],
    ['results of vLLM with errors that are none', 'a.json', ['boom', [], [5]].map((errors) => ({ ...VLLM, errors })),
      /^\[a\.json record 1\] errors is no list of a text for each request, here and in 2 more places .*$/],
    ['a summary of an open loop', 'a.json', { time_to_first_token: { avg: 1, unit: 'ms' } }, /the summary is of no closed loop/],
    ['a benchmark without requests', 'a.json', { benchmarks: [{}] }, /the benchmark has no requests\.successful/],
    ['a last token before the first', 'a.json', [{ arrivalSeconds: 0, inputTokens: 10, outputTokens: 5, ttftSeconds: 2, endToEndSeconds: 2 }], /each of the 5 tokens but the first took no time/],
    ['records that are none', 'a.json', { metrics: null, metadata: null }, /is no measurement/],
    ['a length and times that no engine has', 'a.csv', 'arrivalSeconds,inputTokens,outputTokens,ttftSeconds,endToEndSeconds\n0,1e8,10,0.05,0.2\n1,100,10,0.05,1e300\n',
      /^\[a\.csv:2\] inputTokens is above 10000000, got: 100000000 .*\n\[a\.csv:3\] endToEndSeconds is above 1000000 seconds, got: 1e\+300 /],
    ['a run of more than thirty years', 'a.csv', 'arrivalSeconds,inputTokens,outputTokens\n0,100,10\n1,100,10\n1e300,100,10\n',
      /^\[a\.csv:4\] arrivalSeconds is more than 1000000000 seconds after the first of the run, got: 1e\+300 /],
    ['engines that differ', 'a.csv', 'engine,tp,inputTokens,ttftMs\nvLLM,8,100,250\nvllm,8,100,251\nsglang,4,100,240\n', new RegExp([
      '^\\[a\\.csv:4\\] a calibration is of one engine, and the records are of 2 engines: "vllm", "sglang", got: "sglang" .*',
      '\\[a\\.csv:4\\] .* of 2 tensor parallel degrees: "8", "4", got: "4" .*$',
    ].join('\\n'))],
    ['many wrong records', 'a.csv', `inputTokens,ttftMs\n${Array.from({ length: 30 }, (_, i) => `100,-${i}\n`).join('')}`,
      /^(.*\n){20}\[a\.csv\] and 10 more \(mend those above first\)/],
    ['many records that are wrong alike', 'a.csv', `inputTokens,ttftMs\n100,-1\n${'100,0\n'.repeat(30)}`, new RegExp([
      '^\\[a\\.csv:2\\] ttftMs is not a number above 0, got: -1 .*', '\\[a\\.csv:3\\] ttftMs is not a number above 0, here and in 29 more places, got: 0 .*$',
    ].join('\\n'))],
    ['times without lengths', 'a.csv', 'Scenario,TTFT (P50 in ms),TPOT (P50 in ms)\nnone,814.2,19.6\ndrafts,870.1,5.3\n',
      /^\[a\.csv:2\] a record of TTFT \(P50 in ms\), TPOT \(P50 in ms\) is no measurement, here and in 1 more place \(add inputTokens, outputTokens, batchSize, give --input-tokens, --output-tokens, --batch-size where they are the same for all records, or give /],
    ['a table of metrics of an open loop', 'a.csv', 'Metric,avg,max,p50\nEffective Concurrency,3.98,7,4\nTime to First Token (ms),250,300,250\n', /the summary is of no closed loop/],
    ['requests of genai-perf without counts', 'a.json', {
      experiments: [{ requests: [{ timestamp: 1e9, response_timestamps: [2e9], response_outputs: [{ response: 'data: {"choices":[{"text":"a"}]}' }] }] }],
    }, /the answer does not tell how many tokens were read and written \(ask with stream_options/],
  ])('of %s are refused', (_, name, content, message) => {
    expect(refusal(name, content)).toMatch(message);
  });
});

test('what the heading of a table says of all its records is given by options', () => {
  const file = write('table.csv', 'Scenario,TTFT (P50 in ms),TPOT (P50 in ms)\nnone,814.2,19.6\n');
  const { prompts, steps } = readMeasurements([file], undefined, undefined, { inputTokens: 10_000, outputTokens: 1500, sequences: 1 });
  expect(prompts).toEqual([{ inputTokens: 10_000, prompts: 1, ttftSeconds: expect.closeTo(0.8142, 9) }]);
  expect(steps).toEqual([{ sequences: 1, contextTokens: 10_750, stepSeconds: expect.closeTo(0.0196, 9) }]);
  // what a record says itself counts
  const own = write('own.csv', 'inputTokens,ttftMs\n100,50\n');
  expect(readMeasurements([own], undefined, undefined, { inputTokens: 10_000 }).prompts)
    .toEqual([{ inputTokens: 100, ttftSeconds: expect.closeTo(0.05, 9) }]);
});

test('times per output token that are of no known batch are told to be left out, with the options that are missing', () => {
  const file = write('half.csv', 'TTFT (P50 in ms),TPOT (P50 in ms)\n814.2,19.6\n870.1,5.3\n');
  const read = (given: object) => readMeasurements([file], undefined, undefined, { inputTokens: 10_000, ...given });
  expect(read({})).toMatchObject({
    prompts: [{ inputTokens: 10_000 }, { inputTokens: 10_000 }], skipped: [expect.stringMatching(/half\.csv: TPOT of 2 records is left out, .*: give --output-tokens and --batch-size$/)],
  });
  expect(read({ outputTokens: 100 }).skipped).toEqual([expect.stringMatching(/: give --batch-size$/)]);
  expect(read({ outputTokens: 100, sequences: 1 })).toMatchObject({ steps: [{ sequences: 1 }, { sequences: 1 }], skipped: [] });
});

test('files of two models are refused together, and taken one by one', () => {
  const result = (model_id: string) => ({
    ...VLLM, backend: model_id === 'a' ? 'openai' : 'openai-chat', model_id,
  });
  const files = ['a', 'b'].map((model) => write(`${model}.json`, result(model)));
  expect(() => readMeasurements(files)).toThrow(/b\.json request 1\] a calibration is of one engine, and the records are of 2 models: "a", "b", got: "b"/);
  expect(readMeasurements([files[1]]).logs).toHaveLength(1);
  expect(readMeasurements([files[0], files[0]]).logs).toHaveLength(2);
});

test('of a table of several models and degrees those of the spec are taken, and the others told', () => {
  const file = write('a.csv', [
    'Model,TP Degree,Batch Size,Input Length,Output Length,TTFT Latency P50 (ms),TPOT Latency P50 (ms)', 'meta-llama/Llama-2-70b-chat-hf,32,1,128,128,54,25',
    'Llama-2-7b,32,1,128,128,13,6.7', 'Llama-2-70b,16,1,128,128,90,40', 'Llama-2-7b,32,1,128,128,0,6.7', 'Llama-2-70b,32,4,128,128,157,27', '',
  ].join('\n'));
  const { steps, skipped } = readMeasurements([file], undefined, { 'models': ['llama-2-70b'], 'tensor parallel degrees': ['32'], 'devices': ['trn1.32xlarge'] });
  expect(steps.map(({ stepSeconds }) => stepSeconds)).toEqual([0.025, 0.027]);
  expect(skipped.map((one) => one.slice(one.indexOf(': ') + 2))).toEqual([
    '2 records are skipped, as they are of other models than llama-2-70b: "Llama-2-7b"', '1 records are skipped, as they are of other tensor parallel degrees than 32: "16"',
  ]);
  expect(() => readMeasurements([file], undefined, { models: ['qwen3-8b'] })).toThrow(/the records are of 2 models: .* \(let the spec name one of them, /);
});

test('prompts that the engine had in its cache are refused: the time to read them is not told', () => {
  const cached = 'says that the engine had part of the prompt in its cache, so that its time is not that of reading it';
  expect(refusal('a.jsonl', [{ ...REQUEST, cachedTokens: 80 }])).toContain(`[a.jsonl record 1] cachedTokens ${cached}, got: 80`);
  const request = { request_start_time: 1, prompt_tokens: 100, output_tokens: 11, time_to_first_token_ms: 250, request_latency: 0.75 };
  const guidellm = (cachedTokens: number | null) => {
    const successful = [{ ...request, input_metrics: { cached_tokens: cachedTokens } }];
    return { benchmarks: [{ requests: { successful } }] };
  };
  expect(refusal('benchmarks.json', guidellm(96))).toContain(`input_metrics.cached_tokens ${cached}, got: 96`);
  for (const cachedTokens of [null, 0, 5]) {
    expect(readMeasurements([write('benchmarks.json', guidellm(cachedTokens))]).logs).toHaveLength(1);
  }
});
