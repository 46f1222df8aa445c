/** How many exactly-once sessions and kept answers a group holds; the same on all members. */
export type SessionLimits = { readonly sessionsMax: number; readonly answersMax: number };

/** What a leader writes into the entries that register sessions. */
export const DEFAULT_SESSION_LIMITS: SessionLimits = {
  sessionsMax: 4_096,
  answersMax: 1_048_576,
};
