import { ServerResponse } from 'node:http';
import { promptOf, tell } from '../engine-answer';
import { Behaviour, MockEngine, Received } from '../harness';

/** Where the two engines of a request meet. */
class Room {
  public readonly read: Promise<string>;
  public readonly awaited: Promise<void>;
  public enterAsReader!: (prompt: string) => void;
  public enterAsWriter!: () => void;
  public writers = 0;

  constructor() {
    this.read = new Promise((resolve) => (this.enterAsReader = resolve));
    this.awaited = new Promise((resolve) => (this.enterAsWriter = resolve));
  }
}

/**
 * Prefill engines and a decode engine that treat each other as SGLang's do: each waits in a request's room for the other, for ever if it never comes; both
 * refuse requests without a room, and whoever enters one that was used gets what is left there.
 */
export class SglangPair {
  public static async start(): Promise<SglangPair> {
    const pair = new SglangPair();
    const prefill: Behaviour = async (response, received) => pair.servePrefill(response, received);
    pair.prefills = await Promise.all([MockEngine.start(prefill), MockEngine.start(prefill)]);
    pair.decode = await MockEngine.start(async (response, received) => pair.serveDecode(response, received));
    return pair;
  }

  public prefills!: MockEngine[];
  public decode!: MockEngine;
  /** What the next requests to prefill engines meet, whichever it is, instead of being read. */
  public prefillFaults: Behaviour[] = [];
  /** What the next requests to the decode engine meet. */
  public decodeFaults: Behaviour[] = [];
  /** Waited for by prefill engines before they read. */
  public gate: Promise<void> = Promise.resolve();
  private readonly rooms = new Map<number, Room>();

  /** Requests to prefill engines, in no order. */
  public get reads(): Received[] {
    return this.prefills.flatMap(({ requests }) => requests);
  }

  public async stop(): Promise<void> {
    await Promise.all([...this.prefills, this.decode].map(async (engine) => engine.stop()));
  }

  private async servePrefill(response: ServerResponse, received: Received): Promise<void> {
    const fault = this.prefillFaults.shift();
    if (fault !== undefined) {
      return fault(response, received);
    }
    await this.gate;
    const room = this.roomOf(response, received);
    if (room !== undefined) {
      room.enterAsReader(promptOf(received.body));
      await room.awaited;
      json(response, 200, { choices: [{ index: 0, message: { role: 'assistant', content: 'never to be seen' }, finish_reason: 'length' }], usage: { prompt_tokens: 3 } });
    }
  }

  private async serveDecode(response: ServerResponse, received: Received): Promise<void> {
    const fault = this.decodeFaults.shift();
    if (fault !== undefined) {
      return fault(response, received);
    }
    const room = this.roomOf(response, received);
    if (room === undefined) {
      return;
    }
    room.writers++;
    room.enterAsWriter();
    const prompt = await room.read;
    tell(response, received.body, room.writers > 1 ? ['garbage'] : ['read ', prompt]);
  }

  private roomOf(response: ServerResponse, { body }: Received): Room | undefined {
    const { bootstrap_host: host, bootstrap_port: port, bootstrap_room: number } = body;
    if (host !== '127.0.0.1' || port !== 8998 || !Number.isSafeInteger(number)) {
      json(response, 400, { message: 'Invalid request: Disaggregated request received without bootstrap room id', code: 400 });
      return undefined;
    }
    const room = this.rooms.get(number) ?? new Room();
    this.rooms.set(number, room);
    return room;
  }
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
