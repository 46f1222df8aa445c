import { describe, expect, it } from '@jest/globals';
import { Incarnation, Lineage, LogIndex, Term } from '../../../../server/raft/core/ids.ts';
import type { Message } from '../../../../server/raft/core/message.ts';
import { checkMessage } from '../../../../server/raft/node/peer-gate.ts';
import type { Identity } from '../../../../server/raft/storage/identity-storage.ts';
import type { AddressedMessage } from '../../../../server/raft/transport/transport.ts';
import { peer } from '../../../support/core-cluster.ts';

const own = Incarnation('disk-a');
const identity: Identity = {
  clusterId: 'one',
  group: 'Test',
  peer: peer('a'),
  incarnation: own,
  lineage: Lineage('first'),
  bound: true,
  joined: true,
  reset: undefined,
  prepared: undefined,
  formatVersion: 1,
};
const fresh: Identity = {
  ...identity,
  clusterId: '',
  lineage: undefined,
  bound: false,
  joined: false,
};
const ends = (to: Incarnation | undefined) => ({
  term: Term(3),
  from: peer('stranger'),
  fromIncarnation: Incarnation('disk-s'),
  to: peer('a'),
  toIncarnation: to,
});
const append = (to: Incarnation | undefined = own): Message => ({
  ...ends(to),
  type: 'heartbeatRequest',
  commitIndex: LogIndex(0),
  round: 1,
  transferId: 0,
});
const vote = (to: Incarnation | undefined = own): Message => ({
  ...ends(to),
  type: 'voteRequest',
  preVote: false,
  lastLog: { term: Term(1), index: LogIndex(1) },
  triggered: false,
});
const addressed = (
  message: Message,
  changes: Partial<AddressedMessage> = {},
): AddressedMessage => ({
  group: 'Test',
  clusterId: 'one',
  lineage: Lineage('first'),
  message,
  ...changes,
});
const other = Lineage('second');

describe('checkMessage', () => {
  it.each<[string, Identity, AddressedMessage, string]>([
    ['another cluster', identity, addressed(append(), { clusterId: 'two' }), 'clusterMismatch'],
    ['another history', identity, addressed(append(), { lineage: other }), 'lineageMismatch'],
    [
      'a vote of another history',
      identity,
      addressed(vote(), { lineage: other }),
      'lineageMismatch',
    ],
    ['another disk', identity, addressed(append(Incarnation('x'))), 'incarnationMismatch'],
    [
      'no disk, once bound',
      identity,
      addressed({ ...vote(), toIncarnation: undefined }),
      'incarnationMismatch',
    ],
    [
      'another disk, never bound',
      fresh,
      addressed(append(Incarnation('x'))),
      'incarnationMismatch',
    ],
  ])('refuses what means %s', (_, disk, message, reason) => {
    expect(checkMessage(disk, message)).toEqual({ type: 'refuse', reason });
  });

  it.each<[string, Identity, AddressedMessage]>([
    ['a stranger: membership of the sender is not checked', identity, addressed(append())],
    ['a vote request of a stranger', identity, addressed(vote())],
    ['a sender that has no history yet', identity, addressed(vote(), { lineage: undefined })],
    ['a sender that has no cluster yet', identity, addressed(vote(), { clusterId: '' })],
    ['a vote for a disk that was never bound', fresh, addressed(vote())],
  ])('passes %s', (_, disk, message) => {
    expect(checkMessage(disk, message)).toEqual({ type: 'pass' });
  });

  it('a leader that addresses a fresh disk gives it cluster and history and makes it a member', () => {
    expect(checkMessage(fresh, addressed(append()))).toEqual({
      type: 'passAfter',
      change: { clusterId: 'one', lineage: 'first', bound: true, joined: true },
    });
  });

  it('a leader that does not know the disk gives it the history, but no voice', () => {
    const message = { ...append(), toIncarnation: undefined };
    expect(checkMessage(fresh, addressed(message))).toEqual({
      type: 'passAfter',
      change: { clusterId: 'one', lineage: 'first' },
    });
  });
});
