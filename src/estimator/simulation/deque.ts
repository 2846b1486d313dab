/**
 * A queue that takes from its front, and at both ends, in constant time on average.
 */
export class Deque<T> {
  private items: (T | undefined)[] = [];
  private head = 0;

  public get size(): number {
    return this.items.length - this.head;
  }

  /** The first one; undefined if there is none. */
  public get first(): T | undefined {
    return this.items[this.head];
  }

  public push(item: T): void {
    this.items.push(item);
  }

  public unshift(item: T): void {
    if (this.head === 0) {
      // as much room as there are items, so that room is made seldom
      const room = Math.max(16, this.items.length);
      this.items = [...new Array<undefined>(room), ...this.items];
      this.head = room;
    }
    this.items[--this.head] = item;
  }

  /** Takes the first one away; there must be one. */
  public shift(): T {
    const item = this.items[this.head]!;
    this.items[this.head++] = undefined;
    if (this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }

  /** Takes all away. */
  public clear(): T[] {
    const all = this.items.slice(this.head) as T[];
    this.items = [];
    this.head = 0;
    return all;
  }
}
