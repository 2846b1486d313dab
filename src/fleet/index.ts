export * from './engine/neuron-vllm-engine';
export * from './model-artifacts';
export * from './purchase';
export * from './purchased-capacity';
export * from './trainium-aggregated-fleet';
export * from './trainium-decode-fleet';
export * from './trainium-fleet';
export * from './trainium-prefill-fleet';
