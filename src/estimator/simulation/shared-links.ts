import { TaskHeap } from './task-heap';
import { Tournament } from './tournament';

/**
 * Links whose transfers share them evenly.
 *
 * A link's clock counts the seconds of transfer that each of its flows got: the flow that needs the least of them is the next one to end.
 */
export class SharedLinks {
  /** Seconds of transfer that all flows got. */
  public busySeconds = 0;

  /** When the next transfer of each link ends. */
  public readonly events: Tournament;

  private readonly flows: TaskHeap[];
  private readonly clock: Float64Array;
  private readonly time: Float64Array;

  /**
   * @param links number of links.
   * @param flowsAtFullSpeed flows that a link carries without slowing them.
   */
  constructor(links: number, private readonly flowsAtFullSpeed: number) {
    this.events = new Tournament(Math.max(1, links), Infinity);
    this.flows = Array.from({ length: links }, () => new TaskHeap());
    this.clock = new Float64Array(links);
    this.time = new Float64Array(links);
  }

  /**
   * A transfer begins.
   *
   * @param link number of the link.
   * @param now in seconds.
   * @param seconds that it takes alone.
   * @param order which of two that end at once is first.
   * @param task what is transferred.
   */
  public begin(link: number, now: number, seconds: number, order: number, task: number): void {
    const flows = this.flows[link];
    this.forward(link, now);
    if (flows.size === 0) {
      // from zero, so that sums of a long run lose no digits
      this.clock[link] = 0;
    }
    flows.push(this.clock[link] + seconds, order, task);
    this.foresee(link, now);
  }

  /**
   * The next transfer of a link ends.
   *
   * @returns what was transferred.
   */
  public end(link: number, now: number): number {
    const flows = this.flows[link];
    this.forward(link, now);
    // exact, where adding up the time may be off in the last digit
    this.clock[link] = flows.key;
    const task = flows.pop();
    this.foresee(link, now);
    return task;
  }

  /** A transfer of a link is given up. */
  public cancel(link: number, now: number, task: number): void {
    this.forward(link, now);
    this.flows[link].remove(task);
    this.foresee(link, now);
  }

  /** Speed of a link's flows: 1 until they fill the link, then an even share of it. */
  private speed(flows: number): number {
    return flows > this.flowsAtFullSpeed ? this.flowsAtFullSpeed / flows : 1;
  }

  private forward(link: number, now: number): void {
    const { size } = this.flows[link];
    if (size > 0) {
      const got = (now - this.time[link]) * this.speed(size);
      this.clock[link] += got;
      this.busySeconds += got * size;
    }
    this.time[link] = now;
  }

  private foresee(link: number, now: number): void {
    const flows = this.flows[link];
    const left = flows.key - this.clock[link];
    this.events.set(link, now + (left > 0 ? left / this.speed(flows.size) : 0));
  }
}
