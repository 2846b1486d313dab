import { ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const MODEL = 'tiny';

const PYTHON = join(__dirname, '../../.venv-engines/bin/python');
const START_MILLIS = 400_000;

/** How long a prefill engine keeps a KV cache: engines of random weights on a few busy cores are slower than any accelerator. */
export const LEASE_SECONDS = 120;

/** A vLLM engine in a process of its own. */
export class Engine {
  public readonly url: string;
  private readonly log: string;
  private readonly process: ChildProcess;

  constructor(name: string, model: string, folder: string, port: number, sidePort: number, core: number) {
    this.url = `http://127.0.0.1:${port}`;
    this.log = join(folder, `${name}.log`);
    const out = openSync(this.log, 'w');
    const transfer = {
      kv_connector: 'NixlConnector',
      kv_role: name === 'prefill' ? 'kv_producer' : 'kv_consumer',
      kv_buffer_device: 'cpu',
      kv_load_failure_policy: 'fail',
      kv_connector_extra_config: { kv_lease_duration: LEASE_SECONDS },
    };
    this.process = spawn(PYTHON, [
      '-m', 'vllm.entrypoints.openai.api_server', '--model', model, '--served-model-name', MODEL, '--host', '127.0.0.1', '--port', String(port),
      '--max-model-len', '4096', '--dtype', 'float32', '--block-size', '32', '--num-gpu-blocks-override', '512', '--enforce-eager',
      '--enable-auto-tool-choice', '--tool-call-parser', 'hermes', '--kv-transfer-config', JSON.stringify(transfer),
    ], {
      // a group of its own: an engine has children.
      detached: true,
      stdio: ['ignore', out, out],
      env: {
        ...process.env,
        UCX_NET_DEVICES: 'lo',
        UCX_TLS: 'tcp',
        VLLM_NIXL_SIDE_CHANNEL_HOST: '127.0.0.1',
        VLLM_NIXL_SIDE_CHANNEL_PORT: String(sidePort),
        VLLM_CPU_KVCACHE_SPACE: '1',
        VLLM_CPU_OMP_THREADS_BIND: String(core),
        HF_HUB_OFFLINE: '1',
        VLLM_NO_USAGE_STATS: '1',
        DO_NOT_TRACK: '1',
        PYTHONHASHSEED: '0',
      },
    });
  }

  /** Waits until the engine answers. Throws with the end of its log if it does not. */
  public async ready(): Promise<void> {
    const end = Date.now() + START_MILLIS;
    while (!await this.isWell()) {
      if (this.process.exitCode !== null || Date.now() > end) {
        throw new Error(`the engine did not start:\n${readFileSync(this.log, 'utf8').slice(-3000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  /** Whether it says that it is well. */
  public async isWell(): Promise<boolean> {
    return fetch(`${this.url}/health`).then(({ ok }) => ok, () => false);
  }

  /** The sum of one of its metrics. */
  public async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    return text.split('\n').filter((line) => line.startsWith(`${name}{`)).reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  /** Stops its processes where they are. */
  public pause(): void {
    this.signal('SIGSTOP');
  }

  /** Ends its processes without a word. */
  public kill(): void {
    this.signal('SIGKILL');
  }

  private signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.process.pid!, signal);
    } catch {
      // gone already.
    }
  }
}

/** A prefill and a decode engine of vLLM that hand KV caches on over NIXL, with a small model of random weights. */
export class EnginePair {
  public static async start(): Promise<EnginePair> {
    if (!existsSync(PYTHON)) {
      throw new Error('vLLM is not installed: see CONTRIBUTING.md');
    }
    const folder = mkdtempSync(join(tmpdir(), 'engines-'));
    const model = join(folder, 'model');
    const made = spawnSync(PYTHON, [join(__dirname, 'make_model.py'), model], { encoding: 'utf8' });
    if (made.status !== 0) {
      throw new Error(`the model could not be made:\n${made.stderr}`);
    }
    const ports = await freePorts(4);
    const pair = new EnginePair(
      new Engine('prefill', model, folder, ports[0], ports[1], 0), new Engine('decode', model, folder, ports[2], ports[3], 1),
    );
    await Promise.all([pair.prefill.ready(), pair.decode.ready()]);
    return pair;
  }

  private constructor(public readonly prefill: Engine, public readonly decode: Engine) {}

  public async stop(): Promise<void> {
    this.prefill.kill();
    this.decode.kill();
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(servers.map(async (server) => new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  })));
  await Promise.all(servers.map(async (server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
