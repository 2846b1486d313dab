import { Exchange } from '../exchange';
import { EngineRequest } from '../wire/engine-request';

/** Headers of a caller that are part of what it asks of Bedrock; none can name an upstream or carry a credential. */
const ASKED = /^(?:content-type|accept|x-amzn-bedrock-.+)$/;

/** What Bedrock is sent, before it is signed. */
export interface RequestToBedrock {
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  readonly body: Buffer;
}

/**
 * A request as Bedrock understands it: that of a caller of Bedrock's API is the caller's own, to the byte, save for the model in its path.
 *
 * @param exchange whose it is.
 * @param asked what was asked.
 * @param modelName Bedrock's name of the model.
 * @param openAi headers and body for the OpenAI API, which Bedrock has for some of its models.
 */
export function requestToBedrock(
  exchange: Exchange, { path, bedrock }: EngineRequest, modelName: string, openAi: Pick<RequestToBedrock, 'headers' | 'body'>,
): RequestToBedrock {
  if (bedrock === undefined) {
    return { path: `/openai${path}`, headers: openAi.headers, body: openAi.body };
  }
  const headers: { [name: string]: string } = {};
  for (const [name, value] of Object.entries(exchange.request.headers)) {
    if (ASKED.test(name) && typeof value === 'string') {
      headers[name] = value;
    }
  }
  return { path: `/model/${encodeURIComponent(modelName)}/${bedrock.operation}`, headers, body: bedrock.bytes };
}
