export * from './decision';
export * from './engine-choice';
export * from './prompt-tokens';
export * from './read-prompts';
export * from './recalibration';
export * from './service-tier';
