import { viewOf } from './view';
import { Link, Resource, Value } from '../graph/template-graph';

/**
 * Types whose resources may make others that the template does not show: custom ones, modules, applications and types of third parties. A nested stack is
 * either in the set or makes resources unseen.
 */
const MAKERS = /^(?!AWS::)|^AWS::CloudFormation::CustomResource$|^AWS::Serverless::Application$|::MODULE$/;

/**
 * Resources that are given by id to something that may add to them what the template does not show, such as a rule to a security group or a route to a table.
 */
export const handedOn = viewOf((graph): ReadonlySet<Resource> => {
  const result = new Set<Resource>();
  const visit = (value: Value | undefined) => {
    if (value instanceof Link) {
      if (value.attribute === 'Ref' || value.attribute.endsWith('Id')) {
        result.add(value.resource);
      }
    } else if (typeof value === 'object' && value !== null) {
      Object.values(value).forEach(visit);
    }
  };
  graph.resources.filter(({ type }) => MAKERS.test(type)).forEach((resource) => visit(resource.get()));
  return result;
});
