export * from './calibration-spec';
export * from './deployment-spec';
export * from './estimate';
export * from './estimator';
export * from './planner';
export * from './simulation';
export * from './simulator';
