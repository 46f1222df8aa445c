import { describe, expect, it } from '@jest/globals';
import type { ServiceError } from '@grpc/grpc-js';
import { Metadata, status } from '@grpc/grpc-js';
import { RAFT_ERROR_NUMBERS } from '../../../../server/raft/core/refusal.ts';
import type { RaftErrorCode } from '../../../../server/raft/error.ts';
import { RaftError } from '../../../../server/raft/error.ts';
import {
  grpcErrorOf,
  grpcStatusOf,
  raftErrorFrom,
} from '../../../../server/raft/transport/grpc-status.ts';

const CODES = Object.keys(RAFT_ERROR_NUMBERS) as RaftErrorCode[];
/** What a client takes for an unknown outcome. */
const AMBIGUOUS = [status.UNKNOWN, status.DEADLINE_EXCEEDED, status.CANCELLED, status.ABORTED];

describe('the gRPC status of a RaftError', () => {
  it.each(CODES)('is never ambiguous when %s was not proposed', (code) => {
    expect(AMBIGUOUS).not.toContain(grpcStatusOf({ code, outcome: 'notProposed' }));
  });

  it.each(CODES)('is UNKNOWN when the outcome of %s is unknown', (code) => {
    expect(grpcStatusOf({ code, outcome: 'unknown' })).toBe(status.UNKNOWN);
  });

  it.each<[RaftErrorCode, status]>([
    ['EPERM', status.FAILED_PRECONDITION],
    ['EBUSY', status.RESOURCE_EXHAUSTED],
    ['ENOSPC', status.RESOURCE_EXHAUSTED],
    ['EAGAIN', status.UNAVAILABLE],
    ['ESHUTDOWN', status.UNAVAILABLE],
    ['EINVAL', status.INVALID_ARGUMENT],
    ['ENOENT', status.NOT_FOUND],
    ['EACCES', status.PERMISSION_DENIED],
  ])('of %s is %s', (code, expected) => {
    expect(grpcStatusOf({ code, outcome: 'notProposed' })).toBe(expected);
  });

  it('carries name, number, outcome and leader to the caller', () => {
    const sent = new RaftError('EPERM', 'not the leader', {
      outcome: 'unknown',
      leader: '127.0.0.1:8300:0:0',
    });
    const { code, details, metadata } = grpcErrorOf(sent);
    expect(metadata.getMap()).toEqual({
      'raft-error': 'EPERM',
      'raft-error-number': '1',
      'raft-error-outcome': 'unknown',
      'raft-leader': '127.0.0.1:8300:0:0',
    });
    const error: ServiceError = Object.assign(new Error(details), { code, details, metadata });
    const { code: name, number, outcome, leader, message } = raftErrorFrom(error);
    expect({ name, number, outcome, leader, message }).toEqual({
      name: 'EPERM',
      number: 1,
      outcome: 'unknown',
      leader: '127.0.0.1:8300:0:0',
      message: 'not the leader',
    });
  });

  it('tells strangers nothing about a fault of ours', () => {
    const { code, details, metadata } = grpcErrorOf(new TypeError('secret at /some/path'));
    expect([code, details, metadata.getMap()]).toEqual([status.INTERNAL, 'internal error', {}]);
  });

  it.each([
    [status.UNAVAILABLE, 'EHOSTUNREACH'],
    [status.DEADLINE_EXCEEDED, 'ETIMEDOUT'],
  ])('%s without trailers becomes %s of unknown outcome', (code, name) => {
    const fields = { code, details: 'x', metadata: new Metadata() };
    const error: ServiceError = Object.assign(new Error('x'), fields);
    expect(raftErrorFrom(error)).toMatchObject({ code: name, outcome: 'unknown' });
  });
});
