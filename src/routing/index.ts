export * from './decision';
export * from './prompt-tokens';
export * from './recalibration';
export * from './service-tier';
