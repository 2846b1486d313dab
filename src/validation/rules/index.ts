import { ADDRESSES_RULES } from './addresses';
import { AUTO_SCALING_RULES } from './auto-scaling';
import { BATCH_RULES } from './batch';
import { BEDROCK_RULES } from './bedrock';
import { CAPACITY_BLOCK_RULES } from './capacity-block';
import { CAPACITY_RESERVATION_RULES } from './capacity-reservation';
import { ECS_SERVICE_RULES } from './ecs-service';
import { ECS_TASK_RULES } from './ecs-task';
import { EKS_RULES } from './eks';
import { ENGINE_RULES } from './engine';
import { INSTANCE_TYPE_RULES } from './instance-type';
import { KUBERNETES_RULES } from './kubernetes';
import { LAUNCH_TEMPLATE_RULES } from './launch-template';
import { LOAD_BALANCER_RULES } from './load-balancer';
import { MACHINE_IMAGE_RULES } from './machine-image';
import { NETWORK_ACCESS_RULES } from './network-access';
import { NETWORK_INTERFACES_RULES } from './network-interfaces';
import { PCS_RULES } from './pcs';
import { QUOTA_RULES } from './quota';
import { SECURITY_GROUP_RULES } from './security-group';
import { TOPOLOGY_RULES } from './topology';
import { Rule } from '../rule';

/** Every rule, family by family. */
export const RULES: readonly Rule[] = [
  ...INSTANCE_TYPE_RULES,
  ...NETWORK_INTERFACES_RULES,
  ...ADDRESSES_RULES,
  ...SECURITY_GROUP_RULES,
  ...TOPOLOGY_RULES,
  ...CAPACITY_RESERVATION_RULES,
  ...CAPACITY_BLOCK_RULES,
  ...AUTO_SCALING_RULES,
  ...QUOTA_RULES,
  ...LAUNCH_TEMPLATE_RULES,
  ...MACHINE_IMAGE_RULES,
  ...EKS_RULES,
  ...KUBERNETES_RULES,
  ...BATCH_RULES,
  ...PCS_RULES,
  ...ENGINE_RULES,
  ...ECS_TASK_RULES,
  ...ECS_SERVICE_RULES,
  ...LOAD_BALANCER_RULES,
  ...NETWORK_ACCESS_RULES,
  ...BEDROCK_RULES,
];
