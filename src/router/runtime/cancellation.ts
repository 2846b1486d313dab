/**
 * Tells those that work on something that it is not wanted any more. An AbortSignal does so too, at a cost that every request would pay several times.
 */
export class Cancellation {
  private cause?: Error;
  private listeners: ((reason: Error) => void)[] = [];

  /** Why, once it was cancelled. */
  public get reason(): Error | undefined {
    return this.cause;
  }

  /** Cancels it, unless it was before. */
  public cancel(reason: Error): void {
    if (this.cause === undefined) {
      this.cause = reason;
      const { listeners } = this;
      this.listeners = [];
      listeners.forEach((listener) => listener(reason));
    }
  }

  /** Calls back when it is cancelled, which it is not yet. */
  public listen(listener: (reason: Error) => void): void {
    this.listeners.push(listener);
  }

  /** Calls back no longer. */
  public unlisten(listener: (reason: Error) => void): void {
    const at = this.listeners.indexOf(listener);
    if (at !== -1) {
      this.listeners.splice(at, 1);
    }
  }

  /** Throws the reason if it was cancelled. */
  public throwIfCancelled(): void {
    if (this.cause !== undefined) {
      throw this.cause;
    }
  }

  /** A part of the work, which can be cancelled alone, and is with the whole. */
  public part(): Cancellation {
    const part = new Cancellation();
    if (this.cause === undefined) {
      this.listen((reason) => part.cancel(reason));
    } else {
      part.cancel(this.cause);
    }
    return part;
  }
}

/** The caller closed its connection. */
export class CallerGone extends Error {}

/** The caller took no byte of its answer for too long. */
export class CallerStalled extends Error {}
