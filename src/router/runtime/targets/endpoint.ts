import { performance } from 'node:perf_hooks';
import { ask, getWhole, TimeOver } from './ask';
import { EngineResponse } from './engine-response';
import { readEngineReport, ReportedLoad } from './reported-load';
import { EngineState, ReadPrompts } from '../../../routing';
import { Body } from '../body';
import { Cancellation } from '../cancellation';
import { TooManyOpenFiles } from '../upstream/connection';
import { Connections } from '../upstream/connections';
import { engineFailed } from '../wire/api-error';
import { WholeAnswer } from '../wire/whole-answer';

/** Requests in a row that fail, and that no other engine has failed, before an endpoint is passed over. */
const FAILURES_TO_EJECT = 3;
/** How long it is passed over at first, and at most: twice as long each time that the request fails that it gets afterwards. */
const EJECTION_MILLIS = 10_000;
const MAX_EJECTION_MILLIS = 60_000;
/** How long an answer to one caller says that it is not the engine if the requests of another fail. */
const GOOD_MILLIS = 10_000;
/** How long an engine that has requests says nothing before callers that leave without an answer tell that it stands still. */
const SILENCE_MILLIS = 10_000;
/** How long others are kept from an engine that had too much to do, once it is asked again, unless it answers before: it refuses at once, if it does. */
const TRIAL_MILLIS = 1_000;
/** Probes in a row that fail before an endpoint counts as down. */
const PROBES_TO_FAIL = 2;
const PROBE_TIMEOUT_MILLIS = 2_000;
const REPORT_TIMEOUT_MILLIS = 2_000;
/** Far above the metrics of any engine, and what any says of its health. */
const MAX_REPORT_BYTES = 4 * 1024 * 1024;
/** Reports that may fail in a row before the last one no longer counts. */
const REPORTS_TO_MISS = 2;
/** Share of a full KV cache from which on an engine soon puts requests off that it has begun. */
const NEARLY_FULL = 0.95;
/** Weight of the newest prompt in the mean of their lengths. */
const PROMPT_WEIGHT = 0.1;

/** How to learn whether an engine can answer. */
export interface Probe {
  readonly path: string;
  /** Statuses below 500 that say that it cannot; all above say so too. */
  readonly refusals: readonly number[];
}

/** A request that an engine failed. */
export interface FailedRequest {
  readonly caller: string;
  /** All engines that did. */
  readonly endpoints: ReadonlySet<Endpoint>;
}

/**
 * One engine: its connections, how many requests it has, and whether it can be relied on.
 */
export class Endpoint implements EngineState {
  /** Base URL of the engine. */
  public readonly url: string;
  /** What the engine says of its load. */
  public readonly reported = new ReportedLoad();
  /** The prompts that it was given. */
  public readonly prompts = new ReadPrompts();
  /** When it was last given a request, in a count that grows with each. */
  public turn = 0;
  private readonly connections: Connections;
  private readonly basePath: string;
  private readonly asked: Probe;
  private readonly headers: { readonly [name: string]: string };
  private readonly onRoom: () => void;
  private maxInFlight: number;
  private requests = 0;
  private isClosing = false;
  private promptTokens = 0;
  private meanPromptTokens = 0;
  private isAskedForReport = false;
  private readonly onHealth: (news: string, error?: string) => void;
  private up = false;
  /** What was last told of it; that it is up at first is no news. */
  private toldUp = true;
  private probing?: Promise<void>;
  private probesFailed = 0;
  /** Whether no connection could be made, and no probe has told since whether one can. */
  private isDoubted = false;
  /** The last requests that failed in a row, each once, and how often it was passed over since one went well. */
  private failures: readonly FailedRequest[] = [];
  private ejections = 0;
  private ejectedUntil = 0;
  /** How often it was passed over at all, and requests that it has been given since the last time. */
  private timesEjected = 0;
  private trials = 0;
  /** Until when it has too much to do, as it said, or may have; and whether none has asked since it said so. */
  private busyUntil = 0;
  private awaitsTrial = false;
  /** Who was answered last, and when, and when somebody else was before. */
  private answeredCaller = '';
  private answeredMillis = -Infinity;
  private otherMillis = -Infinity;
  /** Since when it has had requests without a pause, how many streams it has begun, and when it said something last. */
  private askedMillis = -Infinity;
  private streams = 0;
  private spokeMillis = -Infinity;

