import { JAVASCRIPT_CLIENTS } from './javascript-clients';
import { Client, Operation, OPERATIONS } from './operations';
import { Path, PATHS } from './paths';
import { PYTHON_CLIENTS } from './python-clients';

/** A client that asks for an operation over a path. */
export interface Cell {
  readonly name: string;
  readonly client: Client;
  readonly operation: Operation;
  readonly path: Path;
  /** The error that the client tells; undefined if it has an answer. */
  readonly refusal?: string;
}

export const CLIENTS: readonly Client[] = [...JAVASCRIPT_CLIENTS, ...PYTHON_CLIENTS];

/** Every client by every operation that it has by every path. */
export const CELLS: readonly Cell[] = CLIENTS.flatMap((client) => OPERATIONS
  .filter((operation) => client.asks[operation] !== undefined)
  .flatMap((operation) => PATHS.map((path) => (
    { name: `${client.name} | ${operation} | ${path.name}`, client, operation, path, refusal: path.refuses[operation] }))));
