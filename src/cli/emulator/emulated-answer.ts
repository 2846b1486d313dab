import { randomUUID } from 'node:crypto';
import { ServerResponse } from 'node:http';
import { EmulatedText } from './emulated-text';

/** What an answer is made of, and how it is told. */
export interface AnswerParts {
  readonly response: ServerResponse;
  readonly text: EmulatedText;
  readonly model: string;
  /** Whether it is a completion, not one of a chat. */
  readonly isCompletion: boolean;
  readonly isStream: boolean;
  /** How many times it is told of each prompt. */
  readonly choices: number;
  readonly inputTokens: number;
}

/** An answer on its way, as OpenAI's API tells it. All of its choices say the same, and have each token at once. */
export class EmulatedAnswer {
  private readonly parts: AnswerParts;
  private readonly id: string;
  /** Unix seconds. */
  private readonly created = Math.floor(Date.now() / 1000);
  private readonly calls: readonly string[];
  private written = 0;

  constructor(parts: AnswerParts) {
    this.parts = parts;
    this.id = `${parts.isCompletion ? 'cmpl' : 'chatcmpl'}-${randomUUID()}`;
    this.calls = Array.from({ length: parts.choices * parts.text.before.length }, () => `chatcmpl-tool-${randomUUID()}`);
    if (parts.isStream) {
      parts.response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    }
  }

  /** A token was written. */
  public token(): void {
    const { response, isStream, text: { tokens, tokenAt } } = this.parts;
    const token = tokens === 0 ? '' : tokenAt(this.written);
    const pieces = this.calls.map((_, index) => (this.written === 0 ? this.before(index) : '') + token);
    this.written++;
    const isLast = this.written >= tokens;
    if (isStream) {
      pieces.forEach((piece, index) => this.event([{ index, ...this.delta(piece, index), ...this.end(isLast) }]));
      if (isLast) {
        this.event([], this.usage());
        response.end('data: [DONE]\n\n');
      }
    } else if (isLast) {
      const choices = this.calls.map((_, index) => ({ index, ...this.whole(index), ...this.end(true) }));
      sendJson(response, { ...this.head(), choices, usage: this.usage() });
    }
  }

  private delta(piece: string, index: number): object {
    const { isCompletion, text: { tool } } = this.parts;
    if (isCompletion) {
      return { text: piece };
    }
    const isFirst = this.written === 1;
    const role = isFirst && { role: 'assistant' };
    if (tool === undefined) {
      return { delta: { ...role, content: piece } };
    }
    const call = isFirst ? this.call(index, piece) : { function: { arguments: piece } };
    return { delta: { ...role, tool_calls: [{ index: 0, ...call }] } };
  }

  /** What comes before a choice: those of the first prompt are the first. */
  private before(index: number): string {
    const { choices, text } = this.parts;
    return text.before[Math.floor(index / choices)];
  }

  private whole(index: number): object {
    const { isCompletion, text: { tokens, tokenAt, tool } } = this.parts;
    const told = this.before(index) + Array.from({ length: tokens }, (_, at) => tokenAt(at)).join('');
    if (isCompletion) {
      return { text: told };
    }
    return { message: { role: 'assistant', ...(tool === undefined ? { content: told } : { content: null, tool_calls: [this.call(index, told)] }) } };
  }

  private call(index: number, told: string): object {
    return { id: this.calls[index], type: 'function', function: { name: this.parts.text.tool, arguments: told } };
  }

  private end(isLast: boolean): object {
    const { end, stop } = this.parts.text;
    return isLast ? { finish_reason: end, stop_reason: stop ?? null } : { finish_reason: null };
  }

  private usage(): object {
    const { inputTokens, text } = this.parts;
    const outputTokens = this.calls.length * text.tokens;
    return { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens };
  }

  private head(): object {
    const { isCompletion, isStream, model } = this.parts;
    return { id: this.id, object: isCompletion ? 'text_completion' : isStream ? 'chat.completion.chunk' : 'chat.completion', created: this.created, model };
  }

  private event(choices: object[], usage?: object): void {
    this.parts.response.write(`data: ${JSON.stringify({ ...this.head(), choices, usage })}\n\n`);
  }
}

/** Answers with a value. */
export function sendJson(response: ServerResponse, value: object, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
