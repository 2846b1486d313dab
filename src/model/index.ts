export * from './model-architecture';
export * from './model-spec';
export * from './precision';
