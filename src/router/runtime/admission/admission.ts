import { performance } from 'node:perf_hooks';
import { DrainRate } from './drain-rate';
import { FairQueue, Waiting } from './fair-queue';
import { throttled, ThrottleReason } from './throttled';
import { Decision } from '../../../routing';
import { lengthOf } from '../body';
import { RouterConfig } from '../config';
import { Exchange } from '../exchange';
import { Choice, PathChooser, Routed } from '../paths/path-chooser';
import { Endpoint } from '../targets/endpoint';
import { Target } from '../targets/target';
import { RouterMetrics } from '../telemetry/metrics';
import { ApiError, noEngine } from '../wire/api-error';
import { wholeOf } from '../wire/engine-request';

const NO_SLOT: Decision = { path: 'refuse', reason: 'no_slot' };
const NOTHING_AVAILABLE: Decision = { path: 'refuse', reason: 'nothing_available' };

/** A request that waits for a slot. */
interface Place extends Waiting {
  /** Chooses its path, which ends its wait. Returns false if it has to wait on. */
  choose(): boolean;
  /** Ends its wait with a refusal. */
  refuse(reason: ThrottleReason): void;
  /** Ends its wait with nothing: it is to wait elsewhere. */
  move(): void;
}

/**
 * Who gets a slot of an engine when there are more requests than slots: requests wait, within bounds, and are woken by the slots that others give back.
 */
export class Admission {
  private readonly queue: FairQueue<Place>;
  private readonly drainRate = new DrainRate();
  private readonly maxWaitSeconds: number;
  private readonly firstByteTimeoutSeconds: number;
  private readonly paths: PathChooser;
  private readonly metrics: RouterMetrics;
  private readonly targets: Target[];
  private readonly onRoom: () => void;

  constructor({ queue, limits }: RouterConfig, paths: PathChooser, targets: Target[], metrics: RouterMetrics) {
    this.queue = new FairQueue(queue);
    this.maxWaitSeconds = queue.maxWaitSeconds;
    this.firstByteTimeoutSeconds = limits.firstByteTimeoutSeconds;
    this.paths = paths;
    this.metrics = metrics;
    this.targets = targets;
    this.onRoom = () => this.wake();
    targets.forEach(({ engines }) => engines.listen(this.onRoom));
  }

  /** Lets those that wait go, the next one first, to wait elsewhere. Nobody is to come any more. */
  public close(): void {
    this.targets.forEach(({ engines }) => engines.unlisten(this.onRoom));
    for (let place = this.queue.take(() => true); place !== undefined; place = this.queue.take(() => true)) {
      place.move();
    }
    this.tell();
  }

  /**
   * Chooses a path for a request, and takes a slot of the engine that answers, once there is one. Resolves to undefined if it is closed before that. Rejects
   * with ApiError if the request cannot wait, or not longer, and with the reason of its cancellation if its exchange is over.
   *
   * @param exchange for whom.
   * @param routed the request.
   * @param tried engines that it could not reach.
   */
  public async admit(exchange: Exchange, routed: Routed, tried: ReadonlySet<Endpoint>): Promise<Choice | undefined> {
    // nobody overtakes those that wait for the same.
    if (this.queue.requests === 0 || !this.queue.waitsFor(this.paths.needsOf(routed, tried))) {
      const choice = this.paths.choose(routed, tried);
      if (choice.decision.reason !== 'no_slot') {
        return choice;
      }
    }
    if (this.queue.requests === 0) {
      this.drainRate.began(performance.now());
    }
    return this.wait(exchange, routed, tried);
  }

  /** An answer, as far as its caller had it, counts as the caller's share. */
  public charge({ caller, serviceTier, completionTokens = 0 }: Exchange): void {
    this.queue.charge(serviceTier, caller.id, completionTokens);
  }

  private async wait(exchange: Exchange, routed: Routed, tried: ReadonlySet<Endpoint>): Promise<Choice | undefined> {
    const { cancellation } = exchange;
    cancellation.throwIfCancelled();
    let end: { resolve(choice: Choice | undefined): void; reject(error: Error): void };
    const chosen = new Promise<Choice | undefined>((resolve, reject) => (end = { resolve, reject }));
    const place: Place = {
      tier: routed.tier,
      caller: exchange.caller.id,
      promptTokens: routed.promptTokens,
      bytes: lengthOf(wholeOf(routed.asked)),
      needs: this.paths.needsOf(routed, tried),
      choose: () => {
        const choice = this.paths.choose(routed, tried);
        if (choice.decision.reason === 'no_slot') {
          return false;
        }
        if (choice.by !== undefined) {
          this.drainRate.drained(routed.promptTokens, performance.now());
        }
        end.resolve(choice);
        return true;
      },
      move: () => end.resolve(undefined),
      refuse: (reason) => giveUp(this.refusal(exchange, reason)),
    };
    const giveUp = (error: Error) => {
      this.queue.remove(place);
      this.tell();
      end.reject(error);
    };
    const displaced = this.queue.push(place);
    if (displaced === undefined) {
      throw this.refusal(exchange, 'queue_full');
    }
    displaced.forEach((one) => one.refuse('queue_displaced'));
    cancellation.listen(giveUp);
    exchange.needsEngine();
    const beganMillis = performance.now();
    const seconds = Math.min(this.maxWaitSeconds - (exchange.queuedSeconds ?? 0), this.firstByteTimeoutSeconds - exchange.elapsedSeconds());
    const timer = setTimeout(() => {
      if (this.paths.canBeReached(routed)) {
        return place.refuse('queue_wait');
      }
      // it waited for probes, which take longer than it may wait.
      exchange.decision = NOTHING_AVAILABLE;
      giveUp(noEngine());
    }, seconds * 1000);
    this.wake();
    try {
      return await chosen;
    } finally {
      clearTimeout(timer);
      cancellation.unlisten(giveUp);
      const waited = (performance.now() - beganMillis) / 1000;
      exchange.queuedSeconds = (exchange.queuedSeconds ?? 0) + waited;
      this.metrics.queueWaitSeconds.observe({ tier: routed.tier }, waited);
    }
  }

  /** There may be a slot: whoever is next has it. */
  private wake(): void {
    if (this.queue.requests > 0) {
      while (this.queue.take((place) => place.choose()) !== undefined) {
        // the next one, until there is no slot for it.
      }
      this.tell();
    }
  }

  private refusal(exchange: Exchange, reason: ThrottleReason): ApiError {
    exchange.decision = NO_SLOT;
    return throttled(this.metrics, reason, this.drainRate.secondsFor(this.queue.promptTokens, performance.now()));
  }

  private tell(): void {
    this.metrics.queueRequests.set(this.queue.requests);
    this.metrics.queuePromptTokens.set(this.queue.promptTokens);
  }
}
