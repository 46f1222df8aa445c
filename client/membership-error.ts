import type { Outcome } from './atomic-error.ts';

/** A failed administrative call: the Raft error's name and number, as in braft. */
export class MembershipError extends Error {
  override readonly name = 'MembershipError';
  /** EPERM, EINVAL, ECATCHUP, ...; EHOSTDOWN and ETIMEDOUT when no server answered. */
  readonly code: string;
  readonly number: number;
  /** `unknown`: the change may have been made, or may still be. */
  readonly outcome: Outcome;

  constructor(
    code: string,
    message: string,
    details: { number: number; outcome: Outcome; cause?: unknown },
  ) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.code = code;
    this.number = details.number;
    this.outcome = details.outcome;
  }
}
