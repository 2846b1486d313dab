/** What a parameter is taken to be: one text, or any text but some. */
export interface Choice {
  readonly value?: string;
  readonly not: readonly string[];
}

/** A parameter that conditions depend on, with everything that they tell apart. */
export interface Variable {
  /** Identity in the set of templates. */
  readonly id: string;
  readonly name: string;
  readonly choices: readonly Choice[];
}

/** One choice for each of some parameters. A parameter that is not among them is unknown. */
export type World = ReadonlyMap<string, Choice>;

/** The world in which nothing is chosen. */
export const UNCHOSEN: World = new Map();

/**
 * Every combination of choices.
 *
 * @param variables the parameters.
 */
export function worldsOf(variables: readonly Variable[]): World[] {
  return variables.reduce<World[]>((worlds, { id, choices }) => (
    worlds.flatMap((world) => choices.map((choice) => new Map([...world, [id, choice]])))
  ), [UNCHOSEN]);
}

/**
 * In words, where something holds: `Purchase is "spot" and Zones is not "1"`. Undefined when it holds everywhere.
 *
 * @param variables the parameters.
 * @param worlds where it holds, at least one, each once.
 */
export function describeWorlds(variables: readonly Variable[], worlds: readonly World[]): string | undefined {
  const taken = variables.map((variable) => {
    const chosen = new Set(worlds.map((world) => world.get(variable.id)));
    return { variable, choices: variable.choices.filter((choice) => chosen.has(choice)) };
  });
  const independent = taken.reduce((count, { choices }) => count * choices.length, 1) === worlds.length;
  const phrases = independent
    ? taken.filter(({ variable, choices }) => choices.length < variable.choices.length).map(({ variable, choices }) => phrase(variable, choices))
    : variables.map((variable) => phrase(variable, variable.choices.filter((choice) => worlds[0].get(variable.id) === choice)));
  const others = independent ? '' : `, and with ${worlds.length - 1} other combination${worlds.length === 2 ? '' : 's'} of parameters`;
  return phrases.length === 0 ? undefined : `${phrases.join(' and ')}${others}`;
}

function phrase({ name, choices }: Variable, taken: readonly Choice[]): string {
  const texts = (some: readonly Choice[]) => some.map(({ value }) => JSON.stringify(value));
  if (taken.every(({ value }) => value !== undefined)) {
    return `${name} is ${texts(taken).join(' or ')}`;
  }
  const left = texts(choices.filter((choice) => !taken.includes(choice)));
  return left.length === 1 ? `${name} is not ${left[0]}` : `${name} is neither ${left.join(' nor ')}`;
}
