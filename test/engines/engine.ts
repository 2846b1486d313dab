import { ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of the virtual environment that has vLLM. */
export const PYTHON = join(__dirname, '../../.venv-engines/bin/python');

/** A busy machine of two cores takes minutes to start a pair. */
const START_MILLIS = 900_000;

/** Runs a command until it ends, and every process of its group only as long as whoever started it: a test that is killed leaves no engine behind. */
const GUARDED = '(cat; kill -KILL 0) <&0 >/dev/null & "$@" </dev/null & wait $!';

/**
 * A small Llama with random weights, in a new folder `model` of the folder.
 *
 * @param folder where to.
 * @param size `3m` or `185m`: its weights.
 * @returns the model's folder.
 */
export function makeModel(folder: string, size: '3m' | '185m'): string {
  if (!existsSync(PYTHON)) {
    throw new Error('vLLM is not installed: see CONTRIBUTING.md');
  }
  const model = join(folder, 'model');
  const { status, stderr } = spawnSync(PYTHON, [join(__dirname, 'make_model.py'), model, size], { encoding: 'utf8' });
  if (status !== 0) {
    throw new Error(`the model could not be made:\n${stderr}`);
  }
  return model;
}

/** How an engine is started. */
export interface EngineOptions {
  /** Of its log. */
  readonly name: string;
  /** The model's folder. */
  readonly model: string;
  readonly servedName: string;
  /** Where its log is. */
  readonly folder: string;
  readonly port: number;
  /** The core that computes. */
  readonly core: number;
  /** Further arguments of vLLM. */
  readonly args: readonly string[];
  readonly env?: { readonly [name: string]: string };
}

/** A vLLM engine in a process of its own. */
export class Engine {
  public readonly url: string;
  /** Whether it was ended here. */
  public isKilled = false;
  private readonly log: string;
  private readonly process: ChildProcess;

  constructor({ name, model, servedName, folder, port, core, args, env }: EngineOptions) {
    this.url = `http://127.0.0.1:${port}`;
    this.log = join(folder, `${name}.log`);
    const out = openSync(this.log, 'w');
    this.process = spawn('bash', [
      '-c', GUARDED, name, PYTHON, '-m', 'vllm.entrypoints.openai.api_server', '--model', model, '--served-model-name', servedName,
      '--host', '127.0.0.1', '--port', String(port), '--block-size', '32', '--enforce-eager', ...args,
    ], {
      // a group of its own: an engine has children.
      detached: true,
      stdio: ['pipe', out, out],
      env: {
        ...process.env,
        VLLM_CPU_KVCACHE_SPACE: '1',
        VLLM_CPU_OMP_THREADS_BIND: String(core),
        HF_HUB_OFFLINE: '1',
        VLLM_NO_USAGE_STATS: '1',
        DO_NOT_TRACK: '1',
        ...env,
      },
    });
  }

  /** Waits until the engine answers. Throws with the end of its log if it does not. */
  public async ready(): Promise<void> {
    const end = Date.now() + START_MILLIS;
    while (!await this.isWell()) {
      const log = readFileSync(this.log, 'utf8');
      // an engine whose thread has died at its start waits for it, for ever.
      if (this.process.exitCode !== null || Date.now() > end || log.includes('\nException in thread ')) {
        throw new Error(`the engine did not start:\n${log.slice(-3000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  /** Whether it says that it is well. */
  public async isWell(): Promise<boolean> {
    return this.get('/health').then(({ ok }) => ok, () => false);
  }

  /** The sum of one of its metrics. */
  public async metric(name: string): Promise<number> {
    const text = await (await this.get('/metrics')).text();
    return text.split('\n').filter((line) => line.startsWith(`${name}{`)).reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  /** Stops its processes where they are. */
  public pause(): void {
    this.signal('SIGSTOP');
  }

  /** Lets them go on. */
  public resume(): void {
    this.signal('SIGCONT');
  }

  /** Ends its processes without a word. */
  public kill(): void {
    this.isKilled = true;
    this.signal('SIGKILL');
  }

  /** By a connection of its own: the engine closes one that is idle when it likes. */
  private async get(path: string): Promise<Response> {
    return fetch(this.url + path, { headers: { connection: 'close' } });
  }

  private signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.process.pid!, signal);
    } catch {
      // gone already.
    }
  }
}
