import { performance } from 'node:perf_hooks';
import { Body } from '../body';
import { Cancellation } from '../cancellation';
import { LimitsConfig } from '../config';
import { Exchange } from '../exchange';
import { Handoff } from '../handoff/handoff';
import { BedrockEngineStream, relayBedrocksAnswer } from '../relay/bedrock-stream';
import { OpenAiEngineStream } from '../relay/openai-stream';
import { relayStream, relayWhole } from '../relay/relay';
import { Silence } from '../relay/silence';
import { requestToBedrock } from '../targets/bedrock-request';
import { Endpoint } from '../targets/endpoint';
import { engineErrorOf, EngineResponse } from '../targets/engine-response';
import { busySeconds } from '../targets/read-whole';
import { Target } from '../targets/target';
import { ConnectError, TooManyOpenFiles } from '../upstream/connection';
import { ApiError, EngineError, engineFailed, TOO_BUSY } from '../wire/api-error';
import { asksForUsage, EngineRequest } from '../wire/engine-request';

/** What one engine is asked. */
export interface Leg {
  readonly endpoint: Endpoint;
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  readonly body: Body;
  /** Cancelled when the engine is no longer to answer. */
  readonly cancellation: Cancellation;
  /** Whether the KV cache is kept for it, until it is fetched or its lease ends. */
  readonly fetches?: boolean;
  /** Whether it may be sent once more where an idle connection was closed meanwhile: a hand-off may not, which another engine is told of. */
  readonly isRepeatable?: boolean;
  /** Whether another header would break its signature. */
  readonly isSigned?: boolean;
  /** Whether it answers as Bedrock does, to a caller that asked as Bedrock is asked. */
  readonly inBedrocksFormat?: boolean;
  /** Whether the request goes to another engine, which has room, as this one says that it has too much to do; it never does by default. */
  readonly goElsewhere?: () => boolean;
}

/** An engine says that it has too much to do, and another is asked, which has room. The caller was told nothing. */
export class EngineBusy extends Error {
  public readonly status: number;

  constructor(status: number) {
    super(`the engine has too much to do: status ${status}`);
    this.status = status;
  }
}

/**
 * The leg of a request that answers it: one engine is asked, and what it says is passed on.
 */
export class AnswerLeg {
  private readonly limits: LimitsConfig;
  private readonly handoff: Handoff;

  /**
   * @param limits within which bounds.
   * @param handoff what is told of KV caches that the engine does not fetch.
   */
  constructor(limits: LimitsConfig, handoff: Handoff) {
    this.limits = limits;
    this.handoff = handoff;
  }

  /**
   * Lets an engine answer. Resolves to its status once the caller has all of it, to undefined if no connection could be made; rejects with EngineBusy if
   * another is to be asked.
   */
  public async run(exchange: Exchange, asked: EngineRequest, leg: Leg): Promise<number | undefined> {
    const span = exchange.trace?.leg('decode', leg.endpoint.url);
    let status: number | undefined;
    try {
      // what is signed stays as it is.
      status = await this.send(exchange, asked, span === undefined || leg.isSigned ? leg : { ...leg, headers: { ...leg.headers, ...span.headers } });
      return status;
    } catch (e) {
      status = e instanceof EngineBusy ? e.status : undefined;
      throw e;
    } finally {
      span?.end(exchange.code === 'stream_error' ? undefined : status);
    }
  }

  /** Does so, without telling OpenTelemetry. */
  private async send(exchange: Exchange, asked: EngineRequest, leg: Leg): Promise<number | undefined> {
    const silence = asked.stream ? new Silence(exchange, this.limits) : undefined;
    try {
      const response = await this.post(exchange, leg);
      if (response === undefined) {
        return undefined;
      }
      const { status } = response;
      exchange.tellRoute();
      await this.heed(status, exchange, leg, response);
      if (silence !== undefined && status === 200) {
        const stream = leg.inBedrocksFormat ? new BedrockEngineStream(exchange, response) : new OpenAiEngineStream(exchange, asksForUsage(asked));
        try {
          await relayStream(exchange, response, stream, silence);
        } catch (e) {
          if (e instanceof ApiError && !(e instanceof EngineError)) {
            // some engines refuse a request by the first event of a stream.
            await this.heed(e.status, exchange, leg, response);
          }
          throw e;
        }
      } else {
        await (leg.inBedrocksFormat ? relayBedrocksAnswer : relayWhole)(exchange, response);
      }
      return status;
    } finally {
      silence?.end();
    }
  }

  /** The engine's answer, from its status on; undefined if no connection could be made. */
  private async post({ via }: Exchange, leg: Leg): Promise<EngineResponse | undefined> {
    const { endpoint, path, headers, body, cancellation, isRepeatable, fetches } = leg;
    try {
      // proxies may add to `via`, so that it is not signed.
      return await endpoint.post(path, { via, ...headers }, body, cancellation, isRepeatable);
    } catch (e) {
      const isUnreachable = cancellation.reason === undefined && e instanceof ConnectError;
      if (fetches && (isUnreachable || isRouters(e))) {
        // it never had the request.
        this.handoff.drop();
      }
      if (isUnreachable) {
        return undefined;
      }
      throw isRouters(e) ? e : engineErrorOf(e as Error, 'the engine broke off before it answered');
    }
  }

  /** Heeds what an engine says by a status: throws if another engine is to be asked, or, after a hand-off, this one once more. */
  private async heed(status: number, exchange: Exchange, leg: Leg, response: EngineResponse): Promise<void> {
    if (leg.fetches && ((status >= 400 && status < 500) || TOO_BUSY.has(status))) {
      // it refused the request without a look at the KV cache.
      this.handoff.drop();
    }
    if (TOO_BUSY.has(status)) {
      leg.endpoint.busy(performance.now(), busySeconds(response));
      if (leg.goElsewhere?.()) {
        await response.discard();
        throw new EngineBusy(status);
      }
    }
    if (exchange.handoff === 'handed_off' && status >= 500 && !TOO_BUSY.has(status)) {
      await response.discard();
      throw engineFailed(`the engine answers a hand-off with status ${status}`);
    }
  }
}

/** Whether it is by the router's fault that a request was not sent: a header is none, or it has too many files open. */
function isRouters(e: unknown): boolean {
  return e instanceof TypeError || e instanceof TooManyOpenFiles;
}

/** The leg as Bedrock is to be sent it; as it is for engines, which nothing is signed for. */
export async function signedLeg(exchange: Exchange, asked: EngineRequest, { signer, config }: Target, leg: Leg): Promise<Leg> {
  if (signer === undefined) {
    return leg;
  }
  const request = requestToBedrock(exchange.request.headers, asked, config.modelName!, leg);
  const headers = await signer.sign(leg.endpoint.urlOf(request.path), request.headers, Buffer.concat(request.body));
  return { ...leg, ...request, headers, isSigned: true, inBedrocksFormat: asked.bedrock !== undefined };
}
