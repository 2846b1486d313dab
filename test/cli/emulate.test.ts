import { join } from 'node:path';
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, CountTokensCommand } from '@aws-sdk/client-bedrock-runtime';
import { ROOT } from './cli-process';
import { emulate, Emulation, emulationText } from '../../src/cli/emulate';
import { EmulatedFleet } from '../../src/cli/emulator/emulated-fleet';
import { EmulatedDecodePool, EmulatedPrefillPool, Sequence } from '../../src/cli/emulator/emulated-pools';
import { EngineServer } from '../../src/cli/emulator/engine-server';
import { estimateOf, steady, trn2 } from '../estimator/specs';

const EXAMPLE = join(ROOT, 'examples/specs/llama-3.3-70b-trn2.json');

describe('emulated engines take the time that they are told', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  /** Milliseconds at which something happened. */
  const clock = () => {
    const start = performance.now();
    const at: number[] = [];
    return { at, tick: () => void at.push(Math.round(performance.now() - start)) };
  };

  test('prompts are read one at a time by each engine, in the order that they came', () => {
    const pool = new EmulatedPrefillPool(2);
    const { at, tick } = clock();
    const left = { seconds: 0.1, done: tick };
    pool.read({ seconds: 0.3, done: tick });
    pool.read(left);
    pool.read({ seconds: 0.05, done: tick });
    pool.read({ seconds: 0.05, done: tick });
    jest.advanceTimersByTime(20);
    pool.cancel(left);
    jest.runAllTimers();
    expect(at).toEqual([70, 120, 300]);
  });

  test('tokens come step by step, sequences share a step, and wait for a slot', () => {
    const pool = new EmulatedDecodePool(1, 2, (sequences) => 0.01 * sequences.length);
    const sequence = (tokensLeft: number, promptSeconds = 0) => {
      const { at, tick } = clock();
      const of: Sequence = { promptSeconds, contextTokens: 10, tokensLeft, onToken: tick };
      pool.write(of);
      return { at, of };
    };
    const [first, second, third] = [sequence(3), sequence(1), sequence(2)];
    jest.runAllTimers();
    // the first step began before the second sequence came.
    expect([first.at, second.at, third.at]).toEqual([[10, 30, 50], [30], [50, 60]]);
    expect(first.of.contextTokens).toBe(13);
  });

  test('an engine that reads a prompt itself writes nothing meanwhile, and its first token comes of the reading', () => {
    const pool = new EmulatedDecodePool(1, 4, () => 0.01);
    const one = clock();
    const other = clock();
    pool.write({ promptSeconds: 0, contextTokens: 1, tokensLeft: 3, onToken: one.tick });
    pool.write({ promptSeconds: 0.1, contextTokens: 1, tokensLeft: 2, onToken: other.tick });
    jest.runAllTimers();
    expect([one.at, other.at]).toEqual([[10, 120, 130], [110, 120]]);
  });
});

test('what a prompt and a step take is what the estimator says', () => {
  const spec = trn2({ workload: steady(1e-6, 1000, 200) });
  const estimate = estimateOf(spec);
  const part = (name: string) => estimate.ttftParts.find((one) => one.name === name)!.seconds;
  const fleet = new EmulatedFleet(spec);
  const { promptSeconds, transferSeconds, overheadSeconds } = fleet.timesOf(1000);
  expect(promptSeconds).toBeCloseTo(part('prefill'), 9);
  // the set-up of a transfer is told with the gateway, as in the simulation.
  expect(transferSeconds + overheadSeconds).toBeCloseTo(part('kv-transfer') + part('gateway'), 9);
  expect(fleet.meanOutputTokens).toBe(200);
});

