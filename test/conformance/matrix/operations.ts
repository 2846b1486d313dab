/** What clients can ask for: operations of Bedrock's API, then those of OpenAI's. */
export const OPERATIONS = [
  'Converse', 'ConverseStream', 'InvokeModel', 'InvokeModelWithResponseStream', 'CountTokens',
  'chat', 'chat streamed', 'completions', 'completions streamed', 'responses', 'responses streamed', 'models',
] as const;
export type Operation = typeof OPERATIONS[number];

/** What a client makes of an answer, in its own words. */
export interface Told {
  readonly text: string;
  /** Why the answer ends. */
  readonly stop: string | null | undefined;
  /** Tokens of the prompt, and of the answer. */
  readonly tokens: readonly [number | undefined, number | undefined];
}

/**
 * Asks a router.
 *
 * @returns what the client makes of the answer; a number of tokens for CountTokens, and names for models. Throws as the client does.
 */
export type Ask = (url: string, prompt: string) => Promise<Told | number | string[]>;

/** Something that people ask a router with. */
export interface Client {
  readonly name: string;
  /** How it says that an answer is whole, where it does not say so in the words of the API. */
  readonly stop?: string;
  /** An operation of whose answers it does not read the tokens. */
  readonly readsNoTokensOf?: Operation;
  /** Whether it sends a key over TLS alone. */
  readonly tls?: boolean;
  /** How it asks for each operation that it has. */
  readonly asks: { readonly [operation in Operation]?: Ask };
}

/** How each API says that an answer is whole. */
export const STOPS: { readonly [operation in Operation]?: string } = {
  'Converse': 'end_turn',
  'ConverseStream': 'end_turn',
  'InvokeModel': 'stop',
  'InvokeModelWithResponseStream': 'stop',
  'chat': 'stop',
  'chat streamed': 'stop',
  'completions': 'stop',
  'completions streamed': 'stop',
  'responses': 'completed',
  'responses streamed': 'completed',
};
