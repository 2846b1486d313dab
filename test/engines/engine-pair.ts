import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../ports';
import { Engine, makeModel } from './engine';

export const MODEL = 'tiny';

/** Tokens in a block of the KV caches. */
export const BLOCK_TOKENS = 32;

/** How long a prefill engine keeps a KV cache: engines of random weights on a few busy cores are slower than any accelerator. */
export const LEASE_SECONDS = 120;

/** A prefill and a decode engine of vLLM that hand KV caches on over NIXL, with a small model of random weights. */
export class EnginePair {
  public static async start(): Promise<EnginePair> {
    const folder = mkdtempSync(join(tmpdir(), 'engines-'));
    const model = makeModel(folder, '3m');
    const ports = await freePorts(4);
    const [prefill, decode] = (['prefill', 'decode'] as const).map((name, i) => new Engine({
      name,
      model,
      servedName: MODEL,
      folder,
      port: ports[2 * i],
      core: i,
      args: [
        '--max-model-len', '4096', '--dtype', 'float32', '--num-gpu-blocks-override', '512', '--enable-auto-tool-choice', '--tool-call-parser', 'hermes',
        '--kv-transfer-config', JSON.stringify({
          kv_connector: 'NixlConnector',
          kv_role: name === 'prefill' ? 'kv_producer' : 'kv_consumer',
          kv_buffer_device: 'cpu',
          kv_load_failure_policy: 'fail',
          kv_connector_extra_config: { kv_lease_duration: LEASE_SECONDS },
        }),
      ],
      env: {
        UCX_NET_DEVICES: 'lo',
        UCX_TLS: 'tcp',
        VLLM_NIXL_SIDE_CHANNEL_HOST: '127.0.0.1',
        VLLM_NIXL_SIDE_CHANNEL_PORT: String(ports[2 * i + 1]),
        PYTHONHASHSEED: '0',
        PYTHONPATH: join(__dirname, 'site'),
      },
    }));
    const pair = new EnginePair(folder, prefill, decode);
    try {
      await Promise.all([prefill.ready(), decode.ready()]);
    } catch (e) {
      pair.stop();
      throw e;
    }
    return pair;
  }

  private constructor(private readonly folder: string, public readonly prefill: Engine, public readonly decode: Engine) {}

  public stop(): void {
    this.prefill.kill();
    this.decode.kill();
    rmSync(this.folder, { recursive: true });
  }
}
