export * from './fleet-planner';
export * from './fleet-search';
