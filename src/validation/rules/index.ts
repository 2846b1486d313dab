import { CAPACITY_BLOCK_RULES } from './capacity-block';
import { CAPACITY_RESERVATION_RULES } from './capacity-reservation';
import { INSTANCE_AND_INTERFACES_RULES } from './instance-and-interfaces';
import { LAUNCH_TEMPLATE_RULES } from './launch-template';
import { SECURITY_GROUP_RULES } from './security-group';
import { TOPOLOGY_RULES } from './topology';
import { Rule } from '../rule';

/** Every rule, family by family. */
export const RULES: readonly Rule[] = [
  ...INSTANCE_AND_INTERFACES_RULES,
  ...SECURITY_GROUP_RULES,
  ...TOPOLOGY_RULES,
  ...CAPACITY_RESERVATION_RULES,
  ...CAPACITY_BLOCK_RULES,
  ...LAUNCH_TEMPLATE_RULES,
];
