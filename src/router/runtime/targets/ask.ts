import { EngineResponse } from './engine-response';
import { Body } from '../body';
import { Cancellation } from '../cancellation';
import { Patience } from '../patience';
import { readWhole } from './read-whole';
import { ConnectError, CrossedError } from '../upstream/connection';
import { Connections } from '../upstream/connections';
import { WholeAnswer } from '../wire/whole-answer';

/** A request, as `Connections` sends it. */
export interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  readonly body?: Body;
  /** Whether it may be sent once more where an idle connection was closed meanwhile. */
  readonly isRepeatable: boolean;
}

/** Sends a request. Resolves once its answer begins, and rejects if it does not; with TypeError for a header that is none. */
export async function ask(connections: Connections, question: Question, cancellation: Cancellation): Promise<EngineResponse> {
  try {
    return await askOnce(connections, question, cancellation, false);
  } catch (crossed) {
    if (!(crossed instanceof CrossedError) || (crossed.wasSent && !question.isRepeatable)) {
      throw crossed;
    }
    return askOnce(connections, question, cancellation, true).catch((error: unknown) => {
      // an engine that it may have been the end of is not one that never had it.
      throw error instanceof ConnectError && crossed.wasSent ? crossed : error;
    });
  }
}

async function askOnce(
  connections: Connections, { method, path, headers, body }: Question, cancellation: Cancellation, isAnew: boolean,
): Promise<EngineResponse> {
  cancellation.throwIfCancelled();
  return new Promise((resolve, reject) => {
    const response = new EngineResponse(cancellation, (error) => (error === undefined ? resolve(response) : reject(error)));
    try {
      response.over(connections.ask(method, path, headers, body, response, isAnew));
    } catch (e) {
      response.failed(e as Error);
    }
  });
}

/** A time is over in which an answer was to come. */
export class TimeOver extends Error {}

/** What a GET is answered with. Rejects, with TimeOver or with what went wrong, if that takes longer, or is longer, than so much. */
export async function getWhole(
  connections: Connections, path: string, headers: { readonly [name: string]: string }, timeoutMillis: number, maxBytes: number,
): Promise<WholeAnswer> {
  const cancellation = new Cancellation();
  const patience = new Patience(timeoutMillis, () => cancellation.cancel(new TimeOver(`the engine took longer than ${timeoutMillis} ms to answer`)));
  try {
    return await readWhole(await ask(connections, { method: 'GET', path, headers, isRepeatable: true }, cancellation), maxBytes);
  } finally {
    patience.end();
  }
}
