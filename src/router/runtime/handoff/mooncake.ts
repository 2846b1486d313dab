import { randomUUID } from 'node:crypto';
import { Rendezvous } from './bootstrap';
import { getWhole } from '../targets/ask';
import { Endpoint } from '../targets/endpoint';
import { Connections } from '../upstream/connections';
import { kvMember } from '../wire/kv-members';

const QUERY_TIMEOUT_MILLIS = 2_000;
/** Far above the workers of any engine. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** How long what a bootstrap server said counts: an engine that starts again, which takes longer, has another id. */
const KNOWN_MILLIS = 5_000;
/** What keeps a prefill engine's answer at its one token: a KV cache is kept of answers alone that their limit has ended. */
const TO_THE_LIMIT = { ignore_eos: 'true', stop: undefined, stop_token_ids: undefined };

/** One of the data-parallel engines behind a URL. */
export interface EngineRank {
  readonly rank: string;
  /** By which decode engines know it. */
  readonly engineId: string;
}

/** What has been asked of a bootstrap server. */
interface Asked {
  readonly atMillis: number;
  readonly ranks: Promise<EngineRank[]>;
}

/**
 * What prefill engines tell of themselves at their bootstrap servers.
 */
export class BootstrapServers {
  private readonly asked = new WeakMap<Endpoint, Asked>();

  /**
   * The engines behind an endpoint. Rejects if that cannot be learnt.
   *
   * @param endpoint the prefill engine.
   * @param port port of its bootstrap server.
   */
  public async ranksOf(endpoint: Endpoint, port: number): Promise<EngineRank[]> {
    const known = this.asked.get(endpoint);
    if (known !== undefined && performance.now() - known.atMillis < KNOWN_MILLIS) {
      return known.ranks;
    }
    const ranks = query(bootstrapUrl(endpoint, port));
    this.asked.set(endpoint, { atMillis: performance.now(), ranks });
    ranks.catch(() => this.forget(endpoint));
    return ranks;
  }

  /** What an endpoint said may no longer be so. */
  public forget(endpoint: Endpoint): void {
    this.asked.delete(endpoint);
  }
}

/**
 * What both engines of a request are told: the prefill engine keeps the KV cache under an id that no other request has, until the decode engine comes for it.
 *
 * @param endpoint the prefill engine.
 * @param port port of its bootstrap server.
 * @param ranks the engines behind it, any of which is to read.
 */
export function underTransferId(endpoint: Endpoint, port: number, ranks: EngineRank[]): Rendezvous {
  const { rank, engineId } = ranks[Math.floor(Math.random() * ranks.length)];
  const transferId = `xfer-${randomUUID()}`;
  return {
    reader: { ...TO_THE_LIMIT, ...kvMember(JSON.stringify({ do_remote_decode: true, do_remote_prefill: false, transfer_id: transferId })) },
    readerHeaders: { 'x-data-parallel-rank': rank },
    writer: kvMember(JSON.stringify({
      do_remote_decode: false,
      do_remote_prefill: true,
      remote_bootstrap_addr: bootstrapUrl(endpoint, port),
      remote_engine_id: engineId,
      transfer_id: transferId,
    })),
  };
}

/** Whether a prefill engine's answer says that it keeps the KV cache. */
export function isKept(answer: Buffer): boolean {
  try {
    const { choices } = JSON.parse(answer.toString('utf8')) as { choices: { finish_reason?: unknown }[] };
    return choices.length === 1 && choices[0].finish_reason === 'length';
  } catch {
    return false;
  }
}

function bootstrapUrl({ url }: Endpoint, port: number): string {
  return `http://${new URL(url).hostname}:${port}`;
}

async function query(url: string): Promise<EngineRank[]> {
  const connections = new Connections(new URL(url));
  // it is asked too seldom for a connection to be kept.
  const { status, body } = await getWhole(connections, '/query', {}, QUERY_TIMEOUT_MILLIS, MAX_ANSWER_BYTES).finally(() => connections.close());
  const told = status === 200 ? JSON.parse(body.toString('utf8')) as unknown : undefined;
  const ranks = Object.entries(told ?? {}).map(([rank, entry]) => ({ rank, engineId: (entry as { engine_id?: unknown } | null)?.engine_id }));
  if (ranks.length === 0 || !ranks.every(({ rank, engineId }) => /^\d{1,6}$/.test(rank) && typeof engineId === 'string' && engineId !== '')) {
    throw new Error('the bootstrap server knows no engine');
  }
  return ranks as EngineRank[];
}
