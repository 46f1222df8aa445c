import fc from 'fast-check';
import type { LogEntry } from '../../server/raft/core/entry.ts';
import { Incarnation, Lineage, LogIndex, Term } from '../../server/raft/core/ids.ts';
import type { LogId, PeerId } from '../../server/raft/core/ids.ts';
import type { ConfigurationRecord } from '../../server/raft/core/membership.ts';
import type { AppendRequest, Message, SnapshotMeta } from '../../server/raft/core/message.ts';
import type { AddressedMessage } from '../../server/raft/transport/transport.ts';
import { peerId } from './transport-host.ts';

const NUMBER_MAX = Number.MAX_SAFE_INTEGER - 64;

const number = fc.oneof(
  fc.nat(300),
  fc.integer({ min: 0, max: NUMBER_MAX }),
  fc.constantFrom(0, 127, 128, 16_383, 16_384, 2 ** 32 - 1, 2 ** 32, 2 ** 52, NUMBER_MAX),
);
const term = number.map(Term);
const index = number.map(LogIndex);
const logId: fc.Arbitrary<LogId> = fc.record({ term, index });
const text = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });
const peer: fc.Arbitrary<PeerId> = fc
  .tuple(
    fc.constantFrom('127.0.0.1', 'atomic-0.atomic.default.svc', '[::1]', '[fd00::1:2]'),
    fc.integer({ min: 1, max: 65_535 }),
    fc.nat(3),
  )
  .map(([host, port, ordinal]) => peerId(`${host}:${port}:${ordinal}`));
const peers = fc.uniqueArray(peer, { minLength: 1, maxLength: 5 }).map((list) => new Set(list));
const incarnation = text.map(Incarnation);

const ends = fc.record({
  term,
  from: peer,
  fromIncarnation: incarnation,
  to: peer,
  toIncarnation: fc.option(incarnation, { nil: undefined }),
});

type Ends = typeof ends extends fc.Arbitrary<infer Value> ? Value : never;

const disrupted = fc.oneof(
  fc.constant({}),
  fc.record({ disrupted: fc.record({ leader: peer, term }) }),
);

const configuration: fc.Arbitrary<ConfigurationRecord> = fc
  .record({
    voters: peers,
    outgoing: fc.option(peers, { nil: undefined }),
    learners: peers,
    bound: fc.array(fc.tuple(peer, incarnation), { maxLength: 3 }),
    fence: number,
    formatVersion: fc.nat(5),
    operations: fc.array(
      fc.record({ id: text, oldVoters: fc.array(peer), newVoters: fc.array(peer) }),
      { maxLength: 2 },
    ),
  })
  .map(({ voters, outgoing, learners, bound, fence, formatVersion, operations }) => ({
    configuration: {
      voters,
      ...(outgoing !== undefined && { outgoing }),
      learners,
      incarnations: new Map(bound),
    },
    fence,
    formatVersion,
    operations,
  }));

const meta: fc.Arbitrary<SnapshotMeta> = fc.record({
  lastIncluded: logId,
  configuration,
  configurationIndex: index,
});

/** Appends as a leader makes them: consecutive, terms never falling, none above its own. */
const appendRequest: fc.Arbitrary<AppendRequest> = fc
  .record({
    ends,
    previousIndex: index,
    previousTerm: fc.nat(5),
    commitIndex: index,
    steps: fc.array(fc.tuple(fc.nat(1), fc.option(fc.uint8Array({ maxLength: 300 }))), {
      maxLength: 6,
    }),
  })
  .map(({ ends: both, previousIndex, previousTerm, commitIndex, steps }) => {
    let entryTerm = previousTerm;
    const entries = steps.map(([step, data], ordinal): LogEntry => {
      entryTerm += step;
      const id = { term: Term(entryTerm), index: LogIndex(previousIndex + 1 + ordinal) };
      return data === null ? { kind: 'noOp', id } : { kind: 'data', id, data };
    });
    return {
      type: 'appendRequest',
      ...both,
      term: Term(Math.max(both.term, entryTerm)),
      previous: { term: Term(previousTerm), index: previousIndex },
      commitIndex,
      entries,
    };
  });

const appendOutcome = fc.oneof(
  fc.record({ accepted: fc.constant(true as const), matchIndex: index }),
  fc.record({ accepted: fc.constant(false as const), previousIndex: index, hint: logId }),
);

function kind<Type extends Message['type'], Fields>(
  type: Type,
  fields: fc.Arbitrary<Fields>,
): fc.Arbitrary<{ type: Type } & Ends & Fields> {
  return fc.tuple(ends, fields).map(([both, rest]) => ({ type, ...both, ...rest }));
}

/** Every kind of message, by its type. */
export const messagesByType = {
  appendRequest,
  appendResponse: kind(
    'appendResponse',
    fc.record({ outcome: appendOutcome, readonly: fc.boolean() }),
  ),
  heartbeatRequest: kind(
    'heartbeatRequest',
    fc.record({ commitIndex: index, round: number, transferId: number }),
  ),
  heartbeatResponse: kind(
    'heartbeatResponse',
    fc.record({
      round: number,
      transferId: number,
      readonly: fc.boolean(),
      installing: fc.boolean(),
    }),
  ),
  voteRequest: kind(
    'voteRequest',
    fc
      .tuple(
        fc.record({ preVote: fc.boolean(), lastLog: logId, triggered: fc.boolean() }),
        disrupted,
      )
      .map(([fields, more]) => ({ ...fields, ...more })),
  ),
  voteResponse: kind(
    'voteResponse',
    fc
      .tuple(
        fc.record({
          preVote: fc.boolean(),
          requestTerm: term,
          granted: fc.boolean(),
          rejectedByLease: fc.boolean(),
        }),
        disrupted,
      )
      .map(([fields, more]) => ({ ...fields, ...more })),
  ),
  installSnapshotRequest: kind(
    'installSnapshotRequest',
    fc.record({ meta, copyId: fc.stringMatching(/^[0-9a-f]{32}$/) }),
  ),
  installSnapshotResponse: kind(
    'installSnapshotResponse',
    fc.record({ accepted: fc.boolean(), matchIndex: index }),
  ),
  timeoutNow: kind('timeoutNow', fc.record({ transferId: number })),
} satisfies { readonly [Type in Message['type']]: fc.Arbitrary<Extract<Message, { type: Type }>> };

/** A message of any kind with its address. */
export const anyAddressed: fc.Arbitrary<AddressedMessage> = fc.record({
  group: text,
  clusterId: fc.oneof(fc.constant(''), text),
  lineage: fc.option(text.map(Lineage), { nil: undefined }),
  message: fc.oneof(...Object.values(messagesByType)),
});
