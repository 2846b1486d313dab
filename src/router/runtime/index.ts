export * from './config';
export { standardLog } from './telemetry/log-lines';
export * from './telemetry/metrics';
export * from './router';
