export * from './cluster-placement';
export * from './efa-interface-layout';
export * from './efa-interfaces';
export * from './efa-placement-group';
export * from './launch-template-mixin';
