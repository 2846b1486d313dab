import { AnsweredRequest, CallerStream } from '../caller-wire';
import { WholeAnswer } from '../whole-answer';
import { BedrockWire } from './bedrock-wire';
import { Call, completionOf, messageOf, stoppedAt } from '../completion';
import { stopReasonOf, tierOf, toolInputOf, toolUseIdOf, bedrockUsageOf } from './converse-answer';
import { ConverseStream } from './converse-stream';
import { ExactJson } from '../exact-json';
import { Fields } from '../fields';

/**
 * Callers of Converse and ConverseStream.
 */
export class ConverseWire extends BedrockWire {
  public stream(request: AnsweredRequest): CallerStream {
    return new ConverseStream(request);
  }

  protected translate(answer: WholeAnswer, request: AnsweredRequest): WholeAnswer {
    const completion = completionOf(answer, request);
    const { choices: [choice], usage } = completion;
    const { reasoning, text, refusal, calls } = messageOf(completion);
    const exact = new ExactJson();
    const uses = calls.map((call) => toolUseOf(call, exact));
    const content = [
      ...(reasoning === undefined ? [] : [{ reasoningContent: { reasoningText: { text: reasoning } } }]),
      // Bedrock knows no refusals: a model's is text.
      ...[text, refusal].filter((one) => one !== undefined).map((one) => ({ text: one })),
      ...uses.filter((use) => use !== undefined),
    ];
    const body = {
      output: { message: { role: 'assistant', content } },
      stopReason: stopReasonOf(choice.finish_reason, stoppedAt(choice), calls.length > 0, uses.includes(undefined)),
      usage: bedrockUsageOf(usage),
      metrics: { latencyMs: Math.round(request.elapsedSeconds() * 1000) },
      ...tierOf(request),
    };
    return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(exact.stringify(body)) };
  }
}

/** A call as Bedrock tells it; undefined where its arguments are no JSON object, or cannot be written. */
function toolUseOf({ id, name, input: text }: Call, exact: ExactJson): Fields | undefined {
  const input = toolInputOf(text, exact);
  return input === undefined ? undefined : { toolUse: { toolUseId: toolUseIdOf(id), name, input } };
}
