import { LookupAddress } from 'node:dns';
import { lookup, Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { LookupFunction } from 'node:net';
import { performance } from 'node:perf_hooks';

/** How long an answer counts before it is asked for again; it is used until there is another. */
const FRESH_MILLIS = 5_000;
/** Within the time for a connection a name server that says nothing is asked twice. */
const DNS_TIMEOUT_MILLIS = 800;
const DNS_TRIES = 2;
/** What says that there is no such host, rather than that nothing could be learnt. */
const NO_SUCH_HOST: ReadonlySet<string | undefined> = new Set(['ENOTFOUND', 'ENODATA']);

/** Asks the name servers that the system names now, and gives up in a few seconds. It holds no thread meanwhile. */
export function nameServers(): Resolver {
  return new Resolver({ timeout: DNS_TIMEOUT_MILLIS, tries: DNS_TRIES });
}

/**
 * Where one host is. It is looked up once at a time, and what is known of it stays while no name server answers: the system's own lookups, of which Node has two
 * at once, would keep those of other hosts waiting for as long as a name server is silent.
 */
export class HostLookup {
  private known?: LookupAddress[];
  private freshUntil = 0;
  private asked?: Promise<LookupAddress[]>;

  /** As `connect` looks a host up, for all of its addresses. */
  public readonly lookup: LookupFunction = (host, _, callback) => {
    this.addresses(host).then((addresses) => callback(null, addresses), (error: NodeJS.ErrnoException) => callback(error, []));
  };

  private async addresses(host: string): Promise<LookupAddress[]> {
    if (performance.now() >= this.freshUntil) {
      this.asked ??= this.ask(host).finally(() => {
        this.asked = undefined;
      });
      if (this.known === undefined) {
        return this.asked;
      }
      this.asked.catch(() => undefined);
    }
    return this.known!;
  }

  private async ask(host: string): Promise<LookupAddress[]> {
    try {
      this.known = await find(host);
    } catch (e) {
      if (NO_SUCH_HOST.has((e as NodeJS.ErrnoException).code)) {
        this.known = undefined;
      }
      if (this.known === undefined) {
        throw e;
      }
    }
    this.freshUntil = performance.now() + FRESH_MILLIS;
    return this.known;
  }
}

/** The addresses of a host, from name servers wherever the system would ask them for its name as it is. */
async function find(host: string): Promise<LookupAddress[]> {
  if (await isOfSystem(host)) {
    return lookup(host, { all: true });
  }
  const resolver = nameServers();
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  const addresses = answers.flatMap((answer, i) => (answer.status === 'rejected' ? [] : answer.value.map((address) => ({ address, family: i === 0 ? 4 : 6 }))));
  if (addresses.length > 0) {
    return addresses;
  }
  const silent = answers.find((answer) => answer.status === 'rejected' && answer.reason.code === 'ETIMEOUT') as PromiseRejectedResult | undefined;
  if (silent !== undefined) {
    throw silent.reason;
  }
  // the system may know names that no name server does.
  return lookup(host, { all: true });
}

/** Whether the system finds a host by its own file, or by a list of domains that it is looked for in. */
async function isOfSystem(host: string): Promise<boolean> {
  const [hosts, resolvers] = await Promise.all(['/etc/hosts', '/etc/resolv.conf'].map(async (file) => readFile(file, 'utf8').catch(() => '')));
  const [, dots] = /^\s*options\b.*\bndots:(\d+)/m.exec(resolvers) ?? [];
  return host.split('.').length - 1 < Number(dots ?? 1) || hosts.toLowerCase().split(/\s+/).includes(host);
}
