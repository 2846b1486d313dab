/** Bedrock's service tiers, the most urgent first. */
export const SERVICE_TIERS = ['priority', 'default', 'flex'];
