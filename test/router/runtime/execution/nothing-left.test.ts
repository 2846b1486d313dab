import { VllmPair } from '../handoff/vllm-pair';
import { ask, chat, drained, routerFor, until } from '../harness';

/** Timers that the process waits for. */
const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;

test.each([true, false])('no timer of a request goes on once it has ended, of its queue, its prompt, its lease or itself, stream %p', async (stream) => {
  const pair = await VllmPair.start();
  const router = await routerFor([
    { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill', maxInFlight: 1 },
    { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
  ], { routing: { minPromptTokens: 0 } });
  const asks = async (requests: number) => Promise.all(Array.from({ length: requests }, async () => {
    const response = await ask(router.url, chat({ stream }));
    await drained(response);
    return response.status;
  }));
  const ended = async (requests: number) => until(() => router.lines.filter(({ msg }) => msg === 'request').length === requests, `${requests} have ended`);
  // connections are made.
  expect(await asks(1)).toEqual([200]);
  await ended(1);
  const before = timers();
  expect(await asks(3)).toEqual([200, 200, 200]);
  await ended(4);
  expect(router.lines.filter(({ queuedSeconds }) => queuedSeconds > 0)).toHaveLength(2);
  // of each there would be three or more.
  await until(() => timers() <= before, 'no timer is left');
  await router.drain();
  await pair.stop();
});
