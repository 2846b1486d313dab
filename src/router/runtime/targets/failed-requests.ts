import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { Endpoint, FailedRequest } from './endpoint';
import { EngineRequest, wholeOf } from '../wire/engine-request';

/** How long it is known that a request has failed, so that a caller who asks again, as SDKs do, is not sent to where it did. */
const MEMORY_MILLIS = 60_000;
/** Requests that are known. */
const MAX_REQUESTS = 1_000;
const NONE: ReadonlySet<Endpoint> = new Set();

/** What an engine was asked to do with a request: engines that did another part of it tell nothing of each other. */
export type Part = 'prefill' | 'answer';

/** An engine that has a part of a request. */
export interface Doer {
  readonly part: Part;
  readonly endpoint: Endpoint;
}

/** A request that an engine failed, and for how long that is known. */
interface Known extends FailedRequest {
  /** Of all requests that look like it at first sight. */
  readonly kind: string;
  readonly endpoints: Set<Endpoint>;
  readonly untilMillis: number;
}

/**
 * The requests that have failed lately, and where: one that fails wherever it is sent tells nothing of the engines.
 */
export class FailedRequests {
  private readonly requests = new Map<string, Known>();
  /** How many there are of each kind. */
  private readonly kinds = new Map<string, number>();

  /** The engines that failed a part of a request, which comes again. */
  public enginesOf(caller: string, asked: EngineRequest, part: Part): ReadonlySet<Endpoint> {
    this.forgetOld();
    if (this.requests.size === 0) {
      return NONE;
    }
    const kind = kindOf(caller, asked, part);
    // a digest costs more than all else, and most of the time nothing like it has failed.
    return this.kinds.has(kind) ? this.requests.get(keyOf(kind, asked))?.endpoints ?? NONE : NONE;
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
    this.forgetOld();
    const now = performance.now();
    const kind = kindOf(caller, asked, part);
    const key = keyOf(kind, asked);
    let failed = this.requests.get(key);
    if (failed === undefined) {
      failed = { caller, kind, endpoints: new Set<Endpoint>(), untilMillis: now + MEMORY_MILLIS };
      this.requests.set(key, failed);
      this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
      if (this.requests.size > MAX_REQUESTS) {
        this.forget(...this.requests.entries().next().value!);
      }
    }
    failed.endpoints.add(endpoint);
    endpoint.failed(now, failed, why);
  }

  /** Of engines that a request waits for in vain, those have failed that have told nobody anything for long. Returns whether there are any. */
  public blameSilent(caller: string, asked: EngineRequest, doers: readonly Doer[], why: string): boolean {
    const now = performance.now();
    const silent = doers.filter(({ endpoint }) => endpoint.isSilent(now));
    silent.forEach(({ part, endpoint }) => this.blame(caller, asked, part, endpoint, why));
    return silent.length > 0;
  }

  private forgetOld(): void {
    const now = performance.now();
    for (const [key, request] of this.requests) {
      if (request.untilMillis > now) {
        break;
      }
      this.forget(key, request);
    }
  }

  private forget(key: string, { kind }: Known): void {
    this.requests.delete(key);
    const left = this.kinds.get(kind)! - 1;
    if (left === 0) {
      this.kinds.delete(kind);
    } else {
      this.kinds.set(kind, left);
    }
  }
}

function kindOf(caller: string, { path, bytes, longTexts }: EngineRequest, part: Part): string {
  return JSON.stringify([caller, path, part, longTexts === undefined ? bytes.length : longTexts.bodyBytes]);
}

function keyOf(kind: string, asked: EngineRequest): string {
  const hash = createHash('sha256').update(kind);
  wholeOf(asked).forEach((part) => hash.update(part));
  return hash.digest('base64');
}
