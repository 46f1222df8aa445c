import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { LogEntry } from '../../../../server/raft/core/entry.ts';
import { Incarnation, LogIndex, Term } from '../../../../server/raft/core/ids.ts';
import type { ConfigurationRecord } from '../../../../server/raft/core/membership.ts';
import { parsePeers } from '../../../../server/raft/core/peer-id.ts';
import { crc32c } from '../../../../server/raft/encoding/crc32c.ts';
import { murmurHash3 } from '../../../../server/raft/encoding/murmur-hash3.ts';
import {
  decodeRecords,
  RECORD_HEADER_BYTES,
  recordBytes,
  recordOf,
} from '../../../../server/raft/encoding/record.ts';

const hex = (text: string): Uint8Array =>
  new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const concatenated = (...parts: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(Buffer.concat(parts));
const id = (term: number, index: number): LogEntry['id'] => ({
  term: Term(term),
  index: LogIndex(index),
});

function peers(text: string): ConfigurationRecord['configuration']['voters'] {
  const parsed = parsePeers(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.peers;
}

const configuration: ConfigurationRecord = {
  configuration: {
    voters: peers('127.0.0.1:8400,127.0.0.1:8401,127.0.0.1:8402'),
    learners: new Set(),
    incarnations: new Map(),
  },
  fence: 0,
  operations: [],
  formatVersion: 0,
};

/** Records as the real braft wrote them. */
const BRAFT: readonly [string, LogEntry, string][] = [
  [
    'a configuration of three peers',
    { kind: 'configuration', id: id(2, 1), configuration },
    `0000000000000002 03010000 0000003c 751235c1 88e7ccb2
     ${[0, 1, 2].map((n) => `0a12${toHex(Buffer.from(`127.0.0.1:840${n}:0:0`))}`).join('')}`,
  ],
  [
    'a compare-exchange with zeros',
    { kind: 'data', id: id(2, 2), data: hex('03 0805 1000 1809') },
    '0000000000000002 02010000 00000007 886e8efe bbaed6f6 03 0805 1000 1809',
  ],
  [
    'a get',
    { kind: 'data', id: id(2, 3), data: hex('01 0805') },
    '0000000000000002 02010000 00000003 6dc0e6a0 b0f9b691 01 0805',
  ],
  [
    'a compare-exchange',
    { kind: 'data', id: id(2, 4), data: hex('03 0805 1001 1803') },
    '0000000000000002 02010000 00000007 46cd34b8 96e29ce6 03 0805 1001 1803',
  ],
  [
    'an exchange',
    { kind: 'data', id: id(2, 5), data: hex('02 0806 1004') },
    '0000000000000002 02010000 00000005 eafa5a02 a685c395 02 0806 1004',
  ],
];

/** A record with header fields of one's choice and right checksums. */
function crafted(fields: {
  readonly kind?: number;
  readonly checksumType?: number;
  readonly reserved?: number;
  readonly termHigh?: number;
  readonly payload?: Uint8Array;
}): Uint8Array {
  const { kind = 2, checksumType = 1, reserved = 0, termHigh = 0 } = fields;
  const payload = fields.payload ?? hex('010203');
  const checksum = checksumType === 0 ? murmurHash3 : (bytes: Uint8Array) => crc32c(bytes);
  const record = new Uint8Array(RECORD_HEADER_BYTES + payload.length);
  const view = new DataView(record.buffer);
  view.setUint32(0, termHigh);
  view.setUint32(4, 7);
  view.setUint32(8, (kind << 24) | (checksumType << 16) | reserved);
  view.setUint32(12, payload.length);
  view.setUint32(16, checksum(payload));
  view.setUint32(20, checksum(record.subarray(0, 20)));
  record.set(payload, RECORD_HEADER_BYTES);
  return record;
}

const anEntry = fc
  .record({ term: fc.maxSafeNat(), data: fc.uint8Array({ maxLength: 300 }), noOp: fc.boolean() })
  .map(({ term, data, noOp }): LogEntry => {
    return noOp ? { kind: 'noOp', id: id(term, 1) } : { kind: 'data', id: id(term, 1), data };
  });

describe('recordOf', () => {
  it.each(BRAFT)("writes braft's bytes of %s", (_, entry, record) => {
    expect(toHex(recordOf({ ...entry }))).toBe(toHex(hex(record)));
  });

  it('makes the bytes once', () => {
    const entry: LogEntry = { kind: 'noOp', id: id(1, 1) };
    expect(recordOf(entry)).toBe(recordOf(entry));
    expect(recordBytes(entry)).toBe(RECORD_HEADER_BYTES);
  });

  it('knows the size before the bytes are made', () => {
    for (const [, entry] of BRAFT) {
      const fresh = { ...entry };
      expect(recordBytes(fresh)).toBe(recordOf(fresh).length);
    }
  });
});

describe('decodeRecords', () => {
  it.each(BRAFT)("reads braft's bytes of %s", (_, entry, record) => {
    const bytes = hex(record);
    expect(decodeRecords(bytes, entry.id.index)).toEqual([{ ...entry, record: bytes }]);
  });

  it('numbers consecutive records from the first index', () => {
    const all = concatenated(...BRAFT.map(([, , record]) => hex(record)));
    const entries = decodeRecords(all, LogIndex(100));
    expect(entries.map((entry) => entry.id.index)).toEqual([100, 101, 102, 103, 104]);
  });

  it('reads records with the older checksum', () => {
    const record = crafted({ checksumType: 0, payload: hex('0805') });
    expect(decodeRecords(record, LogIndex(1))).toEqual([
      { kind: 'data', id: id(7, 1), data: hex('0805'), record },
    ]);
  });

  it('gives views, not copies', () => {
    const bytes = hex(BRAFT[1]?.[2] ?? '');
    const [entry] = decodeRecords(bytes, LogIndex(1));
    expect(entry?.record?.buffer).toBe(bytes.buffer);
    expect(entry?.kind === 'data' && entry.data.buffer === bytes.buffer).toBe(true);
  });

  it.each([0, 1, 24, 100])('ends at %d zero bytes', (zeros) => {
    const record = crafted({});
    const bytes = concatenated(record, new Uint8Array(zeros));
    expect(decodeRecords(bytes, LogIndex(1))).toHaveLength(1);
  });

  it.each([
    ['an unknown checksum type', crafted({ checksumType: 2 }), /checksum type 2 is unknown/],
    ['an unknown kind', crafted({ kind: 4 }), /entry kind 4 is unknown/],
    ['kind zero', crafted({ kind: 0 }), /entry kind 0 is unknown/],
    ['reserved bits', crafted({ reserved: 1 }), /reserved header bits/],
    ['a no-op with a payload', crafted({ kind: 1 }), /no-op carries a payload/],
    ['a term no number can hold', crafted({ termHigh: 0x200000 }), /term is out of range/],
    ['a configuration of rubbish', crafted({ kind: 3, payload: hex('ff') }), /configuration/],
    ['a member that is none', crafted({ kind: 3, payload: hex('0a0161') }), /not a peer id/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => decodeRecords(bytes, LogIndex(1))).toThrow(message);
  });

  it('returns what was written', () => {
    fc.assert(
      fc.property(fc.array(anEntry), (entries) => {
        const decoded = decodeRecords(concatenated(...entries.map(recordOf)), LogIndex(1));
        expect(decoded).toEqual(
          entries.map((entry, ordinal) => ({ ...entry, id: id(entry.id.term, ordinal + 1) })),
        );
      }),
    );
  });

  it('refuses every flipped bit and every cut', () => {
    fc.assert(
      fc.property(anEntry, fc.nat(), (entry, chance) => {
        const record = recordOf(entry);
        const flipped = record.slice();
        const bit = chance % (record.length * 8);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(() => decodeRecords(flipped, LogIndex(1))).toThrow(/cannot read the record/);
        const cut = record.subarray(0, 1 + (chance % (record.length - 1)));
        if (cut.some((byte) => byte !== 0)) {
          expect(() => decodeRecords(cut, LogIndex(1))).toThrow(/cut short/);
        }
      }),
    );
  });
});

describe('a configuration with all that braft lacks', () => {
  const full: ConfigurationRecord = {
    configuration: {
      voters: peers('a:1,b:1'),
      outgoing: peers('b:1,c:1'),
      learners: peers('d:1'),
      incarnations: new Map([...peers('a:1,b:1')].map((peer) => [peer, Incarnation('x')])),
    },
    fence: 2 ** 52,
    operations: [{ id: 'one', oldVoters: [...peers('b:1,c:1')], newVoters: [] }],
    formatVersion: 3,
  };

  it('comes back whole', () => {
    const entry: LogEntry = { kind: 'configuration', id: id(1, 9), configuration: full };
    expect(decodeRecords(recordOf(entry), LogIndex(9))).toEqual([entry]);
  });

  it('has equal bytes whatever the order of its members', () => {
    const { configuration: inner } = full;
    const turned: ConfigurationRecord = {
      ...full,
      configuration: {
        ...inner,
        voters: new Set([...inner.voters].reverse()),
        incarnations: new Map([...inner.incarnations].reverse()),
      },
    };
    const bytes = [full, turned].map((each) =>
      toHex(recordOf({ kind: 'configuration', id: id(1, 1), configuration: each })),
    );
    expect(bytes[0]).toBe(bytes[1]);
  });
});
