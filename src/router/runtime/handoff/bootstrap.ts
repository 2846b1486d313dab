import { randomBytes } from 'node:crypto';
import { withMembers } from '../wire/json-object';

/** `kvConnector` of engines of SGLang, whatever moves their KV caches: both have a request at once, and meet in a room. */
export const SGLANG = 'sglang';

/** Members of a request that say where its engines meet. */
export const BOOTSTRAP_MEMBERS = ['bootstrap_host', 'bootstrap_port', 'bootstrap_room'];

/**
 * The body for both engines of a request: where the prefill engine awaits the other, in a room that no other request has, as whoever enters one gets the KV
 * cache that is there.
 *
 * @param body the request.
 * @param prefill base URL of the prefill engine.
 * @param port port of its bootstrap server.
 */
export function withRoom(body: Buffer, prefill: string, port: number): Buffer {
  // 53 bits, so that every JSON parser reads the same number.
  const room = randomBytes(8).readBigUInt64BE() / 2n ** 11n;
  const host = new URL(prefill).hostname.replace(/^\[|\]$/g, '');
  return withMembers(body, { bootstrap_host: JSON.stringify(host), bootstrap_port: String(port), bootstrap_room: String(room) });
}
