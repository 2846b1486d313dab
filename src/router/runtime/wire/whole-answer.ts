/** An answer that is not a stream. */
export interface WholeAnswer {
  readonly status: number;
  /** The headers that a caller may see, without a content-length. */
  readonly headers: { readonly [name: string]: string };
  readonly body: Buffer;
}
