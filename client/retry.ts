import { status } from '@grpc/grpc-js';
import type { AtomicErrorCode, Outcome } from './atomic-error.ts';

/** How an attempt failed, as far as a retry cares. */
export type Failure = {
  readonly outcome: Outcome;
  /** The gRPC status code, or the one a unary call would have got. */
  readonly status: number;
  readonly message: string;
  /** The name of the Raft error, SESSION_EXPIRED, or empty. */
  readonly reason: string;
  /** The peer that the server named as leader. */
  readonly leader?: string | undefined;
  /** No answer at all: the stream broke. */
  readonly connectionLost?: boolean;
};

/** What is known about the operations whose attempt failed. */
export type Attempt = {
  /** A numbered write is an exactly-once one: repeating it with the same number is harmless. */
  readonly operation: 'read' | 'write' | 'numberedWrite';
  /** Failed attempts so far, this one included. */
  readonly failures: number;
  /** Whether an attempt before this one may have taken effect. */
  readonly maybeDone: boolean;
};

/** What to do about a failed attempt. The caller's deadline ends every series of retries. */
export type Decision =
  | {
      readonly type: 'retry';
      /** `namedLeader`: where the failure points to. `anyLeader`: search for the leader anew. */
      readonly at: 'sameServer' | 'namedLeader' | 'anyLeader';
      readonly afterMs: number;
      /** The session is gone: register another and number the writes anew. */
      readonly newSession: boolean;
    }
  | { readonly type: 'giveUp'; readonly code: AtomicErrorCode; readonly outcome: Outcome };

/** Repeating these cannot help: the request or the caller is at fault. */
const PERMANENT: ReadonlySet<number> = new Set([
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.PERMISSION_DENIED,
  status.OUT_OF_RANGE,
  status.UNIMPLEMENTED,
  status.UNAUTHENTICATED,
]);

const BUSY: number = status.RESOURCE_EXHAUSTED;

export const SESSION_EXPIRED = 'SESSION_EXPIRED';

/** More failures than this and the operation is given up even before its deadline. */
export const FAILURES_MAX = 1_000;

const BACKOFF_FIRST_MS = 2;
const BACKOFF_MAX_MS = 100;
/** Redirects followed at once; more of them in a row mean that the servers disagree. */
const PROMPT_REDIRECTS_MAX = 2;

/**
 * Decides what follows a failed attempt: where and when to try again, or the error to report.
 * A write that may have happened is never repeated unless it is numbered.
 *
 * @param chance - uniform in [0, 1); spreads the retries of many clients.
 */
export function decide(attempt: Attempt, failure: Failure, chance: number): Decision {
  if (failure.reason === SESSION_EXPIRED) return afterExpiry(attempt, chance);
  const outcome = attempt.maybeDone ? 'unknown' : outcomeOf(attempt, failure);
  if (failure.outcome === 'unknown' && attempt.operation === 'write') {
    const code = failure.connectionLost === true ? 'connectionLost' : 'lostLeadership';
    return { type: 'giveUp', code, outcome };
  }
  if (PERMANENT.has(failure.status)) return { type: 'giveUp', code: 'refused', outcome };
  if (attempt.failures >= FAILURES_MAX) return { type: 'giveUp', code: 'timeout', outcome };
  return retry(attempt, failure, chance);
}

/** The time before the next attempt: exponential in the failures, half of it random, bounded. */
export function backoffMs(failures: number, chance: number): number {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures, 20));
  return ceiling / 2 + (ceiling / 2) * chance;
}

function retry(attempt: Attempt, failure: Failure, chance: number): Decision {
  const pause = backoffMs(attempt.failures, chance);
  if (failure.status === BUSY) {
    return { type: 'retry', at: 'sameServer', afterMs: pause, newSession: false };
  }
  if (failure.leader !== undefined && failure.leader !== '') {
    const afterMs = attempt.failures <= PROMPT_REDIRECTS_MAX ? 0 : pause;
    return { type: 'retry', at: 'namedLeader', afterMs, newSession: false };
  }
  // The search for a leader paces itself; a broken stream must not wait before it starts.
  const afterMs = failure.connectionLost === true ? 0 : pause;
  return { type: 'retry', at: 'anyLeader', afterMs, newSession: false };
}

function afterExpiry(attempt: Attempt, chance: number): Decision {
  // An earlier attempt may have been executed before its session was evicted.
  if (attempt.maybeDone || attempt.operation !== 'numberedWrite') {
    const outcome = attempt.maybeDone ? 'unknown' : 'notProposed';
    return { type: 'giveUp', code: 'sessionExpired', outcome };
  }
  const afterMs = attempt.failures === 1 ? 0 : backoffMs(attempt.failures, chance);
  return { type: 'retry', at: 'sameServer', afterMs, newSession: true };
}

function outcomeOf(attempt: Attempt, failure: Failure): Outcome {
  return attempt.operation === 'read' ? 'notProposed' : failure.outcome;
}
