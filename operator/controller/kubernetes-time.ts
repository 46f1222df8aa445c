/** `2026-01-01T00:00:00Z`, the time of conditions and metadata: whole seconds. */
export function timestamp(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

/** `2026-01-01T00:00:00.000000Z`, the MicroTime of leases and events. */
export function microTime(time: Date): string {
  return `${time.toISOString().slice(0, 23)}000Z`;
}
