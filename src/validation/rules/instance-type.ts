import { Unknown, Value, asList, show } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import { instanceFacts, KNOWN_NEURON_INSTANCE_TYPES } from '../views/instance-facts';
import { efaLaunchesOf, launchProperty, launchesOf } from '../views/launches';

const FAMILY = 'instance-type';

const TYPE_LISTS = [['AWS::EKS::Nodegroup', 'InstanceTypes'], ['AWS::Batch::ComputeEnvironment', 'ComputeResources', 'InstanceTypes']];

export const INSTANCE_TYPE_RULES: Rule[] = [
  {
    id: 'NeuronInstanceTypeUnknown',
    family: FAMILY,
    severity: 'error',
    title: 'A Trainium or Inferentia instance type is one that EC2 has',
    why: 'CreateLaunchTemplate accepts any string; the launch fails with "Invalid value for InstanceType". No public EC2 instance type has Trainium3',
    mend: `use one of ${KNOWN_NEURON_INSTANCE_TYPES.join(', ')}`,
    source: 'npm:@aws-sdk/client-ec2@3.1169.0 _InstanceType',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        for (const type of launch.instanceTypes.filter(isNoNeuronType)) {
          yield found(launch.template, launchProperty(launch, 'InstanceType'), type, 'EC2 has no such instance type');
        }
      }
      for (const reservation of graph.ofType('AWS::EC2::CapacityReservation')) {
        const type = reservation.get('InstanceType');
        if (isNoNeuronType(type)) {
          yield found(reservation, 'InstanceType', type, 'EC2 has no such instance type');
        }
      }
      // what a launch has of these is told of the launch.
      const told = new Set(launchesOf(graph).flatMap(({ uses }) => uses.map(({ resource }) => resource)));
      for (const [resourceType, ...path] of TYPE_LISTS) {
        for (const resource of graph.ofType(resourceType).filter((each) => !told.has(each))) {
          for (const [index, type] of (asList(resource.get(...path)) ?? []).entries()) {
            if (isNoNeuronType(type)) {
              yield found(resource, `${path.join('.')}.${index}`, type, 'EC2 has no such instance type');
            }
          }
        }
      }
    },
  },
  {
    id: 'EfaInstanceTypeUnsupported',
    family: FAMILY,
    severity: 'error',
    title: 'An EFA interface is on an instance type that has EFA',
    why: 'the launch fails with "EFA interfaces are not supported on <type>"',
    mend: 'use an instance type with EFA, such as trn1.32xlarge or trn2.48xlarge, or drop InterfaceType from the interfaces',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa.html#efa-instance-types',
    *check(graph) {
      for (const launch of efaLaunchesOf(graph)) {
        for (const type of launch.instanceTypes) {
          if (type instanceof Unknown) {
            yield notChecked(launch.template, launchProperty(launch, 'InstanceType'), type);
            continue;
          }
          const facts = instanceFacts(type);
          if (facts === undefined) {
            yield notChecked(launch.template, launchProperty(launch, 'InstanceType'), `the network cards of ${show(type)} are not in the catalogue`);
          } else if (facts.efaInterfaces === 0) {
            yield found(launch.template, launchProperty(launch, 'InstanceType'), type, 'the instance type has no EFA, but the template has an EFA interface');
          }
        }
      }
    },
  },
];

// of types without a dot, such as the families that AWS Batch takes, nothing is said.
function isNoNeuronType(type: Value | undefined): boolean {
  return typeof type === 'string' && /^(trn|inf)\d[^.]*\./i.test(type) && !KNOWN_NEURON_INSTANCE_TYPES.includes(type);
}
