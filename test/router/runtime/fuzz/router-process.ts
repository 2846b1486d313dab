import { ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { buildSync } from 'esbuild';
import { KEY } from '../harness';

/** Answers every message with what the process holds on to. */
const VITALS = `process.on('message', () => {
  gc();
  const { heapUsed, rss } = process.memoryUsage();
  const resources = {};
  process.getActiveResourcesInfo().forEach((name) => { resources[name] = (resources[name] ?? 0) + 1; });
  process.send({ heapBytes: heapUsed, rssBytes: rss, resources });
});`;

/** What a process holds on to, after its garbage was collected. */
export interface Vitals {
  readonly heapBytes: number;
  readonly rssBytes: number;
  /** What keeps it alive, such as sockets, counted by kind. */
  readonly resources: { readonly [kind: string]: number };
}

/** The router as it ships, in a process of its own. */
export class RouterProcess {
  /**
   * Bundles and starts a router.
   *
   * @param config its configuration, with a `port` of 0.
   * @param heapMegabytes what its heap may grow to.
   * @param onLine told of each line that it logs.
   */
  public static async start(config: object, heapMegabytes: number, onLine: (line: string) => void): Promise<RouterProcess> {
    const script = join(mkdtempSync(join(tmpdir(), 'router-')), 'index.js');
    buildSync({ absWorkingDir: resolve(__dirname, '../../../..'), entryPoints: ['src/router/runtime/main.ts'], outfile: script, bundle: true, platform: 'node' });
    const child = spawn(
      process.execPath,
      ['--expose-gc', `--max-old-space-size=${heapMegabytes}`, '--import', `data:text/javascript,${encodeURIComponent(VITALS)}`, script],
      { env: { ROUTER_CONFIG: JSON.stringify(config), KEYS: KEY }, stdio: ['ignore', 'pipe', 'inherit', 'ipc'] },
    );
    const port = await new Promise<number>((listening, fail) => {
      child.once('exit', (code) => fail(new Error(`the router ended with ${code}`)));
      createInterface({ input: child.stdout! }).on('line', (line) => {
        if (line.includes('"msg":"listening"')) {
          listening(JSON.parse(line).port);
        }
        onLine(line);
      });
    });
    return new RouterProcess(child, port);
  }

  /** TCP port. */
  public readonly port: number;
  private readonly child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.child = child;
    this.port = port;
  }

  /** Why it is no more; undefined while it runs. */
  public get end(): string | undefined {
    const { exitCode, signalCode } = this.child;
    return exitCode === null && signalCode === null ? undefined : `the router ended with ${exitCode ?? signalCode}`;
  }

  public async vitals(): Promise<Vitals> {
    this.child.send('vitals');
    return (await once(this.child, 'message'))[0];
  }

  public async stop(): Promise<void> {
    if (this.end === undefined) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGKILL');
      await ended;
    }
  }
}
