import { performance } from 'node:perf_hooks';
import { Endpoint } from '../../../../src/router/runtime/targets/endpoint';
import { FailedRequests } from '../../../../src/router/runtime/targets/failed-requests';
import { parseOpenAi } from '../../../../src/router/runtime/wire/openai-request';
import { chat, MODEL } from '../harness';

const request = (id: number) => parseOpenAi('/v1/chat/completions', Buffer.from(JSON.stringify(chat({ user: `user${1_000_000 + id}` }))), {
  id: MODEL, servedNames: [MODEL], images: false,
});
const endpoint = () => new Endpoint('http://engine.example', undefined, 1, { path: '/health', refusals: [] }, () => undefined, () => undefined);

afterEach(() => jest.restoreAllMocks());

test('requests that engines failed are known for a minute, as their caller\'s alone, by the part that failed', () => {
  const failures = new FailedRequests();
  const engine = endpoint();
  failures.blame('caller', request(1), 'answer', engine, 'status 500');
  const known = () => [...failures.enginesOf('caller', request(1), 'answer')];
  expect([
    known(), ...(['prefill', 'answer'] as const).map((part) => [...failures.enginesOf(part === 'answer' ? 'other' : 'caller', request(1), part)]),
    [...failures.enginesOf('caller', request(2), 'answer')],
  ]).toEqual([[engine], [], [], []]);
  const now = performance.now();
  const clock = jest.spyOn(performance, 'now').mockReturnValue(now + 59_000);
  expect(known()).toEqual([engine]);
  clock.mockReturnValue(now + 60_001);
  expect(known()).toEqual([]);
});

test('a thousand are known, the last ones, however many fail', () => {
  const failures = new FailedRequests();
  Array.from({ length: 1_001 }, (_, i) => failures.blame(`caller${i % 2}`, request(i), 'answer', endpoint(), 'status 500'));
  const known = Array.from({ length: 1_001 }, (_, i) => failures.enginesOf(`caller${i % 2}`, request(i), 'answer').size);
  expect(known).toEqual([0, ...Array(1_000).fill(1)]);
});
