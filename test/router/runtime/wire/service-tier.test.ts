import { ask, chat, chunkOf, COMPLETION, delta, DONE, drained, MockEngine, ROLE, routerFor, sse, streaming, TestRouter, whole, wholly } from '../harness';

let engine: MockEngine;
let router: TestRouter;

beforeAll(async () => {
  engine = await MockEngine.start(whole);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { priorityCallers: ['*'] });
});
afterAll(async () => {
  await router.drain();
  await engine.stop();
});

describe('a chat completion for which a tier was asked tells the one that it was served in', () => {
  test.each([
    ['flex', 'flex', {}],
    ['priority', 'priority', { service_tier: null }],
    ['flex', 'flex', { service_tier: 'default' }],
    ['auto', 'default', {}],
  ])('%s', async (asked, told, said) => {
    engine.behaviour = wholly({ ...COMPLETION, ...said });
    const response = await ask(router.url, chat({ service_tier: asked }));
    const text = await response.text();
    expect(JSON.parse(text)).toEqual({ ...COMPLETION, service_tier: told });
    expect(text.match(/"service_tier"/g)).toHaveLength(1);
  });

  const texts = ['a', '}\n\n', '"service_tier":', '\u{1F600}', ...Array.from({ length: 30 }, (_, i) => `word ${i} `)];
  const chunks = [ROLE, ...texts.map(chunkOf), delta({}, 'stop')];
  test.each([
    ['an engine that says none', {}],
    ['one that says none in another way', { service_tier: null }],
    ['one that has none', { service_tier: 'default' }],
  ])('streamed, in each chunk, by %s', async (_, said) => {
    // in one piece, and chunk by chunk.
    const answers = chunks.map((chunk) => ({ ...chunk, ...said }));
    for (const behaviour of [streaming([], answers.map(sse).join('') + sse('[DONE]')), streaming(answers)]) {
      engine.behaviour = behaviour;
      const { text } = await drained(await ask(router.url, chat({ stream: true, service_tier: 'flex' })));
      const events = text.split('\n\n').filter((event) => event.startsWith('data: {'));
      expect(events.map((event) => JSON.parse(event.slice(6)))).toEqual(chunks.map((chunk) => ({ ...chunk, service_tier: 'flex' })));
      expect(events.every((event) => event.match(/(?<!\\)"service_tier"/g)?.length === 1)).toBe(true);
      expect(text).toMatch(/\n\ndata: \[DONE\]\n\n$/);
    }
  });
});

test('what was asked for no tier is passed on as the engine says it', async () => {
  engine.behaviour = wholly({ ...COMPLETION, service_tier: 'default' });
  expect(await (await ask(router.url, chat({ service_tier: null }))).text()).toBe(JSON.stringify({ ...COMPLETION, service_tier: 'default' }));
  engine.behaviour = streaming([chunkOf('hi')], DONE);
  expect((await drained(await ask(router.url, chat({ stream: true })))).text).toBe(sse(chunkOf('hi')) + DONE);
});

test('a refusal by the engine is passed on as it is', async () => {
  const refusal = { error: { message: 'too long', type: 'invalid_request_error', param: null, code: null } };
  engine.behaviour = wholly(refusal, 400);
  const response = await ask(router.url, chat({ service_tier: 'flex' }));
  expect([response.status, await response.json()]).toEqual([400, refusal]);
});
