import { Metadata, status, type StatusObject } from '@grpc/grpc-js';
import { OutcomeDetail, OutcomeDetail_Outcome } from '../../proto/gen/atomic/v1/atomic.ts';
import { RaftError, type RaftErrorCode } from '../raft/index.ts';

/** The binary trailer that says whether a failed call was proposed. */
export const OUTCOME_TRAILER = 'atomic-outcome-bin';

/** Why a request was not answered with a result, and whether it may have been executed. */
export type Failure = {
  readonly outcome: 'notProposed' | 'unknown';
  readonly status: status;
  /** A Raft error's name, or SESSION_EXPIRED. */
  readonly reason: RaftErrorCode | 'SESSION_EXPIRED' | 'INTERNAL';
  readonly message: string;
  /** The peer that leads, when known and another. */
  readonly leader?: string | undefined;
};

/** A request that certainly was not proposed. */
export function notProposed(failure: Omit<Failure, 'outcome'>): Failure {
  return { outcome: 'notProposed', ...failure };
}

/** The request itself is wrong; repeating it cannot help. */
export function invalid(message: string): Failure {
  return notProposed({ status: status.INVALID_ARGUMENT, reason: 'EINVAL', message });
}

/** A bound of this server is reached; later it may work. */
export function exhausted(reason: 'EBUSY' | 'ENOSPC', message: string): Failure {
  return notProposed({ status: status.RESOURCE_EXHAUSTED, reason, message });
}

/** This node does not lead: go to `leader`, or come back when there is one. */
export function notLeader(leader: string | undefined): Failure {
  if (leader === undefined) {
    const message = 'no leader is known now; try again';
    return notProposed({ status: status.UNAVAILABLE, reason: 'EAGAIN', message });
  }
  const message = `not the leader; the leader is ${leader}`;
  return notProposed({ status: status.FAILED_PRECONDITION, reason: 'EPERM', message, leader });
}

export const SESSION_EXPIRED: Failure = notProposed({
  status: status.FAILED_PRECONDITION,
  reason: 'SESSION_EXPIRED',
  message: 'the session is unknown or has forgotten this serial: register another one',
});

export const WRITE_TIMED_OUT: Failure = {
  outcome: 'unknown',
  status: status.UNKNOWN,
  reason: 'ETIMEDOUT',
  message: 'the deadline passed after the write was proposed: it may still happen',
};

export const TOO_LATE: Failure = notProposed({
  status: status.DEADLINE_EXCEEDED,
  reason: 'ETIMEDOUT',
  message: 'the deadline has passed',
});

export const STOPPING: Failure = notProposed({
  status: status.UNAVAILABLE,
  reason: 'ESHUTDOWN',
  message: 'the server is stopping',
});

/** The state machine did not see an entry that the node says was applied. */
export const LOST_ANSWER: Failure = {
  outcome: 'unknown',
  status: status.UNKNOWN,
  reason: 'EIO',
  message: 'the write was committed but its answer is lost',
};

const EXHAUSTED: ReadonlySet<RaftErrorCode> = new Set(['EBUSY', 'ENOSPC', 'ETRANSFERLEADERSHIP']);

/** What a failed proposal means. What is no RaftError may have happened anywhere on the way. */
export function failureOfWrite(error: unknown, leader: string | undefined): Failure {
  if (!(error instanceof RaftError)) {
    const message = 'internal error';
    return { outcome: 'unknown', status: status.UNKNOWN, reason: 'INTERNAL', message };
  }
  const { code: reason, message } = error;
  if (error.outcome === 'unknown') {
    return { outcome: 'unknown', status: status.UNKNOWN, reason, message, leader };
  }
  if (EXHAUSTED.has(reason)) {
    return notProposed({ status: status.RESOURCE_EXHAUSTED, reason, message });
  }
  if (reason === 'EREADONLY') {
    return notProposed({ status: status.FAILED_PRECONDITION, reason, message });
  }
  if (reason === 'EPERM' && leader !== undefined) {
    return notProposed({ status: status.FAILED_PRECONDITION, reason, message, leader });
  }
  return notProposed({ status: status.UNAVAILABLE, reason, message });
}

/** What a failed read means: it never changes anything, so it may always be repeated. */
export function failureOfRead(error: unknown, leader: string | undefined): Failure {
  const failure = failureOfWrite(error, leader);
  if (failure.outcome === 'notProposed') return failure;
  return { ...failure, outcome: 'notProposed', status: status.UNAVAILABLE };
}

/** The failure as it goes into a batch's result and into the trailer. */
export function detailOf(failure: Failure): OutcomeDetail {
  const { outcome, message, reason, leader } = failure;
  return {
    outcome:
      outcome === 'unknown'
        ? OutcomeDetail_Outcome.OUTCOME_UNKNOWN
        : OutcomeDetail_Outcome.OUTCOME_NOT_PROPOSED,
    status: failure.status,
    message,
    reason,
    leader,
  };
}

/** The failure as a gRPC error with its trailer. */
export function grpcErrorOf(failure: Failure): StatusObject {
  const metadata = new Metadata();
  const detail = OutcomeDetail.encode(detailOf(failure)).finish();
  metadata.set(OUTCOME_TRAILER, Buffer.from(detail));
  return { code: failure.status, details: failure.message, metadata };
}
