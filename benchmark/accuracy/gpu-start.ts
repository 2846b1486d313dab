import { Coefficients } from '../../src/estimator/phases/coefficients';

/** What is known of a GPU before anything is fitted: shares of peaks of kernel tables (aiconfigurator 0.8, H100), floors of BLIS's fit to vLLM. */
export const GPU_START: Coefficients = Object.assign(new Coefficients(), {
  denseUtilisation: 0.6,
  prefillAttentionUtilisation: 0.4,
  lowPrecisionGain: 1.5,
  prefillLayerSeconds: 3.2e-5,
  prefillTokenLayerSeconds: 2e-8,
  prefillExpertSeconds: 1e-6,
  prefillPromptSeconds: 1e-3,
  weightBandwidthUtilisation: 0.83,
  lowPrecisionBandwidthGain: 0.85,
  kvBandwidthUtilisation: 0.63,
  decodeLayerSeconds: 5e-5,
  decodeSequenceLayerSeconds: 3e-7,
  decodeExpertLayerSeconds: 5e-5,
  engineStepSeconds: 2e-4,
  // all-reduce kernels of TensorRT-LLM on 8 GPUs: 3.5 to 4.2 us of least latency, and 150 to 220 of 450 GB/s.
  collectiveHopSeconds: 1.5e-6,
  collectiveBandwidthUtilisation: 0.4,
  gatewaySeconds: 0.0156,
});
