import { performance } from 'node:perf_hooks';
import { Attempts } from './attempts';
import { Admission } from '../admission/admission';
import { LimitReached, RateLimiter } from '../admission/rate-limits';
import { RetryBudget } from '../admission/retry-budget';
import { throttled } from '../admission/throttled';
import { CallerGone } from '../cancellation';
import { RouterConfig } from '../config';
import { Exchange } from '../exchange';
import { Handoff } from '../handoff/handoff';
import { PathChooser, Routed } from '../paths/path-chooser';
import { Endpoint } from '../targets/endpoint';
import { FailedRequests } from '../targets/failed-requests';
import { Target } from '../targets/target';
import { RouterMetrics } from '../telemetry/metrics';
import { ApiError, BODY_TIMEOUT, EngineError, noEngine } from '../wire/api-error';
import { EngineRequest } from '../wire/engine-request';

/** Reads a request as a configuration has it. Throws ApiError if it is none that is served by it. */
export type ReadRequest = (config: RouterConfig) => EngineRequest;

/**
 * Forwards requests to engines: within each caller's limits, to one engine after the other until one can be reached and has room. At most one ever accepts a
 * request to answer it.
 */
export class Forwarder {
  private readonly config: RouterConfig;
  /** The requests that engines failed. */
  private readonly failures: FailedRequests;
  private readonly paths: PathChooser;
  private readonly admission: Admission;
  private readonly rateLimits: RateLimiter;
  private readonly retries: RetryBudget;
  private readonly attempts: Attempts;
  private readonly metrics: RouterMetrics;
  private successor?: Forwarder;

  /**
   * @param config within which bounds.
   * @param targets the engines.
   * @param rateLimits what callers may have.
   * @param metrics what is told of it.
   * @param before who forwarded before, whose knowledge is kept.
   */
  constructor(config: RouterConfig, targets: Target[], rateLimits: RateLimiter, metrics: RouterMetrics, before?: Forwarder) {
    this.config = config;
    this.failures = before?.failures ?? new FailedRequests();
    this.paths = new PathChooser(config, targets, this.failures, before?.paths);
    this.admission = new Admission(config, this.paths, targets, metrics);
    this.rateLimits = rateLimits;
    this.retries = before?.retries ?? new RetryBudget();
    const handoff = new Handoff(config.limits, targets, metrics, this.retries, this.failures);
    this.attempts = new Attempts(config.limits, handoff, metrics, this.failures);
    this.metrics = metrics;
  }

  /** Another is to forward what comes from now on, and what no engine has yet. */
  public giveWayTo(successor: Forwarder): void {
    this.successor = successor;
    this.admission.close();
  }

  /** Throws ApiError if a caller may have nothing now, whatever it asks: its request need not be read then. */
  public checkRate({ caller, request }: Exchange): void {
    const now = performance.now();
    if (this.rateLimits.reached(caller.id, 0, now) !== undefined) {
      // whoever comes back when told needs room for its prompt as well
      const promptTokens = Math.ceil(Number(request.headers['content-length'] ?? 0) / this.config.routing.bytesPerToken);
      this.refuseReached(this.rateLimits.reached(caller.id, promptTokens, now));
    }
  }

  /** The body of a request, which counts while it is on its way, and as one if it never comes or is not JSON. */
  public async bodyOf({ caller }: Exchange, read: () => Promise<Buffer>): Promise<Buffer> {
    this.rateLimits.begin(caller.id, performance.now());
    let isOver = true;
    try {
      return await read();
    } catch (e) {
      isOver = e instanceof ApiError && e.code !== BODY_TIMEOUT && e.status !== 400;
      throw e;
    } finally {
      if (isOver) {
        this.rateLimits.came(caller.id, performance.now());
      }
    }
  }

