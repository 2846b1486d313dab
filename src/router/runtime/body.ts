/** The body of a request to an engine, in parts that follow each other. */
export type Body = readonly Buffer[];

/** Bytes of a body. */
export function lengthOf(body: Body): number {
  return body.reduce((length, part) => length + part.length, 0);
}
