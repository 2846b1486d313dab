import { ApiError } from '../api-error';
import { AnsweredRequest, CallerStream, CallerWire, StreamFailure } from '../caller-wire';
import { completionOf, Message, messageOf } from '../completion';
import { OPENAI_WIRE } from '../openai-wire';
import { WholeAnswer } from '../whole-answer';
import { endOf, newItem, NO_ARGUMENTS, OutputItem, ResponseObject, responsesUsageOf } from './response-object';
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

  public whole(answer: WholeAnswer, request: AnsweredRequest): WholeAnswer {
    if (answer.status !== 200) {
      return OPENAI_WIRE.whole(answer, request);
    }
    const completion = completionOf(answer, request);
    const { choices: [{ finish_reason: finishReason }], usage } = completion;
    const body = this.response.in(endOf(itemsOf(messageOf(completion)), finishReason, responsesUsageOf(usage)), request.serviceTier);
    return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(this.response.stringify(body)) };
  }

  public stream(request: AnsweredRequest): CallerStream {
    this.told = new ResponsesStream(this.response, request);
    return this.told;
  }

  public streamFailure(error: ApiError): StreamFailure {
    return { bytes: this.told!.failure(error), isEnd: true };
  }
}

function itemsOf({ reasoning, text, refusal, calls }: Message): OutputItem[] {
  return [
    ...(reasoning === undefined ? [] : [newItem('reasoning', reasoning)]),
    ...(text === undefined ? [] : [newItem('message', text)]),
    ...(refusal === undefined ? [] : [newItem('refusal', refusal)]),
    ...calls.map(({ id, name, input }) => newItem('function_call', input || NO_ARGUMENTS, id, name)),
  ];
}
