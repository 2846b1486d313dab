import { NeuronVllmEngine } from './neuron-vllm-engine';
import { EngineRole, KvConnector } from '../../decode';
import { NeuronInstanceType } from '../../hardware';
import { ModelArchitecture } from '../../model';

/** where the containers see the model and their scratch space. */
export const MODEL_DIRECTORY = '/model';
export const CACHE_DIRECTORY = '/cache';

/** when the container started, in seconds of the epoch, and whether its engine was ever ready. */
const STARTED_FILE = '/tmp/started';
const READY_FILE = '/tmp/ready';

/** ports as in https://awsdocs-neuron.readthedocs-hosted.com/en/latest/vllm-neuron/docs/tutorials/tutorial-di-1p1d-xpyd.html */
const PORTS: { readonly [role in EngineRole]: { readonly api: number; readonly sideChannel: number } } = {
  [EngineRole.PREFILL]: { api: 8100, sideChannel: 5559 },
  [EngineRole.DECODE]: { api: 8200, sideChannel: 5659 },
  [EngineRole.AGGREGATED]: { api: 8000, sideChannel: 5759 },
};

/**
 * An engine with every choice made.
 */
export interface EngineSetup {
  readonly role: EngineRole;
  readonly model: ModelArchitecture;
  readonly instanceType: NeuronInstanceType;
  readonly options: NeuronVllmEngine;
  readonly tensorParallelDegree: number;
  readonly maxConcurrentSequences: number;
  readonly coldStartSeconds: number;
}

/** Port of the engine's HTTP API. */
export function apiPort(role: EngineRole): number {
  return PORTS[role].api;
}

/**
 * The connector that hands KV caches on: Neuron's own where attention has a window, which the generic one would drop a block of.
 *
 * @see https://awsdocs-neuron.readthedocs-hosted.com/en/latest/vllm-neuron/docs/design/vllm/disaggregated-inference.html
 */
export function kvConnector(role: EngineRole, model: ModelArchitecture): KvConnector | undefined {
  if (role === EngineRole.AGGREGATED) {
    return undefined;
  }
  return model.spec.windowAttentionLayers > 0 ? KvConnector.NEURON_NIXL : KvConnector.NIXL;
}

/** The command line of `vllm serve`. */
export function serveCommand(setup: EngineSetup): string[] {
  const { role, model, options } = setup;
  const buckets = options.promptBuckets;
  const connector = kvConnector(role, model);
  return [
    'vllm', 'serve', MODEL_DIRECTORY,
    '--served-model-name', options.servedModelName ?? model.id,
    '--host', '0.0.0.0',
    '--port', String(apiPort(role)),
    '--dtype', 'bfloat16',
    '--tensor-parallel-size', String(setup.tensorParallelDegree),
    '--max-num-seqs', String(setup.maxConcurrentSequences),
    ...(options.maxModelLengthTokens === undefined ? [] : ['--max-model-len', String(options.maxModelLengthTokens)]),
    ...(options.blockSizeTokens === undefined ? [] : ['--block-size', String(options.blockSizeTokens)]),
    // the largest bucket has to equal max-num-batched-tokens.
    ...(buckets === undefined ? [] : [
      '--max-num-batched-tokens', String(buckets[buckets.length - 1]),
      '--additional-config', JSON.stringify({ neuron_config: { num_batched_tokens_buckets: buckets } }),
    ]),
    ...(connector === undefined ? [] : ['--kv-transfer-config', JSON.stringify({
      kv_connector: connector.name,
      kv_role: role === EngineRole.PREFILL ? 'kv_producer' : 'kv_consumer',
      // device memory, by vLLM's name for it; through host memory where EFA cannot read the device.
      kv_buffer_device: setup.instanceType.efa?.deviceDirectRdma === false ? 'cpu' : 'cuda',
      kv_connector_extra_config: { backends: ['LIBFABRIC'] },
    })]),
    // a router learns from it which prompts are in the cache.
    '--enable-prompt-tokens-details',
    ...(options.extraArguments ?? []),
  ];
}

/** The engine's environment, without the address that is known on the instance only. */
function engineEnvironment(setup: EngineSetup): { [name: string]: string } {
  const transfers = kvConnector(setup.role, setup.model) !== undefined;
  return {
    HOME: CACHE_DIRECTORY,
    VLLM_CACHE_ROOT: `${CACHE_DIRECTORY}/vllm`,
    VLLM_ENGINE_READY_TIMEOUT_S: String(setup.coldStartSeconds),
    ...(transfers ? { VLLM_NIXL_SIDE_CHANNEL_PORT: String(PORTS[setup.role].sideChannel), FI_EFA_ENABLE_SHM_TRANSFER: '0' } : {}),
    // the engine does not start on a host without EFA otherwise:
    // https://awsdocs-neuron.readthedocs-hosted.com/en/latest/deploy/environments/quickstart-deploy-dlc.html
    ...(setup.instanceType.efa === undefined ? { NEURON_SKIP_EFA_AFFINITY: '1' } : {}),
    // a prefill engine never decodes; a decode engine reads the prompts whose KV cache did not arrive.
    ...(setup.role === EngineRole.PREFILL ? { VLLM_NEURON_SKIP_DECODE_WARMUP: '1' } : {}),
    ...setup.options.environment,
  };
}

/**
 * The shell script that notes the time, exports the environment and becomes the command given as its arguments.
 *
 * The side channel's host is announced to the other engine, so it has to be the instance's own address: that of the route to the metadata service.
 */
export function entryScript(setup: EngineSetup): string {
  const ownAddress = 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("169.254.169.254", 80)); print(s.getsockname()[0])';
  return [
    // the times of /proc/1 are renewed while it runs, so the age is kept in a file for the health check.
    `date +%s > ${STARTED_FILE}`,
    ...Object.entries(engineEnvironment(setup)).map(([name, value]) => `export ${name}=${quoted(value)}`),
    ...(kvConnector(setup.role, setup.model) === undefined ? [] : [`export VLLM_NIXL_SIDE_CHANNEL_HOST="$(python3 -c '${ownAddress}')"`]),
    'exec "$0" "$@"',
  ].join('\n');
}

/**
 * The health check's command: the engine's `/health`, and nothing wrong with an engine that was never ready and is younger than a cold start.
 *
 * Container health checks give at most 300 seconds to start and 10 retries of 300 seconds, which is less than a cold start of a large model, and a
 * check as slow as that would miss an engine that hangs later. So ECS sees a starting engine as healthy: routers have to ask `/health` themselves.
 */
export function healthCommand(setup: EngineSetup): string {
  const health = `curl -sf -m 4 -o /dev/null http://127.0.0.1:${apiPort(setup.role)}/health && touch ${READY_FILE}`;
  const young = `test $(( $(date +%s) - $(cat ${STARTED_FILE}) )) -lt ${setup.coldStartSeconds}`;
  return `${health} || { test ! -e ${READY_FILE} && ${young}; }`;
}

function quoted(value: string): string {
  return `'${value.replace(/'/g, "'\\''")}'`;
}
