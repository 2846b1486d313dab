import { CELLS } from './matrix/cells';
import { Client, Operation, STOPS } from './matrix/operations';
import { CONFIG, Engines, NAMES, Path, PATHS } from './matrix/paths';
import { stopPython, TLS } from './matrix/python-clients';
import { COUNTED } from '../router/runtime/engine-answer';
import { routerFor, TestRouter } from '../router/runtime/harness';

// LiteLLM alone takes seconds to load.
jest.setTimeout(120_000);

/** Each path's engines, with a router over plain HTTP and one over TLS. */
const running = new Map<Path, { readonly engines: Engines; readonly plain: TestRouter; readonly secure: TestRouter }>();
const before = process.env;

beforeAll(async () => {
  process.env = { ...before };
  for (const path of PATHS) {
    const engines = await path.start();
    const start = async (more: object) => routerFor(engines.targets, { ...CONFIG, ...more }, engines.env);
    running.set(path, { engines, plain: await start({}), secure: await start({ tls: TLS }) });
  }
});

afterAll(async () => {
  await stopPython();
  for (const { engines, plain, secure } of running.values()) {
    await Promise.all([plain.drain(), secure.drain()]);
    await engines.stop();
  }
  process.env = before;
});

/** What a client that cannot have what it asks for is told. AWS' SDK has the name of an exception where others have a class. */
const refusalOf = (error: Error) => ('$metadata' in error || error.constructor.name === 'PythonError' ? error.name : error.constructor.name);

function expectedOf({ stop, readsNoTokensOf }: Client, operation: Operation, prompt: string): unknown {
  switch (operation) {
    case 'CountTokens':
      return COUNTED.prompt_tokens;
    case 'models':
      return NAMES;
    default: {
      const tokens = operation === readsNoTokensOf ? [0, 0] : [COUNTED.prompt_tokens, COUNTED.completion_tokens];
      return { text: `read ${prompt}`, stop: stop ?? STOPS[operation], tokens };
    }
  }
}

test.each(CELLS)('$name', async ({ name, client, operation, path, refusal }) => {
  const { engines, plain, secure } = running.get(path)!;
  const url = client.tls === true ? `https://127.0.0.1:${secure.port}` : plain.url;
  engines.takeProof();
  const asked = client.asks[operation]!(url, name);
  if (refusal !== undefined) {
    expect(await asked.catch(refusalOf)).toBe(refusal);
  } else {
    expect(await asked).toEqual(expectedOf(client, operation, name));
  }
  const isAnswer = refusal === undefined && STOPS[operation] !== undefined;
  const nothing = Object.fromEntries(Object.keys(path.proof).map((what) => [what, 0]));
  expect(engines.takeProof()).toEqual(isAnswer ? path.proof : operation === 'CountTokens' ? path.counts : nothing);
});
