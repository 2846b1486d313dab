export * from './annotate';
export * from './estimates';
