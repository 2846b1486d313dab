/** The image that fleets run their engines from unless told otherwise, the newest documented one: https://awsdocs-neuron.readthedocs-hosted.com/en/v2.33.0/setup/pytorch/dlc.html */
export const ENGINE_IMAGE = 'public.ecr.aws/neuron/pytorch-inference-vllm-neuronx:0.29.0.1.2.0-neuronx-py314-sdk2.33.0-ubuntu26.04';

/** Neuron chips that it has no support for. */
export const CHIPS_WITHOUT_IMAGE: readonly string[] = ['trainium1', 'inferentia2'];
