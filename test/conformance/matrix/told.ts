import { Told } from './operations';

// what clients in Python tell comes as JSON, so that these read what clients in TypeScript would have types for.

/** Everything that a stream says. */
export async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const events: T[] = [];
  for await (const event of stream) {
    events.push(event);
  }
  return events;
}

const ofBedrock = (usage: any): Told['tokens'] => [usage?.inputTokens, usage?.outputTokens];
const ofOpenAi = (usage: any): Told['tokens'] => [usage?.prompt_tokens, usage?.completion_tokens];

export const byConverse = ({ output, stopReason, usage }: any): Told => (
  { text: output.message.content.map(({ text }: any) => text).join(''), stop: stopReason, tokens: ofBedrock(usage) });

export const byConverseEvents = (events: any[]): Told => ({
  text: events.map(({ contentBlockDelta }) => contentBlockDelta?.delta.text ?? '').join(''),
  stop: events.find(({ messageStop }) => messageStop)?.messageStop.stopReason,
  tokens: ofBedrock(events.at(-1).metadata?.usage),
});

/** A chat completion or a completion. */
export const byCompletion = ({ choices: [{ message, text, finish_reason: stop }], usage }: any): Told => (
  { text: message?.content ?? text, stop, tokens: ofOpenAi(usage) });

/** Chunks of a chat completion or a completion. */
export function byChunks(chunks: any[]): Told {
  const choices = chunks.flatMap((chunk) => chunk.choices ?? []);
  return {
    text: choices.map(({ delta, text }) => delta?.content ?? text ?? '').join(''),
    stop: choices.at(-1)?.finish_reason,
    tokens: ofOpenAi(chunks.filter(({ usage }) => usage).at(-1)?.usage),
  };
}

/** Chunks of InvokeModelWithResponseStream, in the form of a chat completion. */
export function byInvokedChunks(chunks: any[]): Told {
  const { inputTokenCount, outputTokenCount } = chunks.at(-1)['amazon-bedrock-invocationMetrics'];
  return { ...byChunks(chunks), tokens: [inputTokenCount, outputTokenCount] };
}

export const byResponse = ({ output: [{ content: [{ text }] }], status, usage }: any): Told => (
  { text, stop: status, tokens: [usage?.input_tokens, usage?.output_tokens] });

export const byResponseEvents = (events: any[]): Told => ({
  ...byResponse(events.at(-1).response),
  text: events.map(({ type, delta }) => (type === 'response.output_text.delta' ? delta : '')).join(''),
});
