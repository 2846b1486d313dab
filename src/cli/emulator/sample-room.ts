/** Parts of schemas and patterns that are looked at for one answer. */
const MAX_STEPS = 1_000_000;

/** What bounds a sample of a schema: what of it can be told, and the work that it takes. */
export class SampleRoom {
  private readonly characters: number;
  private told = 0;
  private steps: { left: number };

  /**
   * @param characters of JSON that are told at most. Unbounded by default.
   */
  constructor(characters = Infinity, steps = { left: MAX_STEPS }) {
    this.characters = characters;
    this.steps = steps;
  }

  /** Characters that can still be told: what comes after them need not be made. */
  public get left(): number {
    return Math.max(0, this.characters - this.told);
  }

  /** Some characters come before all that is yet to be made. */
  public tell(characters: number): void {
    this.told += characters;
  }

  /** Counts parts that are looked at. Throws where a schema asks for far more than any that is meant to be answered. */
  public look(parts = 1): void {
    this.steps.left -= parts;
    if (this.steps.left < 0) {
      throw new Error('it asks for more work than is done here');
    }
  }

  /** Room for a part that may not be told as it is; the work for it counts all the same. */
  public aside(): SampleRoom {
    return new SampleRoom(this.left, this.steps);
  }
}
