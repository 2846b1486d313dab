import { ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ROOT = join(__dirname, '../..');

/** What a run of the command line left. */
export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line, bundled as it is shipped. */
export class CliProcess {
  private readonly file: string;

  constructor() {
    const folder = mkdtempSync(join(tmpdir(), 'cli-'));
    execFileSync(process.execPath, [join(ROOT, 'projenrc', 'bundle.mjs'), folder]);
    this.file = join(folder, 'bin', 'cdk-disaggregated-inference.mjs');
    copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  }

  /**
   * @param args of the command line.
   * @param input what it reads from standard input.
   * @param cwd folder to run in.
   */
  public run(args: string[], input?: string | Buffer, cwd = ROOT): Run {
    // by its own first line, as a shell does.
    const { status, stdout, stderr } = spawnSync(this.file, args, { input, cwd, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
    return { status, stdout, stderr };
  }

  /**
   * Starts it, to run beside the test.
   *
   * @param args of the command line.
   * @param env variables beside those of this process.
   */
  public spawn(args: string[], env: { [name: string]: string }): ChildProcess {
    return spawn(process.execPath, [this.file, ...args], { cwd: ROOT, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  }
}
