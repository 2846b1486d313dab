export * from './bedrock-router';
export * from './bedrock-router-props';
export * from './router-listener';
