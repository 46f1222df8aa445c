import { Metadata, status } from '@grpc/grpc-js';
import type { ServiceError, StatusObject } from '@grpc/grpc-js';
import { RAFT_ERROR_NUMBERS } from '../core/refusal.ts';
import { RaftError } from '../error.ts';
import type { RaftErrorCode } from '../error.ts';

/** Trailers that carry what a gRPC status cannot. */
export const RAFT_ERROR_TRAILERS = {
  code: 'raft-error',
  number: 'raft-error-number',
  outcome: 'raft-error-outcome',
  leader: 'raft-leader',
} as const;

/**
 * The status of an operation that certainly did not happen. Where the answer may be another later,
 * or elsewhere, it is FAILED_PRECONDITION (go to the leader), RESOURCE_EXHAUSTED (come back) or
 * UNAVAILABLE (this server cannot now); never one that clients take for an unknown outcome.
 */
const STATUS_WHEN_NOT_PROPOSED: Readonly<Record<RaftErrorCode, status>> = {
  EPERM: status.FAILED_PRECONDITION,
  ENOENT: status.NOT_FOUND,
  EINTR: status.UNAVAILABLE,
  EIO: status.UNAVAILABLE,
  EAGAIN: status.UNAVAILABLE,
  EACCES: status.PERMISSION_DENIED,
  EBUSY: status.RESOURCE_EXHAUSTED,
  EEXIST: status.ALREADY_EXISTS,
  EINVAL: status.INVALID_ARGUMENT,
  ENOSPC: status.RESOURCE_EXHAUSTED,
  ERANGE: status.OUT_OF_RANGE,
  ENODATA: status.NOT_FOUND,
  ESHUTDOWN: status.UNAVAILABLE,
  ETIMEDOUT: status.UNAVAILABLE,
  EHOSTDOWN: status.UNAVAILABLE,
  EHOSTUNREACH: status.UNAVAILABLE,
  ESTALE: status.FAILED_PRECONDITION,
  ECANCELED: status.FAILED_PRECONDITION,
  ERAFTTIMEDOUT: status.UNAVAILABLE,
  ESTATEMACHINE: status.UNAVAILABLE,
  ECATCHUP: status.FAILED_PRECONDITION,
  ELEADERREMOVED: status.FAILED_PRECONDITION,
  ESETPEER: status.FAILED_PRECONDITION,
  ENODESHUTDOWN: status.UNAVAILABLE,
  EHIGHERTERMREQUEST: status.FAILED_PRECONDITION,
  EHIGHERTERMRESPONSE: status.FAILED_PRECONDITION,
  EBADNODE: status.UNAVAILABLE,
  EVOTEFORCANDIDATE: status.FAILED_PRECONDITION,
  ENEWLEADER: status.FAILED_PRECONDITION,
  ELEADERCONFLICT: status.FAILED_PRECONDITION,
  ETRANSFERLEADERSHIP: status.RESOURCE_EXHAUSTED,
  ELOGDELETED: status.OUT_OF_RANGE,
  ENOMOREUSERLOG: status.OUT_OF_RANGE,
  EREADONLY: status.FAILED_PRECONDITION,
};

/** The gRPC status of a failure; UNKNOWN, which no proxy retries, when it may have happened. */
export function grpcStatusOf(error: Pick<RaftError, 'code' | 'outcome'>): status {
  return error.outcome === 'unknown' ? status.UNKNOWN : STATUS_WHEN_NOT_PROPOSED[error.code];
}

/** A failure as gRPC reports it. What is no RaftError becomes INTERNAL without details. */
export function grpcErrorOf(error: unknown): StatusObject {
  const metadata = new Metadata();
  if (!(error instanceof RaftError)) {
    return { code: status.INTERNAL, details: 'internal error', metadata };
  }
  metadata.set(RAFT_ERROR_TRAILERS.code, error.code);
  metadata.set(RAFT_ERROR_TRAILERS.number, String(error.number));
  metadata.set(RAFT_ERROR_TRAILERS.outcome, error.outcome);
  if (error.leader !== undefined) metadata.set(RAFT_ERROR_TRAILERS.leader, error.leader);
  return { code: grpcStatusOf(error), details: error.message, metadata };
}

/** The RaftError behind a failed call; a broken connection becomes EHOSTUNREACH or ETIMEDOUT. */
export function raftErrorFrom(error: ServiceError): RaftError {
  const code = trailer(error, RAFT_ERROR_TRAILERS.code);
  const leader = trailer(error, RAFT_ERROR_TRAILERS.leader);
  if (code !== undefined && isRaftErrorCode(code)) {
    const outcome = trailer(error, RAFT_ERROR_TRAILERS.outcome);
    return new RaftError(code, error.details, {
      outcome: outcome === 'unknown' ? 'unknown' : 'notProposed',
      leader,
      cause: error,
    });
  }
  const timedOut = error.code === status.DEADLINE_EXCEEDED;
  const fallback = timedOut ? 'ETIMEDOUT' : 'EHOSTUNREACH';
  return new RaftError(fallback, error.message, { outcome: 'unknown', cause: error });
}

function trailer(error: ServiceError, key: string): string | undefined {
  const [value] = error.metadata.get(key);
  return typeof value === 'string' ? value : undefined;
}

function isRaftErrorCode(text: string): text is RaftErrorCode {
  return Object.hasOwn(RAFT_ERROR_NUMBERS, text);
}
