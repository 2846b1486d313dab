import { MemberChanges, withMembers } from './json-object';

/** The member of requests and answers in which vLLM's engines tell each other where a KV cache is. */
export const KV_PARAMS = 'kv_transfer_params';
/** Members of a request that say where SGLang's engines meet. */
const BOOTSTRAP = ['bootstrap_host', 'bootstrap_port', 'bootstrap_room'];
/** What only engines know of each other. */
const BETWEEN_ENGINES = [
  KV_PARAMS, 'remote_host', 'remote_port', 'remote_engine_id', 'remote_request_id', 'remote_block_ids', 'remote_bootstrap_addr', ...BOOTSTRAP,
];

/** The member of a request that lets its engine fetch a KV cache, or keep one. */
export function kvMember(params: string): MemberChanges {
  return { [KV_PARAMS]: params };
}

/** An answer as callers may see it. Text of a model is escaped within JSON and never looks like the member. */
export function withoutKvParams(json: Buffer): Buffer {
  if (!json.includes(`"${KV_PARAMS}"`)) {
    return json;
  }
  try {
    const value: unknown = JSON.parse(json.toString('utf8'));
    return typeof value === 'object' && value !== null && Object.hasOwn(value, KV_PARAMS) ? withMembers(json, { [KV_PARAMS]: undefined }) : json;
  } catch {
    return json;
  }
}

/** Whether a text speaks of what only engines know. */
export function tellsOfKvParams(text: Buffer): boolean {
  return BETWEEN_ENGINES.some((name) => text.includes(name));
}

/**
 * The member in which a request names a KV cache; undefined if it does not. Whoever does chooses the host that an engine connects to, and whose prompt it
 * answers.
 */
export function kvMemberOf(body: { readonly [name: string]: unknown }): string | undefined {
  const extra = body.vllm_xargs;
  const inExtra = typeof extra === 'object' && extra !== null && Object.hasOwn(extra, KV_PARAMS);
  return inExtra ? KV_PARAMS : [KV_PARAMS, ...BOOTSTRAP].find((name) => Object.hasOwn(body, name));
}
