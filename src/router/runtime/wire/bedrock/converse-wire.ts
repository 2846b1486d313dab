import { Exchange } from '../../exchange';
import { EngineError } from '../api-error';
import { CallerStream } from '../caller-wire';
import { WholeAnswer } from '../whole-answer';
import { BedrockWire } from './bedrock-wire';
import { completionOf, reasoningOf } from '../completion';
import { stopReasonOf, tierOf, toolInputOf, toolUseIdOf, usageOf } from './completion';
import { ConverseStream } from './converse-stream';
import { ExactJson } from '../exact-json';
import { Fields, isObject } from '../fields';

/**
 * Callers of Converse and ConverseStream.
 */
export class ConverseWire extends BedrockWire {
  public stream(exchange: Exchange): CallerStream {
    return new ConverseStream(exchange);
  }

  protected translate(answer: WholeAnswer, exchange: Exchange): WholeAnswer {
    const { choices, usage } = completionOf(answer);
    const { message, finish_reason: finishReason, stop_reason: stop } = choices[0];
    if (!isObject(message)) {
      throw new EngineError(502, 'engine_failed', 'the engine answers with something that is no chat completion');
    }
    const exact = new ExactJson();
    const calls = Array.isArray(message.tool_calls) ? message.tool_calls.map((call) => toolUseOf(call, exact)) : [];
    const reasoning = reasoningOf(message);
    const content = [
      ...(reasoning === undefined ? [] : [{ reasoningContent: { reasoningText: { text: reasoning } } }]),
      ...(typeof message.content === 'string' && message.content !== '' ? [{ text: message.content }] : []),
      ...calls.filter((call) => call !== undefined),
    ];
    const body = {
      output: { message: { role: 'assistant', content } },
      stopReason: calls.includes(undefined) ? 'malformed_tool_use' : stopReasonOf(finishReason, stop, calls.length > 0),
      usage: usageOf(usage),
      metrics: { latencyMs: Math.round(exchange.elapsedSeconds() * 1000) },
      ...tierOf(exchange),
    };
    return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(exact.stringify(body)) };
  }
}

/** A call as Bedrock tells it; undefined where its arguments are not JSON, or cannot be written. */
function toolUseOf(call: unknown, exact: ExactJson): Fields | undefined {
  const { id, function: called } = isObject(call) ? call : {} as Fields;
  const { name, arguments: text } = isObject(called) ? called : {} as Fields;
  const input = toolInputOf(typeof text === 'string' ? text : '', exact);
  return input === undefined ? undefined : { toolUse: { toolUseId: toolUseIdOf(id), name, input } };
}
