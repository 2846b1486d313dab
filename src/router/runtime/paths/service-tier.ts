import { SERVICE_TIERS, ServiceTier } from '../../../routing';
import { Exchange } from '../exchange';
import { ApiError, invalid } from '../wire/api-error';
import { SERVICE_TIER_HEADER } from '../wire/bedrock/invoke-model';
import { EngineRequest } from '../wire/engine-request';

/** Stands for every caller. */
const ANYBODY = '*';

/**
 * The tier that a request asks for; OpenAI's `auto` is `default`.
 *
 * Throws ApiError for a tier of Bedrock's that there is none of here, and, as Bedrock does where a policy denies a tier, for one that its caller may not have,
 * or a priority within engines.
 *
 * @param exchange whose it is.
 * @param asked what was asked.
 * @param priorityCallers who may ask for priority.
 */
export function serviceTierOf(
  { request: { headers }, caller }: Exchange, { serviceTier, body }: EngineRequest, priorityCallers: ReadonlySet<string>,
): ServiceTier {
  const header = headers[SERVICE_TIER_HEADER];
  if (header !== undefined && !isTier(header)) {
    throw invalid('invalid_service_tier', `${SERVICE_TIER_HEADER}: ${SERVICE_TIERS.join(', ')} are supported here`, SERVICE_TIER_HEADER);
  }
  const said = [header, serviceTier, body.service_tier];
  // wherever it is said: engines and Bedrock are sent all of it.
  const mayAsk = priorityCallers.has(ANYBODY) || priorityCallers.has(caller.id);
  if (said.includes('priority') && !mayAsk) {
    throw notAllowed('service tier: this caller may not ask for priority', 'service_tier');
  }
  // by which engines order what waits in them, lower first or higher first.
  if ((body.priority ?? null) !== null && !mayAsk) {
    throw notAllowed('priority: this caller may not ask for it', 'priority');
  }
  return said.find(isTier) ?? 'default';
}

function notAllowed(message: string, param: string): ApiError {
  return new ApiError(403, 'permission_error', 'priority_not_allowed', message, {}, param);
}

function isTier(value: unknown): value is ServiceTier {
  return SERVICE_TIERS.includes(value as ServiceTier);
}
