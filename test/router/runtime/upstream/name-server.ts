import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';

const A = 1;
const SRV = 33;

/** What a name server says of a name: an address, or where a service is. */
export type NameRecord = string | { readonly host: string; readonly port: number };

/** A name server, which this process' resolvers ask while it runs. */
export class NameServer {
  /** @param say what it says of a name; nothing at all if that is undefined. */
  public static async start(say: (name: string) => readonly NameRecord[] | undefined): Promise<NameServer> {
    const server = new NameServer(say);
    server.socket.bind(0, '127.0.0.1');
    await once(server.socket, 'listening');
    const address = `127.0.0.1:${server.socket.address().port}`;
    const told = new WeakSet<Resolver>();
    server.spies = (['resolve4', 'resolve6', 'resolveSrv'] as const).map((name) => {
      const real: any = Resolver.prototype[name];
      return jest.spyOn(Resolver.prototype, name).mockImplementation(async function (this: Resolver, asked: string) {
        if (!told.has(this)) {
          told.add(this);
          this.setServers([address]);
        }
        return real.call(this, asked);
      } as any);
    });
    return server;
  }

  /** The names that it was asked for, once for each question. */
  public readonly asked: string[] = [];
  private readonly socket = createSocket('udp4');
  private readonly say: (name: string) => readonly NameRecord[] | undefined;
  private spies: jest.SpyInstance[] = [];

  private constructor(say: (name: string) => readonly NameRecord[] | undefined) {
    this.say = say;
    this.socket.on('message', (question, { port, address }) => {
      const labels: string[] = [];
      let at = 12;
      for (; question[at] > 0; at += question[at] + 1) {
        labels.push(question.toString('latin1', at + 1, at + 1 + question[at]));
      }
      const name = labels.join('.').toLowerCase();
      this.asked.push(name);
      const type = question.readUInt16BE(at + 1);
      const records = this.say(name)?.filter((record) => type === (typeof record === 'string' ? A : SRV));
      if (records !== undefined) {
        const head = Buffer.from([question[0], question[1], 0x81, 0x80, 0, 1, 0, records.length, 0, 0, 0, 0]);
        this.socket.send([head, question.subarray(12, at + 5), ...records.map((record) => recordOf(record))], port, address);
      }
    });
  }

  public async stop(): Promise<void> {
    this.spies.forEach((spy) => spy.mockRestore());
    this.socket.close();
    await once(this.socket, 'close');
  }
}

function recordOf(record: NameRecord): Buffer {
  const data = typeof record === 'string'
    ? Buffer.from(record.split('.').map(Number))
    : Buffer.concat([
      Buffer.from([0, 1, 0, 1, Math.floor(record.port / 256), record.port % 256]),
      ...record.host.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
      Buffer.from([0]),
    ]);
  return Buffer.concat([Buffer.from([0xc0, 12, 0, typeof record === 'string' ? A : SRV, 0, 1, 0, 0, 0, 0, 0, data.length]), data]);
}
