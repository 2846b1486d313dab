import { EventFrame } from './event-stream';
import { ApiError, BODY_TIMEOUT } from '../api-error';
import { AnsweredRequest, CallerStream, CallerWire, StreamFailure } from '../caller-wire';
import { CONTEXT_LENGTH_EXCEEDED, refusalOf } from '../engine-refusal';
import { WholeAnswer } from '../whole-answer';

/** An exception of Bedrock's runtime API. */
interface Exception {
  readonly name: string;
  readonly status: number;
  /** The member of a stream's output that stands for it. */
  readonly inStream: string;
}

const VALIDATION = { name: 'ValidationException', status: 400, inStream: 'validationException' };
const THROTTLING = { name: 'ThrottlingException', status: 429, inStream: 'throttlingException' };
const MODEL_ERROR = { name: 'ModelErrorException', status: 424, inStream: 'modelStreamErrorException' };
const MODEL_TIMEOUT = { name: 'ModelTimeoutException', status: 408, inStream: 'modelStreamErrorException' };
const INTERNAL = { name: 'InternalServerException', status: 500, inStream: 'internalServerException' };

/** By HTTP status in the terms of the OpenAI API; what is not here is the caller's below 500, and the router's above. */
const EXCEPTIONS: { readonly [status: number]: Exception } = {
  401: { name: 'AccessDeniedException', status: 403, inStream: 'validationException' },
  403: { name: 'AccessDeniedException', status: 403, inStream: 'validationException' },
  408: MODEL_TIMEOUT,
  424: MODEL_ERROR,
  429: THROTTLING,
  502: MODEL_ERROR,
  503: { name: 'ServiceUnavailableException', status: 503, inStream: 'serviceUnavailableException' },
  504: MODEL_TIMEOUT,
};

/** By code, where a status does not tell: operations of Bedrock that there are none of here, and what AWS' services have in common for a body that does not come. */
const UNKNOWN_OPERATION = { name: 'UnknownOperationException', status: 404, inStream: 'validationException' };
const BY_CODE: { readonly [code: string]: Exception } = {
  not_found: UNKNOWN_OPERATION,
  method_not_allowed: UNKNOWN_OPERATION,
  [BODY_TIMEOUT]: { name: 'RequestTimeoutException', status: 408, inStream: 'validationException' },
};

/** What Bedrock says of a prompt that is too long: by these words clients know that a conversation is to be made shorter. */
const TOO_LONG = 'Input is too long for requested model.';

/**
 * Callers of Bedrock's runtime API: exceptions by their names, and streams that always end in a word of their own. SDKs take a stream that is cut between
 * two events for a whole one, so a stream that fails ends in an exception.
 */
export abstract class BedrockWire implements CallerWire {
  /** The member of its streams' output that tells of a model that takes too long. */
  protected readonly timeoutInStream: string = MODEL_TIMEOUT.inStream;

  public headers(request: AnsweredRequest): { readonly [name: string]: string } {
    return { 'x-amzn-requestid': request.id };
  }

  public error(error: ApiError): WholeAnswer {
    const { name, status } = exceptionOf(error);
    const message = error.code === CONTEXT_LENGTH_EXCEEDED ? `${TOO_LONG} ${error.message}` : error.message;
    return {
      status,
      headers: { 'content-type': 'application/json', ...error.headers, 'x-amzn-errortype': name },
      body: Buffer.from(JSON.stringify({ message })),
    };
  }

  public streamFailure(error: ApiError): StreamFailure {
    const exception = exceptionOf(error);
    const name = exception === MODEL_TIMEOUT ? this.timeoutInStream : exception.inStream;
    return { bytes: EventFrame.exception(name).encode(JSON.stringify({ message: error.message })), isEnd: true };
  }

  public whole(answer: WholeAnswer, request: AnsweredRequest): WholeAnswer {
    return answer.status === 200 ? this.translate(answer, request) : this.error(modelsRefusal(answer));
  }

  public abstract stream(request: AnsweredRequest): CallerStream;

  /** What becomes of an answer that is no refusal. */
  protected abstract translate(answer: WholeAnswer, request: AnsweredRequest): WholeAnswer;
}

/** An engine's refusal or failure: whatever an engine fails with, it is the model that failed, not the router. */
function modelsRefusal(answer: WholeAnswer): ApiError {
  const { status, code, message, headers } = refusalOf(answer);
  const known = code === CONTEXT_LENGTH_EXCEEDED ? code : 'engine_refused';
  return new ApiError(status >= 500 && status !== 503 ? 502 : status, 'invalid_request_error', known, message, headers);
}

function exceptionOf({ status, code }: ApiError): Exception {
  return (Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : EXCEPTIONS[status]) ?? (status < 500 ? VALIDATION : INTERNAL);
}
