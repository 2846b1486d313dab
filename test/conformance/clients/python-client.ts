import { ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, Interface } from 'node:readline';

const STOP_MILLIS = 10_000;

/**
 * A client in Python, asked line by line.
 */
export class PythonClient {
  /**
   * @param python the interpreter of the virtual environment that has the client.
   * @param script the client's file, beside this one.
   * @param env what it is told about where to ask.
   */
  public static start(python: string, script: string, env: { readonly [name: string]: string }): PythonClient {
    if (!existsSync(python)) {
      throw new Error(`${python} is missing: make the virtual environment as CONTRIBUTING.md says`);
    }
    const child = spawn(python, [join(__dirname, script)], {
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env }, stdio: ['pipe', 'pipe', 'pipe'],
    });
    return new PythonClient(child);
  }

  private readonly child: ChildProcess;
  private readonly lines: Interface;
  private readonly closed: Promise<unknown>;
  private errors = '';

  private constructor(child: ChildProcess) {
    this.child = child;
    this.lines = createInterface({ input: child.stdout! });
    this.closed = new Promise((resolve) => child.once('close', resolve));
    child.stderr!.on('data', (chunk) => (this.errors += chunk));
    // a client that is gone is told of by what it said.
    child.stdin!.on('error', () => undefined);
  }

  /** What the client makes of a request. Rejects with its last words if it ends before it answers, such as where a package is missing. */
  public async ask(request: object): Promise<any> {
    const line = new Promise<string>((resolve) => this.lines.once('line', resolve));
    this.child.stdin!.write(`${JSON.stringify(request)}\n`);
    const told = await Promise.race([line, this.closed.then(() => undefined)]);
    if (typeof told !== 'string') {
      throw new Error(`the client ended: ${this.errors}`);
    }
    return JSON.parse(told);
  }

  /** Lets the client end; one that hangs is killed. */
  public async stop(): Promise<void> {
    this.child.stdin!.end();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MILLIS);
    await this.closed;
    clearTimeout(timer);
  }
}
