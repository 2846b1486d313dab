import { randomBytes } from 'node:crypto';
import { withMembers } from '../wire/json-object';

/** Members of a request that say where its engines meet. */
export const BOOTSTRAP_MEMBERS = ['bootstrap_host', 'bootstrap_port', 'bootstrap_room'];

/** What two engines are sent that have a request at once. */
export interface Rendezvous {
  /** For the prefill engine, with headers besides. */
  readonly reader: Buffer;
  readonly readerHeaders?: { readonly [name: string]: string };
  /** For the engine that answers. */
  readonly writer: Buffer;
}

/**
 * The bodies for both engines of a request of SGLang: where the prefill engine awaits the other, in a room that no other request has, as whoever enters one gets
 * the KV cache that is there.
 *
 * @param reader what the prefill engine is asked.
 * @param writer what the decode engine is asked.
 * @param prefill base URL of the prefill engine.
 * @param port port of its bootstrap server.
 */
export function inRoom(reader: Buffer, writer: Buffer, prefill: string, port: number): Rendezvous {
  // 53 bits, so that every JSON parser reads the same number.
  const room = randomBytes(8).readBigUInt64BE() / 2n ** 11n;
  const host = new URL(prefill).hostname.replace(/^\[|\]$/g, '');
  const place = { bootstrap_host: JSON.stringify(host), bootstrap_port: String(port), bootstrap_room: String(room) };
  return { reader: withMembers(reader, place), writer: withMembers(writer, place) };
}
