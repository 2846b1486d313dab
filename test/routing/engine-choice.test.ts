import * as fc from 'fast-check';
import { EngineState, Prompt, ReadPrompts, chooseEngine } from '../../src/routing';

const prompt: Prompt = { tokens: 4096, sharePerBlock: 1 / 32, blocks: Int32Array.from({ length: 32 }, (_, i) => i + 1) };

interface Drawn {
  readonly isNearlyFull: boolean;
  readonly sequences: number;
  readonly everybodysPromptTokens: number;
  readonly turn: number;
  readonly blocks: number;
  readonly confirmed: number;
}

const engines = fc.array(fc.record<Drawn>({
  isNearlyFull: fc.boolean(),
  sequences: fc.integer({ min: 0, max: 50 }),
  everybodysPromptTokens: fc.integer({ min: 0, max: 50_000 }),
  turn: fc.nat(),
  blocks: fc.integer({ min: 0, max: 32 }),
  confirmed: fc.double({ min: 0, max: 1, noNaN: true }),
}), { minLength: 1, maxLength: 8 });

/** An engine that was given the first blocks of the prompt, and says that some of them were there. */
function engineOf({ blocks, confirmed, ...state }: Drawn): EngineState & { readonly blocks: number } {
  const prompts = new ReadPrompts();
  prompts.add({ ...prompt, blocks: prompt.blocks.slice(0, blocks) });
  prompts.learn(prompt, blocks, confirmed * prompt.tokens * blocks / 32);
  return { ...state, prompts, blocks };
}

test('no engine gets more than its share over the one with the least to do, and of those that may have it the one that knows most gets the prompt', () => {
  fc.assert(fc.property(engines, fc.boolean(), fc.double({ min: 1, max: 3, noNaN: true }), (drawn, readsAlone, loadFactor) => {
    const all = drawn.map(engineOf);
    const chosen = chooseEngine(all, prompt, { readsAlone, loadFactor })!;
    const load = (one: EngineState) => readsAlone ? one.everybodysPromptTokens : one.sequences;
    const withPrompt = (one: EngineState) => load(one) + (readsAlone ? prompt.tokens - one.prompts.cachedTokens(prompt) : 1);
    const roomy = all.some(({ isNearlyFull }) => !isNearlyFull) ? all.filter(({ isNearlyFull }) => !isNearlyFull) : all;
    expect(roomy).toContain(chosen);
    const least = Math.min(...roomy.map(load));
    const bounds = roomy.filter((one) => load(one) === least).map((one) => loadFactor * withPrompt(one))
      .map((most) => readsAlone ? most : Math.ceil(most));
    expect(load(chosen) === least || withPrompt(chosen) <= Math.max(...bounds)).toBe(true);
    const allowed = roomy.filter((one) => load(one) === least || withPrompt(one) <= Math.min(...bounds));
    if (roomy.filter((one) => load(one) === least).length === 1) {
      expect(chosen.blocks).toBe(Math.max(...allowed.map(({ blocks }) => blocks)));
    }
  }));
});

test('of equals the one is chosen that was given nothing for longest, and there is none where there is no engine', () => {
  const [a, b, c] = [7, 5, 9].map((turn) => engineOf({
    isNearlyFull: false, sequences: 2, everybodysPromptTokens: 0, blocks: 0, confirmed: 0, turn,
  }));
  const choice = { readsAlone: false, loadFactor: 1.25 };
  expect(chooseEngine([a, b, c], prompt, choice)).toBe(b);
  expect(chooseEngine([a, c], prompt, choice)).toBe(a);
  expect(chooseEngine([a, { ...c, sequences: 1 }], prompt, choice)).toMatchObject({ turn: 9 });
  expect(chooseEngine([], prompt, choice)).toBeUndefined();
});
