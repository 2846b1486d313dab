import { randomBytes } from 'node:crypto';
import { MemberChanges } from '../wire/json-object';

/** What two engines are told of each other that have a request at once. */
export interface Rendezvous {
  /** Members of the prefill engine's request, and headers besides. */
  readonly reader: MemberChanges;
  readonly readerHeaders?: { readonly [name: string]: string };
  /** Members of the request to the engine that answers. */
  readonly writer: MemberChanges;
}

/**
 * What both engines of a request of SGLang are told: where the prefill engine awaits the other, in a room that no other request has, as whoever enters one gets
 * the KV cache that is there.
 *
 * @param prefill base URL of the prefill engine.
 * @param port port of its bootstrap server.
 */
export function inRoom(prefill: string, port: number): MemberChanges {
  // 53 bits, so that every JSON parser reads the same number.
  const room = randomBytes(8).readBigUInt64BE() / 2n ** 11n;
  const host = new URL(prefill).hostname.replace(/^\[|\]$/g, '');
  return { bootstrap_host: JSON.stringify(host), bootstrap_port: String(port), bootstrap_room: String(room) };
}