  /** Answers the exchange. Rejects with what went wrong; the exchange is then to be failed. */
  public async forward(exchange: Exchange, read: ReadRequest): Promise<void> {
    if (this.successor !== undefined) {
      return this.successor.forward(exchange, read);
    }
    const { requestTimeoutSeconds } = this.config.limits;
    const deadline = setTimeout(
      () => exchange.cancel(new EngineError(504, 'request_timeout', `the answer took longer than ${requestTimeoutSeconds} s`)),
      requestTimeoutSeconds * 1000,
    );
    const tried = new Set<Endpoint>();
    try {
      const routed = this.paths.read(exchange, this.readCounted(exchange, read));
      await this.limitRate(exchange, routed);
      this.retries.deposit(performance.now());
      await this.forwardRead(exchange, read, routed, tried);
    } finally {
      clearTimeout(deadline);
      this.chargeRate(exchange);
      this.admission.charge(exchange);
      if (exchange.decision !== undefined) {
        this.metrics.decisions.inc({ ...exchange.decision });
      }
      if (exchange.handoff !== undefined) {
        this.metrics.handoffs.inc({ outcome: exchange.handoff });
      }
    }
  }

  /** What is asked. A request that is not valid counts as one: it took as long to read. */
  private readCounted({ caller }: Exchange, read: ReadRequest): EngineRequest {
    try {
      return read(this.config);
    } catch (e) {
      this.rateLimits.begin(caller.id, performance.now());
      throw e;
    }
  }

  /** Lets engines answer, one after the other until one can be reached and has room, or until another forwarder is to go on. */
  private async forwardRead(exchange: Exchange, read: ReadRequest, routed: Routed, tried: Set<Endpoint>): Promise<void> {
    let hasWaitedAgain = false;
    while (this.successor === undefined) {
      const choice = await this.admission.admit(exchange, routed, tried);
      if (choice === undefined) {
        break;
      }
      exchange.decision = choice.decision;
      exchange.chosenSeconds = exchange.secondsSinceBody();
      if (choice.by === undefined) {
        throw noEngine();
      }
      let isElsewhere = false;
      const goElsewhere = () => (isElsewhere = this.paths.hasRoom(routed, tried) && this.mayRetry());
      // an engine that was asked twice may have failed by the request.
      const waitAgain = () => (isElsewhere = hasWaitedAgain = !hasWaitedAgain && this.mayRetry());
      if (await this.attempts.make({ exchange, asked: routed.asked, choice, by: choice.by }, { goElsewhere, waitAgain })) {
        this.paths.learn(exchange, routed, choice);
        if (!exchange.isReadElsewhere) {
          this.metrics.tellPrompt(exchange.target!, exchange.promptTokens, exchange.cachedTokens);
        }
        return;
      }
      if (!isElsewhere) {
        tried.add(choice.by.endpoint);
        if (!this.mayRetry()) {
          throw noEngine();
        }
      }
    }
    // what was served may be no longer, or be another model now.
    const { paths, config } = this.successor!;
    await this.successor!.forwardRead(exchange, read, paths.read(exchange, read(config)), tried);
  }

  /** Takes a retry; the metrics tell where there is none. */
  private mayRetry(): boolean {
    const may = this.retries.withdraw(performance.now());
    if (!may) {
      this.metrics.throttled.inc({ reason: 'retry_budget' });
    }
    return may;
  }

  /** Rejects with ApiError if the caller has asked for too much lately. */
  private async limitRate(exchange: Exchange, { promptTokens }: Routed): Promise<void> {
    this.refuseReached(await this.rateLimits.take(exchange.caller.id, promptTokens, performance.now()));
    exchange.chargedTokens = promptTokens;
  }

  private refuseReached(reached: LimitReached | undefined): void {
    if (reached !== undefined) {
      throw throttled(this.metrics, reached.limit, reached.afterSeconds);
    }
  }

  /** What was estimated of a request is made good: one that no engine answered has no tokens, and is none if it was refused. */
  private chargeRate({ caller, target, cancellation, chargedTokens, promptTokens = chargedTokens, completionTokens = 0 }: Exchange): void {
    if (chargedTokens === undefined) {
      return;
    }
    const used = target === undefined ? 0 : promptTokens! + completionTokens;
    this.rateLimits.charge(caller.id, used - chargedTokens, performance.now());
    if (target === undefined && !(cancellation.reason instanceof CallerGone)) {
      this.rateLimits.giveBack(caller.id, performance.now());
    }
  }
}
