import { parseCountTokens } from '../../../../src/router/runtime/wire/bedrock/count-tokens';
import { parseInvocation } from '../../../../src/router/runtime/wire/bedrock/invoke-model';
import { parseOpenAi } from '../../../../src/router/runtime/wire/openai-request';
import { parseResponses } from '../../../../src/router/runtime/wire/responses/responses-request';
import { ask, chat, MockEngine, routerFor, whole } from '../harness';

const messages = (part: object) => [{ role: 'user', content: [{ type: 'text', text: 'what is this?' }, part] }];
const inResponses = ({ content, ...message }: { content: object[] }) => (
  { ...message, content: content.map((part) => ({ ...part, ...('text' in part && { type: 'input_text' }) })) });
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

test.each([
  ['png', 'image/png;base64', '89504e470d0a1a0a00'],
  ['jpeg, as some call it', 'IMAGE/JPG;base64', 'ffd8ffe000'],
  ['gif, with parameters', 'image/gif;charset=utf-8;name=a.gif;base64', Buffer.from('GIF89a').toString('hex')],
  ['webp that is taken for png', 'image/png;base64', Buffer.from('RIFF....WEBPVP8 ').toString('hex')],
])('an image that a request carries with it is passed on: %s', (_, type, hex) => {
  const url = `data:${type},${Buffer.from(hex, 'hex').toString('base64')}`;
  for (const part of [{ type: 'image_url', image_url: { url } }, { type: 'image_url', image_url: url }]) {
    const sent = bytes({ model: 'm', messages: messages(part) });
    expect(parseOpenAi('/v1/chat/completions', sent, READER).bytes).toBe(sent);
  }
  expect(() => parseResponses(bytes({ model: 'm', input: messages({ type: 'input_image', image_url: url }).map(inResponses) }), READER)).not.toThrow();
});

test.each([
  ['data:image/tiff;base64,SUkqAA==', 'expected data:image/...;base64, of png, jpeg, gif, webp'],
  ['data:text/html;base64,iVBORw0KGgo=', 'expected data:image/...;base64, of png, jpeg, gif, webp'],
  ['data:image/png,iVBORw0KGgo=', 'expected data:image/...;base64, of png, jpeg, gif, webp'],
  ['data:image/png;base64', 'expected data:image/...;base64, of png, jpeg, gif, webp'],
  ['data:image/png;base64,', 'these are not the bytes of an image in format png, jpeg, gif, webp'],
  ['data:image/png;base64,AAAA', 'these are not the bytes of an image in format png, jpeg, gif, webp'],
  ['data:image/png;base64,iVBORw0KGgo', 'expected base64'],
  ['data:image/png;base64,iVBORw0K\nGgo=', 'expected base64'],
  ['data:image/png;base64,iVBORw0KGg%3D', 'expected base64'],
])('an image at which engines would fail is refused: %j', (url, problem) => {
  for (const [image, path] of [[{ url }, 'image_url.url'], [url, 'image_url']]) {
    const refusal = { status: 400, message: `messages[0].content[1].${path}: ${problem}`, param: `messages[0].content[1].${path}` };
    const said = messages({ type: 'image_url', image_url: image });
    expect(() => parseOpenAi('/v1/chat/completions', bytes({ model: 'm', messages: said }), READER)).toThrow(expect.objectContaining(refusal));
    expect(() => parseInvocation(bytes({ messages: said }), {}, 'm', false, true)).toThrow(expect.objectContaining(refusal));
  }
  expect(() => parseResponses(bytes({ model: 'm', input: messages({ type: 'input_image', image_url: url }).map(inResponses) }), READER))
    .toThrow(expect.objectContaining({ status: 400, message: `input[0].content[1].image_url: ${problem}` }));
});

describe.each([
  ['a picture', 'images', { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }],
  ['a picture in the words of the Responses API', 'images', { type: 'input_image', image_url: 'data:image/png;base64,AAAA' }],
  ['a picture that engines would look for in another part', 'images', { type: 'text', text: 'hi', uuid: 'u', image_url: { url: 'data:image/png;base64,AAAA' } }],
  ['a video', 'video', { type: 'video_url', video_url: { url: 'data:video/mp4;base64,aGk=' } }],
  ['a sound', 'audio', { type: 'input_audio', input_audio: { data: 'aGk=', format: 'wav' } }],
  ['a sound that is nowhere', 'audio', { type: 'input_audio', input_audio: { data: 'http://169.254.169.254/', format: '../x' } }],
  ['a sound as a URL', 'audio', { type: 'audio_url', audio_url: { url: 'data:audio/wav;base64,aGk=' } }],
])('%s for a model that reads none is refused', (_, media, part) => {
  const problem = (i: number) => `messages[${i}].content[1]: the model reads no ${media}`;
  const refusal = expect.objectContaining({ status: 400, message: `${problem(0)}; ${problem(1)}` });
  const twice = [...messages(part), ...messages(part)];

  test('in a chat completion', () => {
    expect(() => parseOpenAi('/v1/chat/completions', bytes({ model: 'm', messages: twice }), { ...READER, images: false })).toThrow(refusal);
  });

  test('in an InvokeModel', () => {
    expect(() => parseInvocation(bytes({ messages: twice }), {}, 'm', false, false)).toThrow(refusal);
  });
});

test('sounds and videos that a request carries with it are passed on to models that read more than text, unless they are none', () => {
  const sound = (data: string) => bytes({ model: 'm', messages: messages({ type: 'input_audio', input_audio: { data, format: 'wav' } }) });
  const video = bytes({ model: 'm', messages: messages({ type: 'video_url', video_url: { url: 'data:video/mp4;base64,aGk=' } }) });
  for (const sent of [sound('aGk='), video]) {
    expect(parseOpenAi('/v1/chat/completions', sent, READER).bytes).toBe(sent);
  }
  const refusal = { status: 400, message: 'messages[0].content[1].input_audio.data: expected base64' };
  expect(() => parseOpenAi('/v1/chat/completions', sound('http://169.254.169.254/'), READER)).toThrow(expect.objectContaining(refusal));
});

test('no engine of a model that reads text alone is asked about a sound', async () => {
  const engine = await MockEngine.start(whole);
  const router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }]);
  try {
    const part = { type: 'input_audio', input_audio: { data: 'aGk=', format: 'wav' } };
    expect((await ask(router.url, chat({ messages: messages(part) }))).status).toBe(400);
    expect(engine.requests).toEqual([]);
  } finally {
    await router.drain();
    await engine.stop();
  }
});
