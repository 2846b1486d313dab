import { Attributes } from '@opentelemetry/api';
import { TargetConfig } from '../config';
import { Exchange } from '../exchange';

/** Routes of OpenAI's API; all others are of Bedrock's. */
const OPENAI_ROUTES = ['chat_completions', 'responses', 'completions'];
/** What is no chat. OpenTelemetry has no name for the second. */
const OPERATIONS: { readonly [route: string]: string } = { completions: 'text_completion', count_tokens: 'count_tokens' };

/** What OpenTelemetry's conventions for generative AI call the operation that a request asks for. */
export function operationOf({ route, asked }: Exchange): string {
  // what is invoked may be a chat or not.
  return asked?.path === '/v1/completions' ? 'text_completion' : OPERATIONS[route] ?? 'chat';
}

/** What they call whose API is spoken, whoever answers. */
export function providerOf({ route }: Exchange): string {
  return OPENAI_ROUTES.includes(route) ? 'openai' : 'aws.bedrock';
}

/** What they call the place of a URL. */
export function addressOf(url: string): Attributes {
  const { hostname, port, protocol } = new URL(url);
  return { 'server.address': hostname, 'server.port': Number(port) || (protocol === 'https:' ? 443 : 80) };
}

/** Who has answered, and with which model: as the configuration says it. Where the engines are that are found by DNS changes, and is not told. */
export function answererOf({ name, modelName, url }: TargetConfig, modelId: string): Attributes {
  return { 'gen_ai.response.model': modelName ?? modelId, 'router.target': name, ...(url === undefined ? undefined : addressOf(url)) };
}
