import { grown } from './task-heap';

/**
 * The requests that are in a fleet, one column for each thing that is known of them. A request is a place in the columns; a place is used again.
 */
export class Requests {
  /** When it came, in seconds. */
  public arrival: Float64Array;
  /** When its first token left, in seconds. */
  public firstToken: Float64Array;
  /** Its number in order of arrival. */
  public number: Int32Array;
  /** Its row in the tables of kinds. */
  public row: Int32Array;
  /** The engine that reads its prompt, and the one that writes its tokens. */
  public readBy: Int32Array;
  public writtenBy: Int32Array;
  /** Tokens of its prompt that were in the cache of who read it, where prompts find what others have left. */
  public cached: Int32Array;
  /** Parts of its KV cache that are not there yet where its prompt is read: that which moves meanwhile, and that which is read last. */
  public parts: Int32Array;
  /** How often these two had failed before they were chosen. */
  public readEpoch: Int32Array;
  public writeEpoch: Int32Array;
  /** The next one in the same queue; of the free places the next free one. */
  public next: Int32Array;

  private places = 256;
  private free = 0;

  constructor() {
    const { places } = this;
    this.arrival = new Float64Array(places);
    this.firstToken = new Float64Array(places);
    this.number = new Int32Array(places);
    this.row = new Int32Array(places);
    this.readBy = new Int32Array(places);
    this.writtenBy = new Int32Array(places);
    this.cached = new Int32Array(places);
    this.parts = new Int32Array(places);
    this.readEpoch = new Int32Array(places);
    this.writeEpoch = new Int32Array(places);
    this.next = Int32Array.from({ length: places }, (_, i) => i + 1);
  }

  /** A place for a request. */
  public take(): number {
    if (this.free === this.places) {
      this.grow();
    }
    const place = this.free;
    this.free = this.next[place];
    return place;
  }

  /** A request has left. */
  public give(place: number): void {
    this.next[place] = this.free;
    this.free = place;
  }

  private grow(): void {
    const places = 2 * this.places;
    this.arrival = grown(this.arrival, new Float64Array(places));
    this.firstToken = grown(this.firstToken, new Float64Array(places));
    this.number = grown(this.number, new Int32Array(places));
    this.row = grown(this.row, new Int32Array(places));
    this.readBy = grown(this.readBy, new Int32Array(places));
    this.writtenBy = grown(this.writtenBy, new Int32Array(places));
    this.cached = grown(this.cached, new Int32Array(places));
    this.parts = grown(this.parts, new Int32Array(places));
    this.readEpoch = grown(this.readEpoch, new Int32Array(places));
    this.writeEpoch = grown(this.writeEpoch, new Int32Array(places));
    this.next = grown(this.next, Int32Array.from({ length: places }, (_, i) => i + 1));
    this.places = places;
  }
}
