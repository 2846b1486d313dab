import { IncomingHttpHeaders } from 'node:http';
import { EngineRequest } from './wire/engine-request';
import { SERVICE_TIERS, ServiceTier } from '../../routing';

/** Where callers of InvokeModel say it. */
const HEADER = 'x-amzn-bedrock-service-tier';

/** The tier that a request asks for; what is none that is known here is `default`. */
export function serviceTierOf(headers: IncomingHttpHeaders, { serviceTier, body }: EngineRequest): ServiceTier {
  const asked = headers[HEADER] ?? serviceTier ?? body.service_tier;
  return SERVICE_TIERS.includes(asked as ServiceTier) ? asked as ServiceTier : 'default';
}
