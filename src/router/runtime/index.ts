export * from './config';
export { standardLog } from './log-lines';
export * from './metrics';
export * from './router';
