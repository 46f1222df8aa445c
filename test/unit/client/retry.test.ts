import { describe, expect, it } from '@jest/globals';
import { status } from '@grpc/grpc-js';
import {
  backoffMs,
  decide,
  FAILURES_MAX,
  SESSION_EXPIRED,
  type Attempt,
  type Decision,
  type Failure,
} from '../../../client/retry.ts';

const read: Attempt = { operation: 'read', failures: 1, maybeDone: false };
const write: Attempt = { ...read, operation: 'write' };
const numbered: Attempt = { ...read, operation: 'numberedWrite' };

const redirect: Failure = {
  outcome: 'notProposed',
  status: status.FAILED_PRECONDITION,
  message: 'not the leader',
  reason: 'EPERM',
  leader: '127.0.0.1:8301:0:0',
};
const noLeader: Failure = { ...redirect, leader: undefined, status: status.UNAVAILABLE };
const busy: Failure = { ...noLeader, status: status.RESOURCE_EXHAUSTED, reason: 'EBUSY' };
const lost: Failure = { ...noLeader, outcome: 'unknown', status: status.UNKNOWN };
const broken: Failure = { ...lost, status: status.UNAVAILABLE, connectionLost: true };
const deadline: Failure = { ...lost, status: status.DEADLINE_EXCEEDED };
const cancelled: Failure = { ...lost, status: status.CANCELLED };
const denied: Failure = { ...noLeader, status: status.PERMISSION_DENIED };
const expired: Failure = { ...noLeader, reason: SESSION_EXPIRED };

const retryAt = (at: string, more: object = {}) => ({ type: 'retry', at, ...more });
const giveUp = (code: string, outcome: string) => ({ type: 'giveUp', code, outcome });

const TABLE: [string, Attempt, Failure, object][] = [
  ['a redirect is followed at once', write, redirect, retryAt('namedLeader', { afterMs: 0 })],
  [
    'many redirects in a row are followed slowly',
    { ...write, failures: 5 },
    redirect,
    retryAt('namedLeader', { afterMs: 48 }),
  ],
  ['without a leader the search begins', write, noLeader, retryAt('anyLeader')],
  ['a busy server is asked again', write, busy, retryAt('sameServer')],
  ['a lost write is never repeated', write, lost, giveUp('lostLeadership', 'unknown')],
  [
    'a write on a broken stream is never repeated',
    write,
    broken,
    giveUp('connectionLost', 'unknown'),
  ],
  [
    'a write past its deadline is never repeated',
    write,
    deadline,
    giveUp('lostLeadership', 'unknown'),
  ],
  ['a cancelled write is never repeated', write, cancelled, giveUp('lostLeadership', 'unknown')],
  [
    'an unknown outcome that names a leader is not repeated either',
    write,
    { ...lost, leader: 'x:1' },
    giveUp('lostLeadership', 'unknown'),
  ],
  ['a read with unknown outcome is repeated', read, lost, retryAt('anyLeader')],
  [
    'a read on a broken stream is repeated at once',
    read,
    broken,
    retryAt('anyLeader', { afterMs: 0 }),
  ],
  [
    'a numbered write with unknown outcome is repeated',
    numbered,
    lost,
    retryAt('anyLeader', { newSession: false }),
  ],
  [
    'a numbered write on a broken stream is repeated',
    numbered,
    broken,
    retryAt('anyLeader', { newSession: false }),
  ],
  ['what is denied is not repeated', write, denied, giveUp('refused', 'notProposed')],
  [
    'a denied read has no effect',
    read,
    { ...denied, outcome: 'unknown' },
    giveUp('refused', 'notProposed'),
  ],
  [
    'a denied repeat leaves the first attempt unknown',
    { ...numbered, maybeDone: true },
    denied,
    giveUp('refused', 'unknown'),
  ],
  [
    'an expired session is renewed',
    numbered,
    expired,
    retryAt('sameServer', { newSession: true, afterMs: 0 }),
  ],
  [
    'an expired session after an unknown attempt ends it',
    { ...numbered, maybeDone: true },
    expired,
    giveUp('sessionExpired', 'unknown'),
  ],
  [
    'retries are bounded',
    { ...read, failures: FAILURES_MAX },
    noLeader,
    giveUp('timeout', 'notProposed'),
  ],
];

describe('decide', () => {
  it.each(TABLE)('%s', (_, attempt, failure, expected) => {
    expect(decide(attempt, failure, 0.5)).toMatchObject(expected);
  });

  it('never repeats a plain write unless it was certainly not proposed', () => {
    const statuses = Object.values(status).filter((value) => typeof value === 'number');
    const decisions: Decision[] = statuses.flatMap((code) =>
      [false, true].map((connectionLost) =>
        decide(write, { ...lost, status: code, connectionLost }, 0.5),
      ),
    );
    expect(decisions.map(({ type }) => type)).not.toContain('retry');
    expect(decisions).toHaveLength(2 * statuses.length);
  });
});

describe('backoffMs', () => {
  it('grows, is bounded and is spread over half of its range', () => {
    expect([1, 2, 3].map((failures) => backoffMs(failures, 0))).toEqual([2, 4, 8]);
    expect([1, 2, 3].map((failures) => backoffMs(failures, 1))).toEqual([4, 8, 16]);
    expect(backoffMs(1_000_000, 1)).toBe(100);
  });
});
