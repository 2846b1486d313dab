import { writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { Logger, pino } from 'pino';

const STDOUT = 1;
/** How long a line may wait for others, and when what could not be written is tried again. */
const FLUSH_MILLIS = 10;
/** Bytes that wait to be written before lines are dropped: as much as a second of many thousand requests. */
const MAX_WAITING = 4 * 1024 * 1024;
/** How long the process stays for its last lines. */
const LAST_MILLIS = 1_000;
const NOTHING = Buffer.alloc(0);

/**
 * A log on standard output, none of whose lines is overtaken, or lost at the exit of the process. Where it cannot be written, as nobody reads it or the disk is
 * full, lines are dropped once too many wait, and it tells later how many.
 */
export function standardLog(): Logger {
  // by this Node makes a pipe one that is never waited for.
  void process.stdout;
  const lines = new LogLines((dropped) => log.warn({ dropped }, 'lines of the log are missing: they could not be written'));
  const log = pino({}, lines);
  process.on('exit', () => lines.end());
  return log;
}

/** Writes the lines of a moment at once: a write for each of them would cost more than all else that is done for them. */
class LogLines {
  private readonly onGap: (dropped: number) => void;
  /** What is to be written: lines, after bytes that could not be written before. */
  private lines = '';
  private late = NOTHING;
  private dropped = 0;
  private timer?: NodeJS.Timeout;

  /**
   * @param onGap called, once lines can be written again, with the number of those that were dropped.
   */
  constructor(onGap: (dropped: number) => void) {
    this.onGap = onGap;
  }

  /** A line, with its line feed. */
  public write(line: string): void {
    if (this.late.length + this.lines.length > MAX_WAITING) {
      this.dropped++;
      return;
    }
    this.timer ??= setTimeout(() => this.flush(), FLUSH_MILLIS);
    this.lines += line;
  }

  /** Writes what can be written of all that is not written yet, which may be nothing. */
  public end(): void {
    const end = performance.now() + LAST_MILLIS;
    for (this.flush(); this.late.length > 0 && performance.now() < end; this.flush()) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FLUSH_MILLIS);
    }
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    try {
      while (this.late.length > 0 || this.lines !== '') {
        if (this.late.length === 0) {
          this.late = Buffer.from(this.lines);
          this.lines = '';
        }
        this.late = this.late.subarray(writeSync(STDOUT, this.late));
      }
    } catch {
      // it may be possible later.
    }
    if (this.late.length > 0) {
      this.timer = setTimeout(() => this.flush(), FLUSH_MILLIS).unref();
    } else if (this.dropped > 0) {
      const { dropped } = this;
      this.dropped = 0;
      this.onGap(dropped);
    }
  }
}
