import { SrvRecord } from 'node:dns';
import { nameServers } from '../upstream/host-lookup';

/** Where the engines of a target are. */
export interface Discovery {
  /** How often to look again, in milliseconds; undefined where nothing changes. */
  readonly refreshMillis?: number;
  /** Where so many are told, or more, there may be others; undefined if all are told. */
  readonly partFrom?: number;

  /** Base URLs of the engines that exist now. Rejects if that cannot be learnt. */
  addresses(): Promise<string[]>;
}

/** Engines behind one URL. */
export class StaticDiscovery implements Discovery {
  private readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  public async addresses(): Promise<string[]> {
    return [this.url];
  }
}

/** Engines that register themselves under a DNS SRV name, as AWS Cloud Map services do: of those a name server tells eight at random. */
export class SrvDiscovery implements Discovery {
  public readonly refreshMillis = 10_000;
  public readonly partFrom = 8;
  private readonly name: string;
  private readonly resolve: (name: string) => Promise<SrvRecord[]>;

  constructor(name: string, resolve: (name: string) => Promise<SrvRecord[]> = async (asked) => nameServers().resolveSrv(asked)) {
    this.name = name;
    this.resolve = resolve;
  }

  public async addresses(): Promise<string[]> {
    // RFC 2782: a name that is the root says that there is no such service.
    const records = (await this.resolve(this.name)).filter((record) => record.name !== '' && record.name !== '.' && record.port > 0);
    // RFC 2782: the lowest number is tried first, the others only if it has no host that can be reached.
    const first = Math.min(...records.map((record) => record.priority));
    return records.filter((record) => record.priority === first).map((record) => `http://${record.name}:${record.port}`).sort();
  }
}
