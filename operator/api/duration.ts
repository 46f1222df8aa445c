const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** What a duration in a spec looks like: a whole number and a unit, `500ms` or `5m`. */
export const DURATION_PATTERN = '^(0|[1-9][0-9]{0,8})(ms|s|m|h)$';

/** Milliseconds of a duration that the schema has let through. @throws RangeError for others. */
export function durationMs(text: string): number {
  const [, amount, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  if (amount === undefined || unit === undefined) {
    throw new RangeError(`"${text}" is not a duration such as 500ms, 30s, 5m or 1h`);
  }
  return Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS];
}
