export * from './bedrock-model';
export * from './bedrock-target';
export * from './cerebras-cloud-target';
export * from './cs3-attachment';
export * from './cs3-decode-capacity';
export * from './decode-capacity';
export * from './engine-endpoint';
export * from './kv-connector';
