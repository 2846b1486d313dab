import { ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { buildSync } from 'esbuild';
import { sleep } from './harness';

export const ROOT = resolve(__dirname, '../../..');
/** Where bundles are written. */
export const OUT = mkdtempSync(join(tmpdir(), 'router-bundle-'));

/** The service as projenrc/bundle.mjs bundles it. */
export function bundle(name: string): string {
  const outfile = join(OUT, name);
  buildSync({
    absWorkingDir: ROOT,
    entryPoints: ['src/router/runtime/main.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    mainFields: ['module', 'main'],
    format: 'cjs',
    target: 'node22',
    charset: 'utf8',
    legalComments: 'eof',
    logLevel: 'error',
  });
  return outfile;
}

/** A router that runs as a process of its own. */
export class RouterProcess {
  public readonly child: ChildProcess;
  /** What it logged. */
  public readonly lines: any[] = [];
  /** Its exit code. */
  public readonly exit: Promise<number | null>;
  private stderr = '';

  /**
   * @param script the bundle.
   * @param env all of its environment: the router gets what a container gets, nothing of this process's.
   */
  constructor(script: string, env: { [name: string]: string }) {
    this.child = spawn(process.execPath, [script], { env, cwd: OUT, stdio: ['ignore', 'pipe', 'pipe'] });
    // a process that is killed may reset its pipes.
    [this.child.stdout!, this.child.stderr!].forEach((pipe) => pipe.on('error', () => undefined));
    createInterface({ input: this.child.stdout! }).on('error', () => undefined).on('line', (line) => this.lines.push(JSON.parse(line)));
    this.child.stderr!.on('data', (data) => {
      this.stderr += data;
    });
    this.exit = new Promise((done) => this.child.once('close', done));
  }

  /** The first line with a message, once there is one. */
  public async said(msg: string, from = 0): Promise<any> {
    for (let i = 0; i < 1500; i++) {
      const line = this.lines.slice(from).find((one) => one.msg === msg);
      if (line !== undefined) {
        return line;
      }
      await sleep(10);
    }
    throw new Error(`the router never said ${msg}: ${JSON.stringify(this.lines.slice(-20))} ${this.stderr}`);
  }

  /** Sends a signal. Resolves to the first line with a message that is logged after that. */
  public async signalled(signal: NodeJS.Signals, msg: string): Promise<any> {
    const from = this.lines.length;
    this.child.kill(signal);
    return this.said(msg, from);
  }
}
