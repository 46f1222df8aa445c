import type { Metadata } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { OutcomeDetail, OutcomeDetail_Outcome } from '../proto/gen/atomic/v1/atomic.ts';
import type { Failure } from './retry.ts';

/** The binary trailer that says whether a failed call was proposed. */
export const OUTCOME_TRAILER = 'atomic-outcome-bin';

/** The end of a gRPC call: a ServiceError or a StatusObject. */
export type CallEnd = {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
};

/** The server turned these away before it looked at the request. */
const NEVER_STARTED: ReadonlySet<number> = new Set([
  status.PERMISSION_DENIED,
  status.UNIMPLEMENTED,
  status.UNAUTHENTICATED,
]);

/** What a detail from the server says about a failed call or batch. */
export function failureOfDetail(detail: OutcomeDetail): Failure {
  const notProposed = detail.outcome === OutcomeDetail_Outcome.OUTCOME_NOT_PROPOSED;
  return {
    outcome: notProposed ? 'notProposed' : 'unknown',
    status: detail.status,
    message: detail.message,
    reason: detail.reason,
    leader: detail.leader,
  };
}

/**
 * What the end of a call says. Without the server's own word the outcome is unknown: a status alone
 * may come from a proxy, from a deadline or from a connection that broke after the request was sent.
 */
export function failureOfCall(end: CallEnd): Failure {
  const detail = outcomeDetail(end.metadata);
  if (detail !== undefined) return { ...failureOfDetail(detail), message: end.details };
  return {
    outcome: NEVER_STARTED.has(end.code) ? 'notProposed' : 'unknown',
    status: end.code,
    message: end.details,
    reason: '',
    connectionLost: !NEVER_STARTED.has(end.code),
  };
}

function outcomeDetail(metadata: Metadata): OutcomeDetail | undefined {
  const [bytes] = metadata.get(OUTCOME_TRAILER);
  return bytes instanceof Buffer ? OutcomeDetail.decode(bytes) : undefined;
}
