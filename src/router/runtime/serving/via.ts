import { randomUUID } from 'node:crypto';
import { ApiError } from '../wire/api-error';

/** What routers call themselves in `via`; whatever else is there stays here. */
const ROUTER = /\brouter-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b/g;

/**
 * The routers that a request has come through, so that one whose engine is, in the end, itself does not ask itself for ever.
 */
export class Via {
  private readonly name = `router-${randomUUID()}`;

  /** What engines are told with a request that came with this, or without. Throws ApiError if it has been here. */
  public of(came: string | undefined): string {
    const routers: string[] = came?.match(ROUTER) ?? [];
    if (routers.includes(this.name)) {
      throw new ApiError(508, 'server_error', 'loop_detected', 'an engine of this router leads back to it');
    }
    return [...routers, this.name].map((name) => `1.1 ${name}`).join(', ');
  }
}
