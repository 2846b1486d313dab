import { IncomingHttpHeaders } from 'node:http';
import { Body } from '../body';
import { SERVICE_TIER_HEADER } from '../wire/bedrock/invoke-model';
import { EngineRequest } from '../wire/engine-request';

/**
 * The headers that are signed as a caller gives them: those that Bedrock documents as parameters of a request, but for guardrails, which are not a caller's to
 * choose. What else there is, and will be, would be asked in the name of the router's role.
 */
const ASKED = [
  'content-type', 'accept', 'x-amzn-bedrock-accept', 'x-amzn-bedrock-trace', 'x-amzn-bedrock-performanceconfig-latency', SERVICE_TIER_HEADER,
  'x-amzn-bedrock-request-metadata',
];

/** What Bedrock is sent, before it is signed. */
export interface RequestToBedrock {
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  readonly body: Body;
}

/**
 * A request as Bedrock understands it: that of a caller of Bedrock's API is the caller's own, to the byte, save for the model in its path.
 *
 * @param given the headers of the caller.
 * @param asked what was asked.
 * @param modelName Bedrock's name of the model.
 * @param openAi headers and body for the OpenAI API, which Bedrock has for some of its models.
 */
export function requestToBedrock(
  given: IncomingHttpHeaders, { path, bedrock }: EngineRequest, modelName: string, openAi: Pick<RequestToBedrock, 'headers' | 'body'>,
): RequestToBedrock {
  if (bedrock === undefined) {
    return { path: `/openai${path}`, headers: openAi.headers, body: openAi.body };
  }
  const headers: { [name: string]: string } = {};
  for (const name of ASKED) {
    const value = given[name];
    if (typeof value === 'string') {
      headers[name] = value;
    }
  }
  return { path: `/model/${encodeURIComponent(modelName)}/${bedrock.operation}`, headers, body: [bedrock.bytes] };
}
