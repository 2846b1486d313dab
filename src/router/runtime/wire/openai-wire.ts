import { ApiError } from './api-error';
import { CallerStream, CallerWire } from './caller-wire';
import { completionOf } from './completion';
import { isOpenAiError, membersOf, refusalOf } from './engine-refusal';
import { withMembers } from './json-object';
import { dataOfEach, eventOf, SSE_HEADERS } from './sse';
import { ServiceTier } from '../../../routing';

/** The member of an answer that tells the tier. */
const SERVICE_TIER = 'service_tier';
/** What an event ends with that is one line of an object. */
const END_OF_EVENT = '}\n\n';

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

/** Those who asked for a service tier: the answer, or each chunk of it, tells the one that it was served in, whatever the engine says of tiers that it has not. */
export const TIERED_OPENAI_WIRE: CallerWire = {
  ...OPENAI_WIRE,
  whole: (answer, request) => {
    const told = OPENAI_WIRE.whole(answer, request);
    return told.status === 200 ? { ...told, body: withMembers(told.body, { [SERVICE_TIER]: JSON.stringify(request.serviceTier) }) } : told;
  },
  stream: ({ serviceTier }) => new TieredStream(serviceTier),
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

/** Events whose chunks tell the tier. */
class TieredStream extends OpenAiStream {
  private readonly tier: string;
  private readonly told: string;

  constructor(tier: ServiceTier) {
    super();
    this.tier = JSON.stringify(tier);
    this.told = `,"${SERVICE_TIER}":${this.tier}${END_OF_EVENT}`;
  }

  public override event(bytes: Buffer, data?: string): void {
    super.event(data === undefined ? bytes : eventOf(withMembers(Buffer.from(data), { [SERVICE_TIER]: this.tier }).toString('utf8')));
  }

  public override texts(bytes: Buffer): void {
    if (bytes.includes(`"${SERVICE_TIER}"`)) {
      dataOfEach(bytes.toString('utf8')).forEach((data) => this.event(bytes, data));
    } else {
      // they are many, and need not be read: none has a blank line but at its end.
      super.texts(Buffer.from(bytes.toString('latin1').replaceAll(END_OF_EVENT, this.told), 'latin1'));
    }
  }
}
