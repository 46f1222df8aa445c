import { RAFT_ERROR_NUMBERS, type RaftErrorCode, type Refusal } from './core/refusal.ts';

export type { RaftErrorCode } from './core/refusal.ts';

/**
 * Why a Raft operation failed: braft's error by name (`code`) and number, and whether the operation
 * certainly did not happen. Callers branch on `code` and `outcome`; the message is for people.
 */
export class RaftError extends Error {
  override readonly name = 'RaftError';
  readonly code: RaftErrorCode;
  /** braft's or Linux's number of `code`. */
  readonly number: number;
  /** `unknown`: proposed, may still be committed; repeat only what is idempotent. */
  readonly outcome: 'notProposed' | 'unknown';
  /** The leader to go to instead, when known. */
  readonly leader: string | undefined;

  constructor(
    code: RaftErrorCode,
    message: string,
    details: {
      outcome?: 'notProposed' | 'unknown';
      leader?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.code = code;
    this.number = RAFT_ERROR_NUMBERS[code];
    this.outcome = details.outcome ?? 'notProposed';
    this.leader = details.leader;
  }

  /** The error form of a refusal by the core. */
  static from(refusal: Refusal): RaftError {
    const { code, text, outcome, leader } = refusal;
    return new RaftError(code, text, { outcome, leader });
  }
}

/** Any failure of a port as the library's error. */
export function asRaftError(error: unknown): RaftError {
  if (error instanceof RaftError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new RaftError('EIO', text, { cause: error });
}
