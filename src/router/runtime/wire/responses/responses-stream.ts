import { ApiError, engineFailed } from '../api-error';
import { AnsweredRequest } from '../caller-wire';
import { CompletionStream, StreamedCall, TextKind } from '../completion-stream';
import { Fields } from '../fields';
import { SSE_HEADERS } from '../sse';
import { contentOf, endOf, itemOf, newItem, NO_ARGUMENTS, OutputItem, ResponseObject, responsesUsageOf } from './response-object';

/**
 * A response as it is told event by event: `response.created`, items of output with their parts and deltas, and `response.completed` or
 * `response.incomplete` with all of it once more.
 *
 * Text that arrives together is told in one event. A call of a tool is open until the end, as engines may mix the arguments of several. A stream that
 * fails ends in `response.failed` and an `error` that SDKs throw, so that a cut answer is not taken for a whole one.
 */
export class ResponsesStream extends CompletionStream {
  public readonly headers = SSE_HEADERS;
  private readonly response: ResponseObject;
  private readonly request: AnsweredRequest;
  private frames: string[] = [];
  private sequence = 0;
  private readonly items: OutputItem[] = [];
  private readonly open = new Set<OutputItem>();
  /** The open item that text is added to. */
  private writing?: OutputItem;
  /** Its text that was not told yet. */
  private pending = '';
  private readonly called = new Map<StreamedCall, OutputItem>();

  constructor(response: ResponseObject, request: AnsweredRequest) {
    super();
    this.response = response;
    this.request = request;
  }

  public engineError(): void {
    this.fail(engineFailed('the engine failed'));
  }

  public take(): Buffer {
    this.flush();
    const { frames } = this;
    this.frames = [];
    return Buffer.from(frames.join(''));
  }

  /** The last words of a stream that has failed, after what was not told yet. */
  public failure(error: ApiError): Buffer {
    this.fail(error);
    return this.take();
  }

  protected begin(): void {
    const response = this.response.in({ status: 'in_progress', output: [] }, this.request.serviceTier);
    this.tell('response.created', { response });
    this.tell('response.in_progress', { response });
  }

  protected text(kind: TextKind, text: string): void {
    const type = kind === 'text' ? 'message' : kind;
    if (this.writing?.type !== type) {
      this.endText();
      this.writing = this.beginItem(newItem(type));
      this.tell('response.content_part.added', { ...this.place(this.writing), content_index: 0, part: contentOf(this.writing) });
    }
    this.pending += text;
  }

  protected toolCall(call: StreamedCall, input: string): void {
    let item = this.called.get(call);
    if (item === undefined) {
      this.endText();
      item = this.beginItem(newItem('function_call', '', call.id, call.name));
      this.called.set(call, item);
    }
    if (input !== '') {
      item.text += input;
      this.tell('response.function_call_arguments.delta', Object.assign(this.place(item), { delta: input }));
    }
  }

  protected stop(): void {
    // told in the end, with the usage.
  }

  protected end(finishReason: string): void {
    this.flush();
    this.called.forEach((item, call) => item.text === '' && this.toolCall(call, NO_ARGUMENTS));
    const end = endOf(this.items, finishReason, responsesUsageOf(this.usage));
    this.open.forEach((item) => this.endItem(item, end.output[this.items.indexOf(item)]));
    this.tell(`response.${end.status}`, { response: this.response.in(end, this.request.serviceTier) });
  }

  private beginItem(item: OutputItem): OutputItem {
    this.items.push(item);
    this.open.add(item);
    this.tell('response.output_item.added', { output_index: this.items.length - 1, item: itemOf(item, 'in_progress') });
    return item;
  }

  private endText(): void {
    this.flush();
    if (this.writing !== undefined) {
      this.endItem(this.writing, itemOf(this.writing, 'completed'));
      this.writing = undefined;
    }
  }

  private endItem(item: OutputItem, ended: Fields): void {
    this.open.delete(item);
    const place = this.place(item);
    if (item.type === 'function_call') {
      this.tell('response.function_call_arguments.done', { ...place, name: item.call.name, arguments: item.text });
    } else {
      const said = item.type === 'refusal' ? { refusal: item.text } : { text: item.text };
      this.tell(`${textEvent(item)}.done`, { ...place, content_index: 0, ...said, ...logprobsOf(item) });
      this.tell('response.content_part.done', { ...place, content_index: 0, part: contentOf(item) });
    }
    this.tell('response.output_item.done', { output_index: place.output_index, item: ended });
  }

  private flush(): void {
    const { writing, pending } = this;
    if (writing !== undefined && pending !== '') {
      this.pending = '';
      writing.text += pending;
      this.tell(`${textEvent(writing)}.delta`, Object.assign(this.place(writing), { content_index: 0, delta: pending }, logprobsOf(writing)));
    }
  }

  private fail({ code, message, type }: ApiError): void {
    if (this.failed) {
      return;
    }
    this.flush();
    this.failed = true;
    const output = this.items.map((item) => itemOf(item, this.open.has(item) ? 'incomplete' : 'completed'));
    const state = { status: 'failed', output, error: { code: 'server_error', message } } as const;
    this.tell('response.failed', { response: this.response.in(state, this.request.serviceTier) });
    // the members that the API documents, and the one for which SDKs throw.
    this.tell('error', { code, message, param: null, error: { type, code, message, param: null } });
  }

  private place(item: OutputItem) {
    return { item_id: item.id, output_index: this.items.indexOf(item) };
  }

  private tell(type: string, members: Fields): void {
    this.frames.push(`event: ${type}\ndata: ${this.response.stringify({ type, sequence_number: this.sequence++, ...members })}\n\n`);
  }
}

function textEvent({ type }: OutputItem): string {
  switch (type) {
    case 'reasoning':
      return 'response.reasoning_text';
    case 'refusal':
      return 'response.refusal';
    default:
      return 'response.output_text';
  }
}

function logprobsOf({ type }: OutputItem): Fields {
  return type === 'message' ? { logprobs: [] } : {};
}
