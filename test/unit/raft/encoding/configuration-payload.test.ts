import { describe, expect, it } from '@jest/globals';
import * as braft from '../../../../proto/gen/braft/storage.ts';
import { LogIndex, Term } from '../../../../server/raft/core/ids.ts';
import { parsePeers } from '../../../../server/raft/core/peer-id.ts';
import {
  decodeConfiguration,
  encodeConfiguration,
  snapshotMetaFromMessage,
  snapshotMetaToMessage,
} from '../../../../server/raft/encoding/configuration-payload.ts';

const parsed = parsePeers('127.0.0.1:8400,127.0.0.1:8401,127.0.0.1:8402,127.0.0.1:8403');
if (!parsed.ok) throw new Error(parsed.reason);

const record = {
  configuration: { voters: parsed.peers, learners: new Set<never>(), incarnations: new Map() },
  fence: 0,
  operations: [],
  formatVersion: 0,
};
const meta = {
  lastIncluded: { index: LogIndex(7), term: Term(2) },
  configuration: record,
  configurationIndex: LogIndex(0),
};
/** The inner message of a `__raft_snapshot_meta` that the real braft wrote. */
const BRAFT_META = `08071002${[...parsed.peers]
  .map((peer) => `1a12${Buffer.from(peer).toString('hex')}`)
  .join('')}`;

describe('snapshotMetaToMessage', () => {
  it("gives braft's bytes", () => {
    const bytes = braft.SnapshotMeta.encode(snapshotMetaToMessage(meta)).finish();
    expect(Buffer.from(bytes).toString('hex')).toBe(BRAFT_META);
  });
});

describe('snapshotMetaFromMessage', () => {
  it("reads braft's bytes", () => {
    const message = braft.SnapshotMeta.decode(Buffer.from(BRAFT_META, 'hex'));
    expect(snapshotMetaFromMessage(message)).toEqual(meta);
  });

  it('keeps the index of the configuration', () => {
    const known = { ...meta, configurationIndex: LogIndex(5) };
    expect(snapshotMetaFromMessage(snapshotMetaToMessage(known))).toEqual(known);
  });

  it.each([
    ['no index', { lastIncludedTerm: 1 }],
    ['no term', { lastIncludedIndex: 1 }],
    ['a negative index', { lastIncludedIndex: -1, lastIncludedTerm: 1 }],
    ['a member twice', { lastIncludedIndex: 1, lastIncludedTerm: 1, peers: ['a:1', 'A:1:0'] }],
  ])('refuses %s', (_, fields) => {
    const message = braft.SnapshotMeta.fromPartial(fields);
    expect(() => snapshotMetaFromMessage(message)).toThrow(/cannot read/);
  });
});

describe('decodeConfiguration', () => {
  it('skips fields it does not know', () => {
    const bytes = Buffer.concat([encodeConfiguration(record), Buffer.from('9a060161', 'hex')]);
    expect(decodeConfiguration(bytes)).toEqual(record);
  });
});
