import { RateLimitsConfig } from '../config';

/** How often callers are forgotten who have had nothing lately. */
const SWEEP_MILLIS = 60_000;

/** What rounding may lack: whoever comes back when told is not told again. */
const ROUNDING = 1e-6;

/** What a caller may have at once: as much as in a minute, which comes back evenly. It may owe some. */
interface Allowance {
  requests: number;
  tokens: number;
  atMillis: number;
}

/** A limit that a caller has reached. */
export interface LimitReached {
  readonly limit: 'requests_per_minute' | 'tokens_per_minute';
  /** When it may ask again. */
  readonly afterSeconds: number;
}

/** Who judges whether a caller may have more. */
export interface RateLimiter {
  /**
   * The limit by which a request with so many tokens, of which nothing is taken yet, is sure to be refused now; undefined if it may be let in. It is told at once,
   * from what is known here.
   */
  reached(caller: string, promptTokens: number, nowMillis: number): LimitReached | undefined;
  /** Counts a request whose body is on its way, until `came`, or for good if it never comes or is not valid. */
  begin(caller: string, nowMillis: number): void;
  /** The body is there, or is refused. */
  came(caller: string, nowMillis: number): void;
  /** Takes a request off the caller's allowance, or tells which limit it has reached. A prompt longer than the limit passes if nothing else did lately. */
  take(caller: string, promptTokens: number, nowMillis: number): LimitReached | undefined | Promise<LimitReached | undefined>;
  /** Takes more tokens off, or gives some back, once it is known how many a request took. */
  charge(caller: string, tokens: number, nowMillis: number): void;
  /** Gives a request back: it was refused. */
  giveBack(caller: string, nowMillis: number): void;
}

/**
 * Limits on what each caller may ask for, and be answered, within a minute.
 */
export class RateLimits implements RateLimiter {
  private requestsPerMinute: number;
  private tokensPerMinute: number;
  private readonly allowances = new Map<string, Allowance>();
  private sweptMillis = 0;

  /**
   * @param limits the same for every caller; what is left out is not limited.
   */
  constructor({ requestsPerMinute = Infinity, tokensPerMinute = Infinity }: RateLimitsConfig) {
    this.requestsPerMinute = requestsPerMinute;
    this.tokensPerMinute = tokensPerMinute;
  }

  /** Limits them otherwise from now on. What they have had lately counts; nobody comes to owe anything by it, and nobody is forgiven a debt. */
  public limit({ requestsPerMinute = Infinity, tokensPerMinute = Infinity }: RateLimitsConfig, nowMillis: number): void {
    for (const allowance of this.allowances.values()) {
      this.refill(allowance, nowMillis);
      allowance.requests = carried(allowance.requests, this.requestsPerMinute, requestsPerMinute);
      allowance.tokens = carried(allowance.tokens, this.tokensPerMinute, tokensPerMinute);
    }
    this.requestsPerMinute = requestsPerMinute;
    this.tokensPerMinute = tokensPerMinute;
  }

  public reached(caller: string, promptTokens: number, nowMillis: number): LimitReached | undefined {
    const allowance = this.allowanceOf(caller, nowMillis);
    const short = (needed: number, left: number, perMinute: number) => (needed > left + ROUNDING ? (needed - left) * 60 / perMinute : 0);
    const [requests, tokens] = [
      short(1, allowance.requests, this.requestsPerMinute),
      short(Math.min(promptTokens, this.tokensPerMinute), allowance.tokens, this.tokensPerMinute),
    ];
    return requests === 0 && tokens === 0 ? undefined
      : { limit: requests >= tokens ? 'requests_per_minute' : 'tokens_per_minute', afterSeconds: Math.max(requests, tokens) };
  }

  public begin(caller: string, nowMillis: number): void {
    this.allowanceOf(caller, nowMillis).requests -= 1;
  }

  public came(caller: string, nowMillis: number): void {
    this.giveBack(caller, nowMillis);
  }

  public take(caller: string, promptTokens: number, nowMillis: number): LimitReached | undefined {
    const reached = this.reached(caller, promptTokens, nowMillis);
    if (reached === undefined) {
      const allowance = this.allowanceOf(caller, nowMillis);
      allowance.requests -= 1;
      allowance.tokens -= promptTokens;
    }
    return reached;
  }

  public charge(caller: string, tokens: number, nowMillis: number): void {
    const allowance = this.allowanceOf(caller, nowMillis);
    allowance.tokens = Math.min(this.tokensPerMinute, allowance.tokens - tokens);
  }

  public giveBack(caller: string, nowMillis: number): void {
    const allowance = this.allowanceOf(caller, nowMillis);
    allowance.requests = Math.min(this.requestsPerMinute, allowance.requests + 1);
  }

  private allowanceOf(caller: string, nowMillis: number): Allowance {
    this.sweep(nowMillis);
    let allowance = this.allowances.get(caller);
    if (allowance === undefined) {
      allowance = { requests: this.requestsPerMinute, tokens: this.tokensPerMinute, atMillis: nowMillis };
      this.allowances.set(caller, allowance);
    }
    this.refill(allowance, nowMillis);
    return allowance;
  }

  private refill(allowance: Allowance, nowMillis: number): void {
    const minutes = (nowMillis - allowance.atMillis) / 60_000;
    if (minutes <= 0) {
      return;
    }
    allowance.requests = Math.min(this.requestsPerMinute, allowance.requests + this.requestsPerMinute * minutes);
    allowance.tokens = Math.min(this.tokensPerMinute, allowance.tokens + this.tokensPerMinute * minutes);
    allowance.atMillis = nowMillis;
  }

  /** Forgets whose allowance is whole: they are as if they had never called. */
  private sweep(nowMillis: number): void {
    if (nowMillis - this.sweptMillis < SWEEP_MILLIS) {
      return;
    }
    this.sweptMillis = nowMillis;
    for (const [caller, allowance] of this.allowances) {
      this.refill(allowance, nowMillis);
      if (allowance.requests === this.requestsPerMinute && allowance.tokens === this.tokensPerMinute) {
        this.allowances.delete(caller);
      }
    }
  }
}

/** What is left of a limit that was another before. */
function carried(left: number, before: number, now: number): number {
  return before === Infinity ? now : Math.max(Math.min(left, 0), now - (before - left));
}
