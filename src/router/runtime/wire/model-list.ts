import { checkServed, Fields } from './fields';

/** The answer of `GET /v1/models`. */
export function modelList(servedNames: readonly string[]): string {
  return JSON.stringify({ object: 'list', data: servedNames.map(modelOf) });
}

/** The answer of `GET /v1/models/{id}`. Throws ApiError unless the model is served. */
export function modelNamed(id: string, servedNames: readonly string[]): string {
  checkServed(id, servedNames);
  return JSON.stringify(modelOf(id));
}

function modelOf(id: string): Fields {
  // `created` is required by clients and has no meaning here.
  return { id, object: 'model', created: 0, owned_by: 'router' };
}
