import { ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, renameSync } from 'node:fs';
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
    this.file = join(bundled(), 'bin', 'cdk-disaggregated-inference.mjs');
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

/** A bundle for all tests of a run, whose temporary files are in a folder of its own. */
function bundled(): string {
  const folder = join(tmpdir(), 'cli');
  if (existsSync(folder)) {
    return folder;
  }
  const own = mkdtempSync(join(tmpdir(), 'cli-'));
  execFileSync(process.execPath, [join(ROOT, 'projenrc', 'bundle.mjs'), own]);
  copyFileSync(join(ROOT, 'package.json'), join(own, 'package.json'));
  try {
    renameSync(own, folder);
  } catch (error) {
    // another worker may have been faster.
    if (!existsSync(folder)) {
      throw error;
    }
  }
  return folder;
}
