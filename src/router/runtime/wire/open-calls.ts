/** Calls of tools in a conversation that have no result yet, by their ids: engines may name those of another turn alike. */
export class OpenCalls {
  private readonly named = new Map<string, string>();
  /** Where those without an id are, whose results may have any. */
  private readonly nameless: string[] = [];

  /** Where the calls are. */
  public get paths(): string[] {
    return [...this.named.values(), ...this.nameless];
  }

  /** Takes a call, which has an id or none. Returns false if another that is open has its id. */
  public add(id: string | undefined, path: string): boolean {
    if (id === undefined) {
      this.nameless.push(path);
    } else if (this.named.has(id)) {
      return false;
    } else {
      this.named.set(id, path);
    }
    return true;
  }

  /** Takes the result of a call, each once. Returns false if there is none that it may be of. */
  public close(id: string): boolean {
    return this.named.delete(id) || this.nameless.shift() !== undefined;
  }
}
