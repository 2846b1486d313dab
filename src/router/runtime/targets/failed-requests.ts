import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Endpoint } from './endpoint';
import { EngineRequest } from '../wire/engine-request';

/** How long it is known that a request has failed, so that a caller who asks again, as SDKs do, is not sent to where it did. */
const MEMORY_MILLIS = 60_000;
/** Requests that are known. */
const MAX_REQUESTS = 1_000;
const NONE: ReadonlySet<Endpoint> = new Set();

/** What an engine was asked to do with a request: engines that did another part of it tell nothing of each other. */
export type Part = 'prefill' | 'answer';

/** A request that an engine failed. */
export interface FailedRequest {
  readonly caller: string;
  /** All engines that did. */
  readonly endpoints: Set<Endpoint>;
  readonly untilMillis: number;
}

/**
 * The requests that have failed lately, and where: one that fails wherever it is sent tells nothing of the engines.
 */
export class FailedRequests {
  private readonly requests = new Map<string, FailedRequest>();

  /** The engines that failed a part of a request, which comes again. */
  public enginesOf(caller: string, asked: EngineRequest, part: Part): ReadonlySet<Endpoint> {
    // a digest costs more than all else, and most of the time nothing has failed.
    return this.size === 0 ? NONE : this.requests.get(keyOf(caller, asked, part))?.endpoints ?? NONE;
  }

  /**
   * An engine has failed a part of a request.
   *
   * @param caller who asked.
   * @param asked what was asked.
   * @param part what the engine was to do.
   * @param endpoint the engine.
   * @param why for the log.
   */
  public blame(caller: string, asked: EngineRequest, part: Part, endpoint: Endpoint, why: string): void {
    const now = performance.now();
    const key = keyOf(caller, asked, part);
    const request = this.size === 0 ? undefined : this.requests.get(key);
    const failed = request ?? { caller, endpoints: new Set<Endpoint>(), untilMillis: now + MEMORY_MILLIS };
    this.requests.set(key, failed);
    if (this.requests.size > MAX_REQUESTS) {
      this.requests.delete(this.requests.keys().next().value!);
    }
    failed.endpoints.add(endpoint);
    endpoint.failed(now, failed, why);
  }

  /** How many are known still. */
  private get size(): number {
    const now = performance.now();
    for (const [key, { untilMillis }] of this.requests) {
      if (untilMillis > now) {
        break;
      }
      this.requests.delete(key);
    }
    return this.requests.size;
  }
}

function keyOf(caller: string, { path, bytes }: EngineRequest, part: Part): string {
  return createHash('sha256').update(JSON.stringify([caller, path, part])).update(bytes).digest('base64');
}