  /**
   * @param url base URL of the engine.
   * @param apiKey the engine's own API key; undefined if it asks for none.
   * @param maxInFlight requests at once, and so, with a probe's, the number of connections.
   * @param probe how to learn whether it can answer.
   * @param onRoom called when it may have become able to take a request, or no longer is.
   * @param onHealth called with what is to be told of its health, and why if it is no good news.
   */
  constructor(
    url: string, apiKey: string | undefined, maxInFlight: number, probe: Probe, onRoom: () => void, onHealth: (news: string, error?: string) => void,
  ) {
    this.url = url;
    this.maxInFlight = maxInFlight;
    this.onRoom = onRoom;
    this.onHealth = onHealth;
    this.asked = probe;
    const parsed = new URL(url);
    this.basePath = parsed.pathname.replace(/\/$/, '');
    // what is encoded could not be read here, nor by every caller.
    this.headers = { 'accept-encoding': 'identity', ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }) };
    this.connections = new Connections(parsed);
  }

  /** Requests that the engine has: of this router, and of others as far as it tells. */
  public get sequences(): number {
    return this.requests + this.reported.othersRequests;
  }

  /** Requests that it may get besides: none while it is not known whether it can be reached. */
  public get freeSlots(): number {
    return this.isDoubted ? 0 : Math.max(0, this.maxInFlight - this.requests);
  }

  /** Tokens of the prompts that the engine has of this router and has yet to read, as far as engines tell. */
  public get queuedPromptTokens(): number {
    return this.promptTokens;
  }

  /** The same with the prompts of others, where the engine reads prompts alone: each is taken for one of mean length. */
  public get everybodysPromptTokens(): number {
    return this.promptTokens + this.reported.othersRequests * this.meanPromptTokens;
  }

  /** Whether it says that it has hardly any room in its KV cache. */
  public get isNearlyFull(): boolean {
    return (this.reported.latest?.kvCacheUsage ?? 0) >= NEARLY_FULL;
  }

  /** Whether the engine answered its last probes. */
  public get isUp(): boolean {
    return this.up;
  }

  /** Whether it is up, and nothing has been told since that it might not be. */
  public get canBeReached(): boolean {
    return this.up && !this.isDoubted;
  }

  /** Whether the engine is up and its last requests did not fail in a row. After those that did, it is tried with one at a time until one goes well. */
  public isReliable(now: number): boolean {
    return this.canBeReached && now >= this.ejectedUntil && (this.ejections === 0 || this.trials === 0);
  }

  /** Whether it has said that it has too much to do: others of its kind are asked first. Once that is over, it is tried with one request before it has others. */
  public isBusy(now: number): boolean {
    return now < this.busyUntil;
  }

  /** It has said that it has too much to do, for so long. */
  public busy(now: number, seconds: number): void {
    this.busyUntil = now + seconds * 1000;
    this.awaitsTrial = true;
  }

  /** Takes so many requests at once from now on; those beyond it end as they would. */
  public limit(maxInFlight: number): void {
    this.maxInFlight = maxInFlight;
  }

  /** Takes a slot for a request; give it back with `release`, and what is returned. */
  public take(now = performance.now()): number {
    if (this.requests === 0) {
      this.askedMillis = now;
    }
    this.requests++;
    this.trials++;
    if (this.awaitsTrial && now >= this.busyUntil) {
      this.awaitsTrial = false;
      this.busyUntil = now + TRIAL_MILLIS;
    }
    return this.timesEjected;
  }

  /** Gives back a slot, as it was taken. */
  public release(taken = this.timesEjected): void {
    this.requests--;
    if (taken === this.timesEjected) {
      this.trials--;
    }
    if (this.isClosed) {
      this.connections.close();
    }
    this.onRoom();
  }

  /** The engine has a prompt of so many tokens to read; what is returned is to be called once it was read, and may be called again. */
  public reads(promptTokens: number): () => void {
    this.promptTokens += promptTokens;
    this.meanPromptTokens += (this.meanPromptTokens === 0 ? 1 : PROMPT_WEIGHT) * (promptTokens - this.meanPromptTokens);
    let left = promptTokens;
    return () => {
      this.promptTokens -= left;
      left = 0;
    };
  }

  /** It has begun a stream; what is returned is to be called at its end. */
  public speaks(): () => void {
    this.streams++;
    return () => {
      this.streams--;
      this.spoke(performance.now());
    };
  }

  /** It has said something, be it to another engine's use. */
  public spoke(now: number): void {
    this.spokeMillis = now;
  }

  /** Whether it has told nobody anything for long, though it was asked; once it was passed over, what it is asked to be tried is enough. */
  public isSilent(now: number): boolean {
    const since = Math.max(this.answeredMillis, this.spokeMillis, this.ejections > 0 ? -Infinity : this.askedMillis);
    return this.streams === 0 && now - since >= SILENCE_MILLIS;
  }

  /** A request of a caller went as it should: the engine answered it, be it with a refusal. */
  public succeeded(now: number, caller: string): void {
    if (caller !== this.answeredCaller) {
      this.otherMillis = this.answeredMillis;
      this.answeredCaller = caller;
    }
    this.answeredMillis = now;
    if (this.failures.length > 0) {
      this.failures = [];
    }
    if (!this.awaitsTrial) {
      this.busyUntil = 0;
    }
    // what it had before may still go well.
    if (this.ejections > 0 && now >= this.ejectedUntil) {
      this.ejections = 0;
      this.onHealth('an engine is no longer passed over: it answers');
    }
  }

  /** A request failed, which may be by the engine's fault. */
  public failed(now: number, request: FailedRequest, why: string): void {
    const isOfEngine = ({ endpoints }: FailedRequest) => endpoints.size === 1;
    if (!isOfEngine(request) || now < this.ejectedUntil) {
      return;
    }
    this.failures = [...this.failures.filter((one) => one !== request && isOfEngine(one)), request].slice(-FAILURES_TO_EJECT);
    const othersMillis = this.answeredCaller === request.caller ? this.otherMillis : this.answeredMillis;
    const isOfCaller = now - othersMillis < GOOD_MILLIS && this.failures.every(({ caller }) => caller === request.caller);
    if (this.ejections > 0 || (this.failures.length === FAILURES_TO_EJECT && !isOfCaller)) {
      const millis = Math.min(MAX_EJECTION_MILLIS, EJECTION_MILLIS * 2 ** this.ejections);
      this.ejections++;
      this.timesEjected++;
      this.trials = 0;
      this.ejectedUntil = now + millis;
      this.onHealth(`an engine is passed over for ${millis / 1000} s: its last requests failed`, why);
    }
  }

  /** No connection could be made: probes, the first of them at once, tell whether the engine is down. Until then it gets no request. */
  public unreachable(): void {
    if (this.up && !this.isDoubted) {
      this.isDoubted = true;
      this.onHealth('an engine gets no request until it has answered a probe', 'no connection could be made');
      void this.probe();
    }
  }

  /** Where a path of the engine is. */
  public urlOf(path: string): URL {
    return new URL(`${this.basePath}${path}`, this.url);
  }

  /**
   * Sends a request to the engine, a repeatable one once more where an idle connection was closed meanwhile. Resolves once its answer begins, and rejects if
   * it does not; with TypeError for a header that is none.
   */
  public async post(
    path: string, headers: { readonly [name: string]: string }, body: Body, cancellation: Cancellation, isRepeatable = false,
  ): Promise<EngineResponse> {
    const question = { method: 'POST', path: `${this.basePath}${path}`, headers: Object.assign({}, headers, this.headers), body, isRepeatable } as const;
    return ask(this.connections, question, cancellation);
  }

  /** Asks the engine for its health, unless it is being asked: one silence is not two. Most answers below 500 count: hosted engines have no `/health`. */
  public async probe(): Promise<void> {
    this.probing ??= this.askForHealth().finally(() => {
      this.probing = undefined;
    });
    return this.probing;
  }

  /**
   * Asks the engine for its load. If it does not tell, nothing is known of it after a while, and nothing else follows.
   *
   * @param path of its metrics.
   * @param intervalSeconds when it is asked again.
   */
  public async askForReport(path: string, intervalSeconds: number): Promise<void> {
    if (this.isAskedForReport) {
      return;
    }
    this.isAskedForReport = true;
    const ownBefore = this.requests;
    try {
      const { status, body } = await this.get(path, REPORT_TIMEOUT_MILLIS);
      const own = Math.max(ownBefore, this.requests);
      const report = status === 200 ? readEngineReport(body.toString('latin1')) : undefined;
      if (report !== undefined) {
        this.reported.take(report, own, intervalSeconds * (REPORTS_TO_MISS + 1));
      }
    } catch {
      // probes and requests tell whether the engine is well.
    } finally {
      this.isAskedForReport = false;
    }
  }

  /** Closes connections once nobody has a slot any more: who has one may have to ask yet. */
  public close(): void {
    this.isClosing = true;
    if (this.isClosed) {
      this.connections.close();
    }
  }

  /** Whether it was closed and nobody has a slot any more. */
  public get isClosed(): boolean {
    return this.isClosing && this.requests === 0;
  }

  /** Is not to be closed after all. */
  public keep(): void {
    this.isClosing = false;
  }

  private async askForHealth(): Promise<void> {
    try {
      const { status } = await this.get(this.asked.path, PROBE_TIMEOUT_MILLIS);
      if (status >= 500 || this.asked.refusals.includes(status)) {
        throw new Error(`the engine answers its health probe with ${status}`);
      }
    } catch (e) {
      if (e instanceof TooManyOpenFiles) {
        // it was not asked.
        return;
      }
      this.probesFailed++;
      const wasUp = this.up;
      this.up = wasUp && this.probesFailed < PROBES_TO_FAIL;
      this.tellHealth(e);
      // who is there but says nothing to anybody stands still, and who is not there any more cannot say so; who refuses to be asked may still answer.
      if (!this.connections.wasHeard() && e instanceof TimeOver && !this.up) {
        this.connections.giveUp(engineFailed('the engine answers nothing any more'));
      }
      if (wasUp && !this.up) {
        // who waits for it learns that there is nothing to wait for.
        this.onRoom();
      }
      return;
    }
    this.probesFailed = 0;
    this.isDoubted = false;
    this.up = true;
    this.tellHealth();
    // told each time: nothing else tells the end of the time for which it was passed over.
    this.onRoom();
  }

  private async get(path: string, timeoutMillis: number): Promise<WholeAnswer> {
    return getWhole(this.connections, `${this.basePath}${path}`, this.headers, timeoutMillis, MAX_REPORT_BYTES);
  }

  /** Tells that it went down or is back, each once. */
  private tellHealth(error?: unknown): void {
    if (this.up === this.toldUp || this.isClosing) {
      return;
    }
    this.toldUp = this.up;
    const { code, message } = (error ?? {}) as { code?: unknown; message?: string };
    // a time that is over has a number for its code, which says nothing.
    this.onHealth(this.up ? 'an engine can be reached again' : 'an engine cannot be reached', typeof code === 'string' ? code : message);
  }
}
