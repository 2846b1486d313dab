export * from './bedrock-router';
export * from './bedrock-router-interface';
export * from './bedrock-router-props';
export type { RouterBedrockRates } from './router-bedrock-rates';
export { RouterListener } from './router-listener';
export type { RouterQueue } from './router-queue';
export type { RouterTokenIssuer } from './router-token-issuer';
export * from './router-valkey';
