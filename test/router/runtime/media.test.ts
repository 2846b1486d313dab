import { parseCountTokens } from '../../../src/router/runtime/wire/bedrock/count-tokens';
import { parseInvocation } from '../../../src/router/runtime/wire/bedrock/invoke-model';
import { parseOpenAi } from '../../../src/router/runtime/wire/openai';

const messages = (part: object) => [{ role: 'user', content: [{ type: 'text', text: 'what is this?' }, part] }];
const READER = { id: 'm', servedNames: ['m'], images: true };
const bytes = (value: object) => Buffer.from(JSON.stringify(value));

describe.each([
  ['a picture', { type: 'image_url', image_url: { url: 'http://169.254.169.254/latest/meta-data' } }, 'image_url'],
  ['a file of the engine', { type: 'video_url', video_url: { url: 'file:///etc/passwd' } }, 'video_url'],
  ['an address without an object', { type: 'image_url', image_url: 'https://engine.internal' }, 'image_url'],
])('%s that an engine would fetch is refused', (_, part, name) => {
  const refusal = new RegExp(`messages\\[0\\]\\.content\\[1\\]\\.${name} is not a data URL`);

  test('in a chat completion', () => {
    expect(() => parseOpenAi('/v1/chat/completions', bytes({ model: 'm', messages: messages(part) }), READER)).toThrow(refusal);
  });

  test('in an InvokeModel, and where its tokens are counted', () => {
    expect(() => parseInvocation(bytes({ messages: messages(part) }), {}, 'm', false, true)).toThrow(refusal);
    const body = bytes({ messages: messages(part) }).toString('base64');
    expect(() => parseCountTokens(bytes({ input: { invokeModel: { body } } }), 'm', true)).toThrow(refusal);
  });
});

test('what a request carries with it is not', () => {
  const part = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
  expect(parseOpenAi('/v1/chat/completions', bytes({ model: 'm', messages: messages(part) }), READER).model).toBe('m');
});

describe.each([
  ['a picture', { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }],
  ['a picture in the words of the Responses API', { type: 'input_image', image_url: 'data:image/png;base64,AAAA' }],
])('%s for a model that reads none is refused', (_, part) => {
  const refusal = expect.objectContaining({ status: 400, message: 'messages[0].content[1]: the model reads no images; messages[1].content[1]: the model reads no images' });
  const twice = [...messages(part), ...messages(part)];

  test('in a chat completion', () => {
    expect(() => parseOpenAi('/v1/chat/completions', bytes({ model: 'm', messages: twice }), { ...READER, images: false })).toThrow(refusal);
  });

  test('in an InvokeModel', () => {
    expect(() => parseInvocation(bytes({ messages: twice }), {}, 'm', false, false)).toThrow(refusal);
  });
});
