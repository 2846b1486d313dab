import { EngineResponse } from './engine-response';
import { Cancellation } from '../cancellation';
import { Connections } from '../upstream/connections';
import { readWhole, WholeAnswer } from '../wire/whole-answer';

/** A request, as `Connections` sends it. */
export interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  readonly body?: Buffer;
}

/** Sends a request. Resolves once its answer begins, and rejects if it does not; with TypeError for a header that is none. */
export async function ask(connections: Connections, { method, path, headers, body }: Question, cancellation: Cancellation): Promise<EngineResponse> {
  cancellation.throwIfCancelled();
  return new Promise((resolve, reject) => {
    const response = new EngineResponse(cancellation, (error) => (error === undefined ? resolve(response) : reject(error)));
    try {
      response.over(connections.ask(method, path, headers, body, response));
    } catch (e) {
      response.failed(e as Error);
    }
  });
}

/** What a GET is answered with. Rejects if that takes longer, or is longer, than so much. */
export async function getWhole(
  connections: Connections, path: string, headers: { readonly [name: string]: string }, timeoutMillis: number, maxBytes: number,
): Promise<WholeAnswer> {
  const cancellation = new Cancellation();
  const timer = setTimeout(() => cancellation.cancel(new Error(`the engine took longer than ${timeoutMillis} ms to answer`)), timeoutMillis);
  try {
    return await readWhole(await ask(connections, { method: 'GET', path, headers }, cancellation), maxBytes);
  } finally {
    clearTimeout(timer);
  }
}
