import { Duration, Size, SizeRoundingBehavior } from 'aws-cdk-lib';
import schema from './runtime/router-config.v1.schema.json';
import { secondsOf, SettingChecks } from './setting-checks';

/**
 * What waits in a task while every engine is full. What is beyond is answered 429.
 */
export interface RouterQueue {
  /**
   * Requests that wait at once; 0 refuses at once.
   *
   * @default 1000
   */
  readonly maxRequests?: number;

  /**
   * Tokens of their prompts; a longer prompt waits where no other does.
   *
   * @default 300000
   */
  readonly maxPromptTokens?: number;

  /**
   * Sum of their bodies; a longer one waits where no other does. One is in memory up to five times.
   *
   * @default Size.mebibytes(128)
   */
  readonly maxBodies?: Size;

  /**
   * Longest wait, which `firstTokenTimeout` bounds as well.
   *
   * @default Duration.seconds(30)
   */
  readonly maxWait?: Duration;
}

/** The queue as the service reads it. */
export function queueOf({ maxRequests, maxPromptTokens, maxBodies, maxWait }: RouterQueue): object {
  return { maxRequests, maxPromptTokens, maxBytes: bytesOf(maxBodies), maxWaitSeconds: maxWait && secondsOf(maxWait) };
}

/** Refuses bounds that the service would refuse. */
export function checkQueue({ maxRequests, maxPromptTokens, maxBodies, maxWait }: RouterQueue, checks: SettingChecks): void {
  const rule = 'RouterQueue';
  const bounds = schema.properties.queue.properties;
  checks.number(rule, 'queue.maxRequests', maxRequests, bounds.maxRequests, 'requests');
  checks.number(rule, 'queue.maxPromptTokens', maxPromptTokens, bounds.maxPromptTokens, 'tokens');
  try {
    checks.number(rule, 'queue.maxBodies', bytesOf(maxBodies), bounds.maxBytes, 'bytes');
  } catch {
    checks.refuse(rule, 'queue.maxBodies', undefined, 'a size that is not known at synthesis cannot be converted', 'give it as Size.bytes, or as a number');
  }
  checks.time(rule, 'queue.maxWait', maxWait, bounds.maxWaitSeconds);
}

function bytesOf(size: Size | undefined): number | undefined {
  return size?.toBytes({ rounding: SizeRoundingBehavior.NONE });
}
