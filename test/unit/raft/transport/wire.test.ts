import { describe, expect, it } from '@jest/globals';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import * as wire from '../../../../proto/gen/raft/v1/raft.ts';
import { Lineage } from '../../../../server/raft/core/ids.ts';
import type { Message } from '../../../../server/raft/core/message.ts';
import { recordOf } from '../../../../server/raft/encoding/record.ts';
import { FrameDecoder } from '../../../../server/raft/transport/frame-decoder.ts';
import { FrameEncoder } from '../../../../server/raft/transport/frame-encoder.ts';
import type { AddressedMessage } from '../../../../server/raft/transport/transport.ts';
import { anyAddressed, messagesByType } from '../../../support/message-arbitraries.ts';
import { addressed, append, heartbeat, peerId } from '../../../support/transport-host.ts';

const A = peerId('127.0.0.1:21000');
const B = peerId('127.0.0.1:21001');

function received(bytes: Uint8Array) {
  const frame = new FrameDecoder().decode(bytes);
  return { ...frame, messages: frame.batches.flatMap(({ messages }) => messages) };
}

/** The message without the cached records, which are no part of its meaning. */
function plain({ message, ...address }: AddressedMessage): unknown {
  if (message.type !== 'appendRequest') return { ...address, message };
  const entries = message.entries.map((entry) =>
    entry.kind === 'data'
      ? { kind: entry.kind, id: entry.id, data: Buffer.from(entry.data).toString('hex') }
      : { kind: entry.kind, id: entry.id },
  );
  return { ...address, message: { ...message, entries } };
}

describe('a message on the wire', () => {
  it.each(Object.entries(messagesByType))('comes back as it was: %s', (_, arbitrary) => {
    const encoder = new FrameEncoder();
    fc.assert(
      fc.property(arbitrary as fc.Arbitrary<Message>, (message) => {
        const sent = { group: 'g', clusterId: 'c', lineage: Lineage('l'), message };
        const { messages, malformed } = received(encoder.encode({ messages: [sent] }));
        expect(malformed).toEqual([]);
        expect(messages.map(plain)).toEqual([plain(sent)]);
      }),
      { numRuns: 200 },
    );
  });

  it('shares a frame with others of any group, kind and direction', () => {
    const encoder = new FrameEncoder();
    const byPair = (list: readonly AddressedMessage[]): Map<string, unknown[]> => {
      const pairs = new Map<string, unknown[]>();
      for (const each of list) {
        const key = pairOf(each);
        pairs.set(key, [...(pairs.get(key) ?? []), plain(each)]);
      }
      return pairs;
    };
    fc.assert(
      fc.property(fc.array(anyAddressed, { maxLength: 12 }), (sent) => {
        const { messages, malformed } = received(encoder.encode({ messages: sent }));
        expect(malformed).toEqual([]);
        // The order between two nodes of one group is kept.
        expect(byPair(messages)).toEqual(byPair(sent));
      }),
      { numRuns: 200 },
    );
  });

  it('has the bytes that the generated code would make', () => {
    fc.assert(
      fc.property(anyAddressed, (sent) => {
        const bytes = new FrameEncoder().encode({ messages: [sent] });
        const parsed = wire.ExchangeRequest.decode(bytes);
        expect(Buffer.from(wire.ExchangeRequest.encode(parsed).finish())).toEqual(bytes);
      }),
      { numRuns: 300 },
    );
  });

  it('carries entries as their storage records', () => {
    const message = append(A, B, 7, 100);
    const bytes = new FrameEncoder().encode({ messages: [addressed(message)] });
    const entry = message.type === 'appendRequest' ? message.entries[0] : undefined;
    expect(entry).toBeDefined();
    if (entry !== undefined) expect(bytes.includes(Buffer.from(recordOf(entry)))).toBe(true);
    const [back] = received(bytes).messages;
    const copy = back?.message.type === 'appendRequest' ? back.message.entries[0] : undefined;
    expect(copy?.record?.buffer).toBe(bytes.buffer);
  });

  it('writes the envelope of many messages once', () => {
    const encode = (count: number): number =>
      new FrameEncoder().encode({
        messages: Array.from({ length: count }, (_, round) =>
          addressed(heartbeat(A, B, round + 1)),
        ),
      }).length;
    expect(encode(11) - encode(1)).toBeLessThanOrEqual(10 * 10);
  });
});

