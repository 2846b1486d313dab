export * from './inference-checks';
export * from './inference-rules';
export * from './inference-rules-plugin';
