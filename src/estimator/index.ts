export * from './deployment-spec';
export * from './estimate';
export * from './estimator';
export * from './fleet-planner';
export * from './simulation';