function pairOf({ group, message }: AddressedMessage): string {
  return `${group} ${message.from} ${message.to}`;
}

const HEARTBEAT = { commitIndex: 0, round: 1, transferId: 0 };
const ENVELOPE = {
  group: 'g',
  clusterId: 'c',
  lineage: 'l',
  from: A as string,
  fromIncarnation: 'i',
  to: B as string,
  toIncarnation: undefined,
};

function frameWith(
  body: wire.PeerMessage['body'],
  { term = 3, ...envelope }: Partial<wire.PeerBatch> & { readonly term?: number } = {},
): Uint8Array {
  const good: wire.PeerMessage = {
    term: 3,
    body: { $case: 'heartbeatRequest', heartbeatRequest: HEARTBEAT },
  };
  const batch = { ...ENVELOPE, ...envelope, messages: [{ term, body }, good] };
  const other = { ...ENVELOPE, messages: [good] };
  return wire.ExchangeRequest.encode({ hello: undefined, batches: [batch, other] }).finish();
}

function appendBody(records: Uint8Array, previousTerm = 3): wire.PeerMessage['body'] {
  const previous = { term: previousTerm, index: 6 };
  return { $case: 'appendRequest', appendRequest: { previous, commitIndex: 0, records } };
}

function recordsWith(change: (records: Uint8Array) => Uint8Array): Uint8Array {
  const message = append(A, B, 7, 100);
  const [entry] = message.type === 'appendRequest' ? message.entries : [];
  return change(entry === undefined ? new Uint8Array() : Uint8Array.from(recordOf(entry)));
}

function flipped(records: Uint8Array, at: number): Uint8Array {
  records[at] = (records[at] ?? 0) ^ 1;
  return records;
}

const heartbeatBody: wire.PeerMessage['body'] = {
  $case: 'heartbeatRequest',
  heartbeatRequest: HEARTBEAT,
};
const idAt = (index: number): wire.LogId => ({ term: 1, index });

