import { Token } from 'aws-cdk-lib';
import { BedrockRouterProps } from './bedrock-router-props';
import { SettingChecks } from './setting-checks';

/** CPU units of a task where none are given. */
export const DEFAULT_CPU = 1024;
/** Memory of a task where none is given, in MiB. */
export const DEFAULT_MEMORY_MIB = 2048;

/** What memory Fargate gives a task of so many CPU units: from, to, and in steps of so many MiB. */
const MEMORY_OF_CPU: ReadonlyMap<number, { readonly least: number; readonly most: number; readonly step: number }> = new Map([
  [256, { least: 512, most: 2048, step: 512 }],
  [512, { least: 1024, most: 4096, step: 1024 }],
  [1024, { least: 2048, most: 8192, step: 1024 }],
  [2048, { least: 4096, most: 16384, step: 1024 }],
  [4096, { least: 8192, most: 30720, step: 1024 }],
  [8192, { least: 16384, most: 61440, step: 4096 }],
  [16384, { least: 32768, most: 122880, step: 8192 }],
]);

/**
 * Refuses a task that Fargate has no room of the size for.
 *
 * @see https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
 */
export function checkTaskSize({ cpu = DEFAULT_CPU, memoryLimitMiB = DEFAULT_MEMORY_MIB }: Pick<BedrockRouterProps, 'cpu' | 'memoryLimitMiB'>, checks: SettingChecks): void {
  // of 32 vCPU it is not told here what memory they go with.
  if (Token.isUnresolved(cpu) || cpu === 32768) {
    return;
  }
  const memory = MEMORY_OF_CPU.get(cpu);
  if (memory === undefined) {
    checks.refuse('RouterTaskSize', 'cpu', cpu, 'Fargate has no tasks of so many CPU units', `give one of ${[...MEMORY_OF_CPU.keys()].join(', ')}`);
    return;
  }
  const { least, most, step } = memory;
  const isSize = memoryLimitMiB >= least && memoryLimitMiB <= most && memoryLimitMiB % step === 0 && !(cpu === 256 && memoryLimitMiB === 1536);
  if (!Token.isUnresolved(memoryLimitMiB) && !isSize) {
    checks.refuse('RouterTaskSize', 'memoryLimitMiB', memoryLimitMiB, `Fargate has no tasks of so much memory and ${cpu} CPU units`,
      cpu === 256 ? 'give 512, 1024 or 2048' : `give ${least} to ${most} in steps of ${step}`);
  }
}
