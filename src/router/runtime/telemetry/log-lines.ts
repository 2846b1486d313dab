import { Logger, pino } from 'pino';

/** What text is written to. */
interface Destination {
  write(text: string): unknown;
}

/** How long a line may wait for others. */
const FLUSH_MILLIS = 10;

/** A log on standard output, none of whose lines is lost or overtaken at the exit of the process. */
export function standardLog(): Logger {
  const lines = new LogLines(pino.destination({ sync: true }));
  process.on('exit', () => lines.flush());
  return pino({}, lines);
}

/** Writes the lines of a moment at once: a write for each of them would cost more than all else that is done for them. */
class LogLines {
  private readonly destination: Destination;
  private pending = '';

  constructor(destination: Destination) {
    this.destination = destination;
  }

  /** A line, with its line feed. */
  public write(line: string): void {
    if (this.pending === '') {
      setTimeout(() => this.flush(), FLUSH_MILLIS);
    }
    this.pending += line;
  }

  /** Writes what is not written yet. */
  public flush(): void {
    const { pending } = this;
    this.pending = '';
    if (pending !== '') {
      this.destination.write(pending);
    }
  }
}
