import { EngineStream } from './engine-stream';
import { Frame, FrameSplitter } from './event-frames';
import { MAX_ANSWER_BYTES, sendWhole } from './relay';
import { Exchange } from '../exchange';
import { EngineResponse } from '../targets/engine-response';
import { readWhole } from '../targets/read-whole';
import { ApiError, EngineError, isRoutersTrouble } from '../wire/api-error';
import { Fields, isObject } from '../wire/fields';
import { converseUsageOf, Usage } from '../wire/usage';

/** Headers of Bedrock that are part of its answer, but for when to come back. */
const RETURNED = /^(?:content-type|x-amzn-errortype|x-amzn-bedrock-.+)$/;
/** What the last chunk of InvokeModelWithResponseStream says, whatever the model: Bedrock's own metrics, or a model's reason to stop. */
const LAST_CHUNK = /"(?:amazon-bedrock-invocationMetrics|stop_reason|finish_reason|stopReason|completionReason)"\s*:\s*["{]/;

/** Passes an answer of Bedrock that is not a stream on to a caller of Bedrock's API, byte for byte, once it is whole. */
export async function relayBedrocksAnswer(exchange: Exchange, response: EngineResponse): Promise<void> {
  const { status, body, headers: { 'retry-after': retryAfter } } = await readWhole(response, MAX_ANSWER_BYTES);
  exchange.trace?.finished(() => reasonIn(json(body)));
  const headers = returned(response);
  const name = String(headers['x-amzn-errortype'] ?? '').split(':', 1)[0];
  if (isRoutersTrouble(status)) {
    throw new EngineError(502, 'engine_refused', `Bedrock refuses the router with status ${status}${name === '' ? '' : `, ${name}`}`);
  }
  if (name === 'ServiceQuotaExceededException') {
    // the quota is that of the router's account: the caller's request is none the worse for it.
    throw new ApiError(429, 'rate_limit_error', 'engines_full', 'Bedrock\'s quota is used up', { 'retry-after': retryAfter ?? '1' });
  }
  // InvokeModel tells it in a header, Converse in the body.
  const isInvoked = headers['x-amzn-bedrock-input-token-count'] !== undefined;
  const count = (kind: string) => Number(headers[`x-amzn-bedrock-${kind}-token-count`]);
  const { promptTokens, cachedTokens, completionTokens } = converseUsageOf(!isInvoked ? (json(body) as Fields).usage : {
    inputTokens: count('input'), cacheReadInputTokens: count('cache-read-input'), cacheWriteInputTokens: count('cache-write-input'), outputTokens: count('output'),
  });
  exchange.promptTokens = promptTokens;
  exchange.cachedTokens = cachedTokens;
  exchange.completionTokens = completionTokens;
  await sendWhole(exchange, { status, body, headers: retryAfter === undefined ? headers : { ...headers, 'retry-after': retryAfter } });
}

/**
 * A stream of Bedrock, on its way to a caller of Bedrock's API, byte for byte.
 */
export class BedrockEngineStream extends EngineStream {
  public readonly contentType = 'application/vnd.amazon.eventstream';
  public readonly headers: { readonly [name: string]: string };
  private readonly splitter = new FrameSplitter();
  private whole = false;

  constructor(exchange: Exchange, response: EngineResponse) {
    super(exchange);
    this.headers = returned(response);
  }

  public get ended(): boolean {
    return this.whole || this.failed;
  }

  public read(chunk: Buffer): Buffer {
    const frames = this.splitter.push(chunk);
    frames.forEach((frame) => this.readFrame(frame));
    return Buffer.concat(frames.map(({ bytes }) => bytes));
  }

  private readFrame({ messageType, eventType, payload }: Frame): void {
    this.failed = this.failed || messageType !== 'event';
    switch (eventType) {
      case 'contentBlockDelta':
        return this.count(1);
      case 'messageStop':
        this.exchange.trace?.finished(() => reasonIn(json(payload)));
        return;
      case 'metadata':
        // the last of Converse's events: without it nobody learns what is to be paid.
        this.whole = true;
        this.readUsage(converseUsageOf((json(payload) as Fields).usage));
        return;
      case 'chunk':
        this.readChunk(Buffer.from(String((json(payload) as { bytes?: unknown }).bytes), 'base64').toString('utf8'));
    }
  }

  private readChunk(text: string): void {
    const isLast = LAST_CHUNK.test(text);
    this.count(isLast ? 0 : 1);
    if (isLast) {
      this.whole = true;
      this.exchange.trace?.read(text);
      const { 'amazon-bedrock-invocationMetrics': metrics } = json(Buffer.from(text)) as Fields;
      const { inputTokenCount, cacheReadInputTokenCount, cacheWriteInputTokenCount, outputTokenCount } = isObject(metrics) ? metrics : {} as Fields;
      this.readUsage(converseUsageOf({
        inputTokens: inputTokenCount,
        cacheReadInputTokens: cacheReadInputTokenCount,
        cacheWriteInputTokens: cacheWriteInputTokenCount,
        outputTokens: outputTokenCount,
      }));
    }
  }

  private readUsage({ promptTokens, cachedTokens, completionTokens }: Usage): void {
    this.exchange.promptTokens = promptTokens ?? this.exchange.promptTokens;
    this.exchange.cachedTokens = cachedTokens ?? this.exchange.cachedTokens;
    this.tokens = completionTokens ?? this.tokens;
  }
}

/** Why an answer ended, as Converse and the models behind InvokeModel tell it beside what they write. */
function reasonIn(answer: { stopReason?: unknown; stop_reason?: unknown; choices?: { finish_reason?: unknown }[] }): unknown {
  return answer.stopReason ?? answer.stop_reason ?? answer.choices?.[0]?.finish_reason;
}

function returned(response: EngineResponse): { [name: string]: string } {
  const all = Object.entries(response.headers).filter((header): header is [string, string] => RETURNED.test(header[0]) && typeof header[1] === 'string');
  return Object.fromEntries(all);
}

/** A payload; an empty object if it is no JSON, which is the caller's to find out. */
function json(payload: Buffer): object {
  try {
    return Object(JSON.parse(payload.toString('utf8')));
  } catch {
    return {};
  }
}
