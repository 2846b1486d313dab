export * from './simulation';
export * from './simulator';
