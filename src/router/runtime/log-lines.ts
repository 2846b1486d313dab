/** What text is written to. */
interface Destination {
  write(text: string): unknown;
}

/** Writes the lines of a turn of the event loop at once: a write for each of them would cost more than all else that is done for them. */
export class LogLines {
  private readonly destination: Destination;
  private pending = '';

  constructor(destination: Destination) {
    this.destination = destination;
  }

  /** A line, with its line feed. */
  public write(line: string): void {
    if (this.pending === '') {
      setImmediate(() => this.flush());
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
