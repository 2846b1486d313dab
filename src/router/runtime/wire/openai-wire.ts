import { ApiError } from './api-error';
import { CallerStream, CallerWire } from './caller-wire';
import { completionOf } from './completion';
import { isOpenAiError, membersOf, refusalOf } from './engine-refusal';
import { SSE_HEADERS } from './sse';

/** Callers of the OpenAI API: what an engine says is passed on as it stands, as long as it is an answer or an error of that API. */
export const OPENAI_WIRE: CallerWire = {
  headers: () => ({}),
  error: (error) => ({ status: error.status, headers: { 'content-type': 'application/json', ...error.headers }, body: errorBody(error) }),
  whole: (answer, request) => {
    if (answer.status === 200) {
      completionOf(answer, request);
      return answer;
    }
    return isOpenAiError(membersOf(answer)) ? answer : OPENAI_WIRE.error(refusalOf(answer));
  },
  stream: () => new OpenAiStream(),
  streamFailure: (error) => ({ bytes: errorEvent(error), isEnd: false }),
};

/** The event in which OpenAI's callers are told of an error. */
export function errorEvent(error: ApiError): Buffer {
  return Buffer.concat([Buffer.from('data: '), errorBody(error), Buffer.from('\n\n')]);
}

function errorBody({ message, type, param, code }: ApiError): Buffer {
  return Buffer.from(JSON.stringify({ error: { message, type, param: param ?? null, code } }));
}

class OpenAiStream implements CallerStream {
  public readonly headers = SSE_HEADERS;
  public readonly readsText = false;
  private parts: Buffer[] = [];

  public event(bytes: Buffer): void {
    this.parts.push(bytes);
  }

  public texts(bytes: Buffer): void {
    this.parts.push(bytes);
  }

  public engineError(bytes: Buffer): void {
    this.parts.push(bytes);
  }

  public done(bytes: Buffer): void {
    this.parts.push(bytes);
  }

  public take(): Buffer {
    const { parts } = this;
    this.parts = [];
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }
}
