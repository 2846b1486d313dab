/* eslint-disable no-bitwise -- a hash table */
/**
 * Whole numbers from 0 on, each with the block that it stands for. A fixed table with open addressing, so that a million entries are two arrays.
 */
export class BlockMap {
  private readonly keys: Float64Array;
  private readonly blocks: Int32Array;
  private readonly mask: number;

  /**
   * @param most entries at once.
   */
  constructor(most: number) {
    let places = 16;
    while (places < 2 * most) {
      places *= 2;
    }
    this.keys = new Float64Array(places).fill(-1);
    this.blocks = new Int32Array(places);
    this.mask = places - 1;
  }

  /** The block of a key; -1 if there is none. */
  public get(key: number): number {
    const { keys, mask } = this;
    for (let place = home(key) & mask; ; place = (place + 1) & mask) {
      if (keys[place] === key) {
        return this.blocks[place];
      }
      if (keys[place] < 0) {
        return -1;
      }
    }
  }

  /** Enters a key, which must not be there. */
  public add(key: number, block: number): void {
    const { keys, mask } = this;
    let place = home(key) & mask;
    while (keys[place] >= 0) {
      place = (place + 1) & mask;
    }
    keys[place] = key;
    this.blocks[place] = block;
  }

  /** Takes a key away, which must be there. */
  public delete(key: number): void {
    const { keys, blocks, mask } = this;
    let gap = home(key) & mask;
    while (keys[gap] !== key) {
      gap = (gap + 1) & mask;
    }
    // who was moved past the gap moves into it
    for (let place = (gap + 1) & mask; keys[place] >= 0; place = (place + 1) & mask) {
      if (((place - home(keys[place])) & mask) >= ((place - gap) & mask)) {
        keys[gap] = keys[place];
        blocks[gap] = blocks[place];
        gap = place;
      }
    }
    keys[gap] = -1;
  }

  public clear(): void {
    this.keys.fill(-1);
  }
}

/** Where the search for a key begins, before it is cut to the table: neighbours of one prompt are spread. */
function home(key: number): number {
  const product = Math.imul(key, 0x9e3779b1);
  return product ^ (product >>> 15);
}
