/** Bedrock's service tiers, the most urgent first. */
export const SERVICE_TIERS = ['priority', 'default', 'flex'] as const;

/** How urgent a caller says that a request is. */
export type ServiceTier = typeof SERVICE_TIERS[number];
