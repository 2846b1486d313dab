import { Exchange } from '../../exchange';
import { ApiError, EngineError } from '../api-error';
import { CallerStream, CallerWire, StreamFailure } from '../caller-wire';
import { completionOf, reasoningOf } from '../completion';
import { Fields, isObject } from '../fields';
import { OPENAI_WIRE } from '../openai-wire';
import { WholeAnswer } from '../whole-answer';
import { endOf, newItem, OutputItem, ResponseObject, usageOf } from './response-object';
import { ResponsesStream } from './responses-stream';

/**
 * A caller of OpenAI's Responses API.
 */
export class ResponsesWire implements CallerWire {
  private readonly response: ResponseObject;
  private told?: ResponsesStream;

  /**
   * @param response what the caller is to be told, but for what comes of it.
   */
  constructor(response: ResponseObject) {
    this.response = response;
  }

  public headers(): { readonly [name: string]: string } {
    return {};
  }

  public error(error: ApiError): WholeAnswer {
    return OPENAI_WIRE.error(error);
  }

  public whole(answer: WholeAnswer, exchange: Exchange): WholeAnswer {
    if (answer.status !== 200) {
      return answer;
    }
    const { choices, usage } = completionOf(answer);
    const { message, finish_reason: finishReason } = choices[0];
    if (!isObject(message)) {
      throw new EngineError(502, 'engine_failed', 'the engine answers with something that is no chat completion');
    }
    const body = this.response.in(endOf(itemsOf(message), finishReason, usageOf(usage)), exchange.serviceTier);
    return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(this.response.stringify(body)) };
  }

  public stream(exchange: Exchange): CallerStream {
    this.told = new ResponsesStream(this.response, exchange);
    return this.told;
  }

  public streamFailure(error: ApiError): StreamFailure {
    return { bytes: this.told!.failure(error), isEnd: true };
  }
}

function itemsOf(message: Fields): OutputItem[] {
  const reasoning = reasoningOf(message);
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls.filter(isObject) : [];
  return [
    ...(reasoning === undefined ? [] : [newItem('reasoning', reasoning)]),
    ...(typeof message.content === 'string' && message.content !== '' ? [newItem('message', message.content)] : []),
    ...calls.map(({ id, function: called }) => {
      const { name, arguments: input } = isObject(called) ? called : {} as Fields;
      return newItem('function_call', typeof input === 'string' ? input : '', id, name);
    }),
  ];
}
