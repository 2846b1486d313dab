/** Most tokens that a length may have: no model reads more, so a larger one is a unit or a column mixed up. */
export const MAX_TOKENS = 10_000_000;
