/** A request that the API server refused, or that did not reach it (`code` 0). */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** HTTP status; 0 when there was no answer. */
  readonly code: number;
  /** The API's machine-readable reason, such as `Conflict`; empty when there is none. */
  readonly reason: string;
  /** How long the server asks to wait before the next attempt. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    details: {
      readonly code: number;
      readonly reason?: string;
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    },
  ) {
    super(message, { cause: details.cause });
    this.code = details.code;
    this.reason = details.reason ?? '';
    this.retryAfterMs = details.retryAfterMs;
  }

  /** The object changed or exists already: look again, then decide again. */
  get isConflict(): boolean {
    return this.code === 409;
  }

  /** The resource version is too old for the server: list again. */
  get isGone(): boolean {
    return this.code === 410 || this.reason === 'Expired';
  }
}