describe('a message that is not valid', () => {
  it.each<[string, wire.PeerMessage['body'], Parameters<typeof frameWith>[1]?]>([
    ['a negative term', heartbeatBody, { term: -1 }],
    ['no known kind', undefined],
    [
      'a missing log id',
      {
        $case: 'appendRequest',
        appendRequest: { previous: undefined, commitIndex: 0, records: new Uint8Array() },
      },
    ],
    [
      'a negative index',
      {
        $case: 'installSnapshotResponse',
        installSnapshotResponse: { accepted: true, matchIndex: -5 },
      },
    ],
    [
      'a negative round',
      { $case: 'heartbeatRequest', heartbeatRequest: { ...HEARTBEAT, round: -1 } },
    ],
    [
      'an append response without outcome',
      { $case: 'appendResponse', appendResponse: { readonly: false } },
    ],
    [
      'an append refusal without hint',
      { $case: 'appendResponse', appendResponse: { readonly: false, previousIndex: 4 } },
    ],
    ['a flipped bit in a record header', appendBody(recordsWith((bytes) => flipped(bytes, 3)))],
    ['a flipped bit in a payload', appendBody(recordsWith((bytes) => flipped(bytes, 60)))],
    ['a record cut short', appendBody(recordsWith((bytes) => bytes.subarray(0, 50)))],
    [
      'zeros after the last record',
      appendBody(recordsWith((bytes) => Buffer.concat([bytes, Buffer.alloc(24)]))),
    ],
    [
      'an entry of an older term than the one before',
      appendBody(
        recordsWith((bytes) => bytes),
        4,
      ),
      { term: 9 },
    ],
    [
      'an entry of a newer term than the leader',
      appendBody(
        recordsWith((bytes) => bytes),
        1,
      ),
      { term: 2 },
    ],
    [
      'no snapshot meta',
      { $case: 'installSnapshotRequest', installSnapshotRequest: { meta: undefined, copyId: 'x' } },
    ],
    [
      'no copy id',
      {
        $case: 'installSnapshotRequest',
        installSnapshotRequest: {
          meta: wire.InstallSnapshotRequest.fromPartial({
            meta: { lastIncludedIndex: 1, lastIncludedTerm: 1 },
          }).meta,
          copyId: '',
        },
      },
    ],
    [
      'a hostile member in a snapshot meta',
      {
        $case: 'installSnapshotRequest',
        installSnapshotRequest: {
          meta: wire.InstallSnapshotRequest.fromPartial({
            meta: { lastIncludedIndex: 1, lastIncludedTerm: 1, peers: ['../x'] },
          }).meta,
          copyId: 'x',
        },
      },
    ],
    [
      'a disrupted leader that is no peer',
      {
        $case: 'voteRequest',
        voteRequest: {
          preVote: true,
          triggered: false,
          lastLog: idAt(1),
          disrupted: { leader: 'x', term: 1 },
        },
      },
    ],
  ])('is dropped and named, the others stay: %s', (_, body, envelope = {}) => {
    const { messages, malformed } = received(frameWith(body, envelope));
    expect(malformed).toHaveLength(1);
    expect(malformed[0]).not.toBe('');
    expect(messages).toHaveLength(2);
  });

  it.each<[string, Partial<wire.PeerBatch>]>([
    ['no group', { group: '' }],
    ['a group of 257 letters', { group: 'g'.repeat(257) }],
    ['a sender that is no peer id', { from: 'localhost' }],
    ['a sender not in canonical form', { from: '127.0.0.1:21000' }],
    ['a receiver with a witness role above 1', { to: '127.0.0.1:21001:0:7' }],
    ['no sender incarnation', { fromIncarnation: '' }],
    ['an empty lineage', { lineage: '' }],
    ['a huge receiver incarnation', { toIncarnation: 'x'.repeat(1_000) }],
  ])('is dropped with its whole batch, the other batch stays: %s', (_, envelope) => {
    const { messages, malformed } = received(frameWith(heartbeatBody, envelope));
    expect(malformed).toHaveLength(1);
    expect(messages).toHaveLength(1);
  });

  it('never becomes a throw, whatever the bytes', () => {
    const good = new FrameEncoder().encode({ messages: [addressed(append(A, B, 7, 40))] });
    const decoder = new FrameDecoder();
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, length) => {
        const bytes = Buffer.from(good.subarray(0, length));
        if (at < bytes.length) bytes[at] = byte;
        expect(() => decoder.decode(bytes)).not.toThrow();
      }),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => decoder.decode(bytes)).not.toThrow();
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['batches', '', '1200'],
    ['messages of one batch', '12', '4200'],
    ['nodes in a greeting', '0a', '1a00'],
  ])('is refused whole when it is made of very many empty %s', (_, within, part) => {
    const parts = Buffer.from(part.repeat(200_000), 'hex');
    const length = new BinaryWriter().uint32(parts.length).finish();
    const head = within === '' ? [] : [Buffer.from(within, 'hex'), length];
    const bytes = Buffer.concat([...head, parts]);
    const { batches, hello, malformed } = received(bytes);
    expect(malformed).toEqual(['a frame of too many parts']);
    expect({ batches, hello }).toEqual({ batches: [], hello: undefined });
  });

  it('is not read on after many faults', () => {
    const { malformed } = received(Buffer.from('1200'.repeat(1_000), 'hex'));
    expect(malformed).toHaveLength(64);
  });

  it('is named when an integer does not fit a safe one', () => {
    // field 2 (batches) > field 8 (messages) > field 1 (term) = 2^63 - 1
    const bytes = Buffer.from('120c420a08ffffffffffffffff7f', 'hex');
    const { messages, malformed } = received(bytes);
    expect(messages).toEqual([]);
    expect(malformed).toHaveLength(1);
  });
});
