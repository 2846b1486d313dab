/* eslint-disable no-bitwise -- a binary tree in an array */
/**
 * Numbered tasks with the earliest on top; of equally early ones the lowest rank. Grows, never shrinks.
 */
export class TaskHeap {
  public size = 0;
  private keys = new Float64Array(16);
  private ranks = new Int32Array(16);
  private tasks = new Int32Array(16);

  /** Key of the earliest task; Infinity if there is none. */
  public get key(): number {
    return this.size === 0 ? Infinity : this.keys[0];
  }

  public push(key: number, rank: number, task: number): void {
    if (this.size === this.keys.length) {
      this.keys = grown(this.keys, new Float64Array(this.size * 2));
      this.ranks = grown(this.ranks, new Int32Array(this.size * 2));
      this.tasks = grown(this.tasks, new Int32Array(this.size * 2));
    }
    const { keys, ranks, tasks } = this;
    let at = this.size++;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (keys[up] < key || (keys[up] === key && ranks[up] < rank)) {
        break;
      }
      keys[at] = keys[up];
      ranks[at] = ranks[up];
      tasks[at] = tasks[up];
      at = up;
    }
    keys[at] = key;
    ranks[at] = rank;
    tasks[at] = task;
  }

  /** Takes a task away, if it is there; returns whether it was. */
  public remove(task: number): boolean {
    const at = this.tasks.subarray(0, this.size).indexOf(task);
    if (at < 0) {
      return false;
    }
    const rest = Array.from({ length: this.size }, (_, i) => [this.keys[i], this.ranks[i], this.tasks[i]] as const);
    rest.splice(at, 1);
    this.size = 0;
    rest.forEach((one) => this.push(...one));
    return true;
  }

  /** Takes the earliest task away; there must be one. */
  public pop(): number {
    const { keys, ranks, tasks } = this;
    const top = tasks[0];
    const size = --this.size;
    const key = keys[size];
    const rank = ranks[size];
    let at = 0;
    for (let down = 1; down < size; down = 2 * at + 1) {
      if (down + 1 < size && (keys[down + 1] < keys[down] || (keys[down + 1] === keys[down] && ranks[down + 1] < ranks[down]))) {
        down++;
      }
      if (key < keys[down] || (key === keys[down] && rank < ranks[down])) {
        break;
      }
      keys[at] = keys[down];
      ranks[at] = ranks[down];
      tasks[at] = tasks[down];
      at = down;
    }
    keys[at] = key;
    ranks[at] = rank;
    tasks[at] = tasks[size];
    return top;
  }
}

/** `into`, filled with `from` as far as that goes. */
export function grown<T extends Float64Array | Int32Array>(from: T, into: T): T {
  into.set(from);
  return into;
}
