import * as braft from '../../../proto/gen/braft/storage.ts';
import { Incarnation, LogIndex, Term } from '../core/ids.ts';
import type { PeerId } from '../core/ids.ts';
import type { ConfigurationOperation, ConfigurationRecord } from '../core/membership.ts';
import type { SnapshotMeta } from '../core/message.ts';
import { parsePeerId } from '../core/peer-id.ts';
import { RaftError } from '../error.ts';

/** The part of a configuration that braft knows, and ours beside it. */
type ConfigurationFields = Pick<braft.ConfigurationPBMeta, 'peers' | 'oldPeers' | 'extension'>;

/**
 * A configuration as the payload of its log entry (braft ConfigurationPBMeta). Members are sorted,
 * so equal configurations give equal bytes; what braft lacks is written only where it is in use.
 */
export function encodeConfiguration(record: ConfigurationRecord): Uint8Array {
  return braft.ConfigurationPBMeta.encode(fieldsOf(record)).finish();
}

/**
 * Reads the payload of a CONFIGURATION entry.
 *
 * @throws RaftError EIO when it is no configuration.
 */
export function decodeConfiguration(payload: Uint8Array): ConfigurationRecord {
  return recordFrom(decoded(() => braft.ConfigurationPBMeta.decode(payload), 'a configuration'));
}

/** A snapshot's meta as braft's message, for `__raft_snapshot_meta` and for InstallSnapshot. */
export function snapshotMetaToMessage(meta: SnapshotMeta): braft.SnapshotMeta {
  return {
    lastIncludedIndex: meta.lastIncluded.index,
    lastIncludedTerm: meta.lastIncluded.term,
    ...fieldsOf(meta.configuration),
    // Absent in braft's own files, where it reads as 0.
    configurationIndex: meta.configurationIndex === 0 ? undefined : meta.configurationIndex,
  };
}

/** @throws RaftError EIO when a required field is missing or a member is no peer id. */
export function snapshotMetaFromMessage(message: braft.SnapshotMeta): SnapshotMeta {
  const { lastIncludedIndex: index, lastIncludedTerm: term } = message;
  if (index === undefined || term === undefined) {
    throw unreadable('a snapshot meta', 'its last included index or term is missing');
  }
  const { configurationIndex = 0 } = message;
  return {
    lastIncluded: ranged(() => ({ term: Term(term), index: LogIndex(index) })),
    configuration: recordFrom(message),
    configurationIndex: ranged(() => LogIndex(configurationIndex)),
  };
}

function fieldsOf(record: ConfigurationRecord): ConfigurationFields {
  const { configuration } = record;
  return {
    peers: [...configuration.voters].sort(),
    oldPeers: [...(configuration.outgoing ?? [])].sort(),
    extension: extensionOf(record),
  };
}

function extensionOf(record: ConfigurationRecord): braft.ConfigurationExtension | undefined {
  const { configuration, fence, operations, formatVersion } = record;
  const { learners, incarnations } = configuration;
  const plain = learners.size === 0 && incarnations.size === 0 && operations.length === 0;
  if (plain && fence === 0 && formatVersion === 0) return undefined;
  return {
    learners: [...learners].sort(),
    incarnations: [...incarnations]
      .map(([peer, incarnation]) => ({ peer, incarnation }))
      .sort((a, b) => (a.peer < b.peer ? -1 : 1)),
    fence,
    operations: operations.map(({ id, oldVoters, newVoters }) => ({
      id,
      oldPeers: [...oldVoters],
      newPeers: [...newVoters],
    })),
    formatVersion,
  };
}

function recordFrom({ peers, oldPeers, extension }: ConfigurationFields): ConfigurationRecord {
  const bound = extension?.incarnations ?? [];
  return {
    configuration: {
      voters: peerSet(peers),
      ...(oldPeers.length > 0 && { outgoing: peerSet(oldPeers) }),
      learners: peerSet(extension?.learners ?? []),
      incarnations: new Map(
        bound.map(({ peer, incarnation }) => [peerFrom(peer), Incarnation(incarnation)]),
      ),
    },
    fence: extension?.fence ?? 0,
    operations: (extension?.operations ?? []).map(operationFrom),
    formatVersion: extension?.formatVersion ?? 0,
  };
}

function operationFrom(operation: braft.MembershipOperation): ConfigurationOperation {
  const { id, oldPeers, newPeers } = operation;
  return { id, oldVoters: oldPeers.map(peerFrom), newVoters: newPeers.map(peerFrom) };
}

function peerSet(texts: readonly string[]): ReadonlySet<PeerId> {
  const peers = new Set(texts.map(peerFrom));
  if (peers.size < texts.length) {
    throw unreadable('a configuration', 'a member is listed twice');
  }
  return peers;
}

function peerFrom(text: string): PeerId {
  const parsed = parsePeerId(text);
  if (!parsed.ok) throw unreadable('a configuration', parsed.reason);
  return parsed.peer;
}

function decoded<T>(decode: () => T, what: string): T {
  try {
    return decode();
  } catch (cause) {
    throw unreadable(what, 'it is no valid message', cause);
  }
}

function ranged<T>(make: () => T): T {
  return decoded(make, 'a snapshot meta');
}

function unreadable(what: string, why: string, cause?: unknown): RaftError {
  return new RaftError('EIO', `cannot read ${what}: ${why}`, { cause });
}