describe('emulate', () => {
  let emulation: Emulation;
  let client: BedrockRuntimeClient;
  const messages = [{ role: 'user' as const, content: [{ text: 'x'.repeat(400) }] }];

  beforeAll(async () => {
    emulation = await emulate(EXAMPLE, { set: [], port: '0' });
    client = new BedrockRuntimeClient({ endpoint: emulation.url, region: 'us-east-2', token: { token: 'any' }, authSchemePreference: ['httpBearerAuth'] });
  });
  afterAll(async () => {
    client.destroy();
    await emulation.stop();
  });

  test('answers AWS\' SDK as the fleet would, prefill and decode apart', async () => {
    const { output, usage } = await client.send(new ConverseCommand({ modelId: 'llama-3.3-70b', messages, inferenceConfig: { maxTokens: 5 } }));
    expect(output!.message!.content![0].text!.split(' ')).toHaveLength(5);
    expect(usage).toEqual({ inputTokens: 100, outputTokens: 5, totalTokens: 105 });
    const { stream } = await client.send(new ConverseStreamCommand({ modelId: 'llama-3.3-70b', messages, inferenceConfig: { maxTokens: 5 } }));
    let text = '';
    for await (const { contentBlockDelta } of stream!) {
      text += contentBlockDelta?.delta?.text ?? '';
    }
    expect(text).toBe(output!.message!.content![0].text);
    expect((await client.send(new CountTokensCommand({ modelId: 'llama-3.3-70b', input: { converse: { messages } } }))).inputTokens).toBe(100);
    const response = await fetch(`${emulation.url}/v1/chat/completions`, {
      method: 'POST', body: JSON.stringify({ model: 'llama-3.3-70b', max_tokens: 2, messages: [{ role: 'user', content: 'hi' }] }),
    });
    // for an engine that pads prompts, no prompt is too short for a hand-off.
    expect([response.status, response.headers.get('x-router-route')]).toEqual([200, 'disaggregated; reason=long_prompt']);
    const metrics = await (await fetch(`${emulation.url}/metrics`)).text();
    expect(metrics).toContain('router_prompt_tokens_total{target="prefill",source="unknown"} 201');
  });

  const chatOf = async (url: string, body: object) => {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST', body: JSON.stringify({ model: 'llama-3.3-70b', messages: [{ role: 'user', content: 'hi' }], ...body }),
    });
    const told = await response.json() as { model: string; choices: { finish_reason: string }[]; error: { message: string } };
    return { status: response.status, body: told };
  };

  test('goes by the model\'s name as well', async () => {
    const { status, body } = await chatOf(emulation.url!, { model: 'meta-llama/Llama-3.3-70B-Instruct', max_tokens: 1 });
    expect([status, body.model]).toEqual([200, 'meta-llama/Llama-3.3-70B-Instruct']);
    expect((await chatOf(emulation.url!, { model: 'gpt-5' })).body.error.message).toMatch(/this router serves "llama-3\.3-70b", "meta-llama\/Llama-3\.3-70B-Instruct"/);
  });

  test('an answer that nobody limited ends by itself', async () => {
    const ends = async (maxTokens: number | null) => (await chatOf(emulation.url!, { max_tokens: maxTokens })).body.choices[0].finish_reason;
    expect([await ends(2), await ends(null)]).toEqual(['length', 'stop']);
  });

  test.each<[string, object, string]>([
    ['an unknown role', { messages: [{ role: 'usr', content: 'hi' }] }, 'messages[0].role: expected "system" or'],
    ['no message', { messages: [] }, 'messages: expected at least 1, got none'],
    ['a message that is none', { messages: [null] }, 'messages[0]: expected an object, got null'],
    ['no room for an answer', { max_tokens: 0 }, 'max_tokens: expected a whole number from 1 to'],
    ['a limit in words', { max_completion_tokens: 'ten' }, 'max_completion_tokens: expected a whole number from 1 to'],
  ])('%s is refused by the router or the engine, and by the engine alone', async (_, body, message) => {
    const engine = await EngineServer.start(new EmulatedFleet(trn2()));
    for (const url of [emulation.url!, engine.url]) {
      const { status, body: { error } } = await chatOf(url, body);
      expect([status, error.message]).toEqual([400, expect.stringContaining(message)]);
    }
    engine.stop();
  });

  test('tells a newcomer what to try', () => {
    const text = emulationText(emulation.outcome.estimate!, emulation.url!);
    expect(text).toContain(`export AWS_ENDPOINT_URL_BEDROCK_RUNTIME=${emulation.url} AWS_ACCESS_KEY_ID=any`);
    expect(text).toMatch(/on \d x trn2\.48xlarge prefill \+ \d x trn2\.48xlarge decode, emulated/);
  });

  test('has nothing to emulate without an estimate, and no port that is none', async () => {
    const refused = await emulate(EXAMPLE, { set: ['prefill.instances=1', 'decode.instances=1', 'workload.requestsPerSecond=100000'], port: '0' });
    expect([refused.outcome.refusal!.kind, refused.url]).toEqual(['unstable', undefined]);
    await expect(emulate(EXAMPLE, { set: [], port: '70000' })).rejects.toThrow('[--port] this is no port, got: "70000"');
  });

  test('an aggregated fleet hands nothing on', () => {
    const aggregated = new EmulatedFleet({ ...trn2({ prefill: undefined }) });
    expect(aggregated.prefill).toBeUndefined();
    expect(aggregated.timesOf(100).transferSeconds).toBe(0);
  });
});
