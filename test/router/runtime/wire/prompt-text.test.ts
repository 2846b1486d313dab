import { promptTextOf } from '../../../../src/router/runtime/wire/prompt-text';

test('a prompt is its text, in bytes, and the names in it', () => {
  expect(promptTextOf({ model: 'm', prompt: 'grüße', max_tokens: 5 })).toEqual({ bytes: 7, tokens: 0 });
  expect(promptTextOf({ messages: [{ role: 'user', content: 'hello' }, { role: 'user', content: [{ type: 'text', text: 'you' }] }] }).bytes)
    .toBe('roleusercontenthello'.length + 'roleusercontenttypetexttextyou'.length);
  expect(promptTextOf({ messages: [], tools: [{ function: { name: 'f', strict: true } }] }).bytes).toBe('functionnamefstrict'.length + 4);
});

test('what a model thought counts once, though it has two names', () => {
  const { bytes } = promptTextOf({ messages: [{ reasoning: 'hm' }] });
  expect(promptTextOf({ messages: [{ reasoning: 'hm', reasoning_content: 'hm' }] }).bytes).toBe(bytes);
  expect(promptTextOf({ messages: [{ reasoning_content: 'hm' }] }).bytes).toBe('reasoning_contenthm'.length);
});

test('documents and settings of a chat template are part of it, tools with their schemas too', () => {
  const messages = [{ role: 'user', content: 'hello' }];
  const { bytes } = promptTextOf({ messages });
  const more = (fields: object) => promptTextOf({ messages, ...fields }).bytes - bytes;
  expect(more({ documents: [{ title: 't', text: 'x'.repeat(1000) }] })).toBe('titlettext'.length + 1000);
  expect(more({ chat_template_kwargs: { context: 'x'.repeat(1000) } })).toBe('context'.length + 1000);
  expect(more({ tools: [{ function: { parameters: { description: 'x'.repeat(1000) } } }] })).toBe('functionparametersdescription'.length + 1000);
});

test('of tokens and images it is known how many there are, not how many bytes', () => {
  expect(promptTextOf({ prompt: [1, 2, 3] })).toEqual({ bytes: 0, tokens: 3 });
  expect(promptTextOf({ prompt: [[1, 2], [3]] })).toEqual({ bytes: 0, tokens: 3 });
  const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(1e6)}` } };
  const { bytes, tokens } = promptTextOf({ messages: [{ role: 'user', content: [image, image] }] });
  expect([bytes < 100, tokens]).toEqual([true, 2048]);
  const sound = { type: 'input_audio', input_audio: { data: 'A'.repeat(1e6), format: 'wav' } };
  expect(promptTextOf({ messages: [{ role: 'user', content: [sound] }] })).toEqual({ bytes: 'roleusercontenttypeinput_audio'.length, tokens: 1024 });
});

test('whatever a caller nests is read', () => {
  let nested: unknown = 'x';
  for (let i = 0; i < 1e5; i++) {
    nested = [nested];
  }
  expect(promptTextOf({ messages: nested }).bytes).toBe(1);
});
