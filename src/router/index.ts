export * from './bedrock-router';
export * from './bedrock-router-interface';
export * from './bedrock-router-props';
export * from './router-listener';
export * from './router-options';
export * from './router-valkey';
