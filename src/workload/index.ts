export * from './length-distribution';
export * from './request-trace';
export * from './service-level-objective';
export * from './trace-request';
export * from './workload';
export * from './workload-spec';
