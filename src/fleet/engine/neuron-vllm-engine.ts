import { aws_ecs as ecs } from 'aws-cdk-lib';

/**
 * The engine of a fleet: vLLM with the Neuron plugin.
 */
export interface NeuronVllmEngine {
  /**
   * The image. It needs `vllm`, `python3` and `curl` on its path, and, for a fleet that hands KV caches on, NIXL with its LIBFABRIC backend.
   *
   * @default - the vLLM Deep Learning Container of AWS Neuron 2.33.0 (Trainium2 and later):
   * `public.ecr.aws/neuron/pytorch-inference-vllm-neuronx:0.29.0.1.2.0-neuronx-py314-sdk2.33.0-ubuntu26.04`
   */
  readonly image?: ecs.ContainerImage;

  /**
   * Logical NeuronCores that the model is split over.
   *
   * @default - the most that the instance has and that divide the model's attention heads evenly
   */
  readonly tensorParallelDegree?: number;

  /**
   * Sequences that the engine works on at once.
   *
   * @default - 1 for prefill, else 64
   */
  readonly maxConcurrentSequences?: number;

  /**
   * Tokens in one block of the KV cache.
   *
   * @default - the engine's: 32
   */
  readonly blockSizeTokens?: number;

  /**
   * Longest sequence, prompt and output together, in tokens.
   *
   * @default - the model's context, which compiles long and leaves room for few sequences
   */
  readonly maxModelLengthTokens?: number;

  /**
   * Prompt lengths to compile for, in tokens, ascending: a prompt is padded to the next one. More of them start slower and pad less.
   *
   * @default - the engine's: powers of two from 128
   */
  readonly promptBuckets?: number[];

  /**
   * The model's name in requests.
   *
   * @default - the model's id
   */
  readonly servedModelName?: string;

  /**
   * Further arguments of `vllm serve`, after those that the fleet gives. None that an option or the fleet itself gives, nor
   * `--gpu-memory-utilization`, which estimates take as vLLM's 0.9; `--additional-config` only without `promptBuckets`.
   *
   * @default - none
   */
  readonly extraArguments?: string[];

  /**
   * Further environment variables. No secrets: they are readable in the task definition.
   *
   * @default - none
   */
  readonly environment?: { [name: string]: string };

  /**
   * User and group that the containers run as, as numbers `uid:gid`.
   *
   * @default '1000:1000'
   */
  readonly user?: string;
}
