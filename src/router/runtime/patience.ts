/**
 * Bounds a wait for what comes over the network. When its time is over, what has come meanwhile is read first: a process that was paused, or was busy, finds its
 * timers before it finds that.
 */
export class Patience {
  private readonly onEnd: () => void;
  private readonly timer: NodeJS.Timeout;
  private immediate?: NodeJS.Immediate;

  /**
   * @param millis how long.
   * @param onEnd called when it is over, unless it has ended before.
   */
  constructor(millis: number, onEnd: () => void) {
    this.onEnd = onEnd;
    this.timer = setTimeout(() => {
      this.immediate = setImmediate(this.onEnd);
    }, millis);
  }

  /** Something has come, and is waited for anew. */
  public renew(): void {
    clearImmediate(this.immediate);
    this.timer.refresh();
  }

  /** What was waited for has come. */
  public end(): void {
    clearTimeout(this.timer);
    clearImmediate(this.immediate);
  }
}
