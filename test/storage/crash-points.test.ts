import { describe, expect, it } from '@jest/globals';
import type { HardState } from '../../server/raft/core/event.ts';
import { Incarnation, Lineage, LogIndex, Term } from '../../server/raft/core/ids.ts';
import type { SnapshotMeta } from '../../server/raft/core/message.ts';
import { checksumText, crc32c } from '../../server/raft/encoding/crc32c.ts';
import type { FileSystem } from '../../server/raft/storage/file-system.ts';
import { openIdentity } from '../../server/raft/storage/identity-file.ts';
import type { IdentityStorage } from '../../server/raft/storage/identity-storage.ts';
import { openRaftMeta } from '../../server/raft/storage/raft-meta-file.ts';
import { SnapshotDirectory } from '../../server/raft/storage/snapshot-directory.ts';
import { peer } from '../support/core-cluster.ts';
import { crashes } from '../support/crash-points.ts';

/** Larger than what a disk writes in one piece, and different for each index. */
function contentAt(index: number): Uint8Array {
  return Uint8Array.from({ length: 5_000 }, (_, at) => (at * index) % 251);
}

function metaAt(index: number): SnapshotMeta {
  const configuration = { voters: new Set([peer('a')]), learners: new Set<never>() };
  return {
    lastIncluded: { index: LogIndex(index), term: Term(2) },
    configuration: {
      configuration: { ...configuration, incarnations: new Map() },
      ...{ fence: 0, operations: [], formatVersion: 1 },
    },
    configurationIndex: LogIndex(0),
  };
}

async function save(snapshots: SnapshotDirectory, disk: FileSystem, index: number): Promise<void> {
  await snapshots.save(metaAt(index), async (writer) => {
    const file = await disk.open(`${writer.path}/data`, 'create');
    file.writeNow(contentAt(index), 0);
    await file.close();
    writer.addFile('data');
  });
}

async function install(snapshots: SnapshotDirectory, index: number): Promise<void> {
  const bytes = contentAt(index);
  const file = { name: 'data', size: bytes.length, checksum: checksumText(crc32c(bytes)) };
  const receiver = await snapshots.receive(metaAt(index), [file]);
  await receiver.write(file, 0, bytes);
  await receiver.finish();
  await snapshots.commitReceived(metaAt(index));
}

/** The index of the newest snapshot after a restart, which must be whole; 0: there is none. */
async function recoveredIndex(disk: FileSystem): Promise<number> {
  const snapshots = await SnapshotDirectory.open(disk, '/data/snapshot');
  const reader = await snapshots.open();
  if (reader === undefined) return 0;
  const { index } = reader.meta.lastIncluded;
  expect(await reader.read('data', 0, 10_000)).toEqual(contentAt(index));
  await reader.close();
  return index;
}

describe('after a crash at any operation', () => {
  it('the vote is the last one promised, or the one under way', async () => {
    const states: HardState[] = [
      { term: Term(1), votedFor: undefined, votedIncarnation: undefined },
      { term: Term(2), votedFor: peer('a'), votedIncarnation: Incarnation('disk a') },
      { term: Term(3), votedFor: undefined, votedIncarnation: undefined },
      { term: Term(3), votedFor: peer('b'), votedIncarnation: undefined },
    ];
    for await (const { disk, acknowledged } of crashes(async (disk, acknowledge) => {
      const meta = await openRaftMeta(disk, '/data/raft_meta', 0);
      for (const state of states.slice(1)) {
        await meta.save(state);
        acknowledge();
      }
    })) {
      const { recovered } = await openRaftMeta(disk, '/data/raft_meta', 0);
      expect(states.slice(acknowledged, acknowledged + 2)).toContainEqual(recovered);
    }
  });

  it('the identity is the one drawn, with every change that was promised', async () => {
    const open = (disk: FileSystem, incarnation: string): Promise<IdentityStorage> =>
      openIdentity(disk, '/', {
        ...{ group: 'Test', peer: peer('a'), clusterId: '', hasData: false },
        drawIncarnation: () => incarnation,
      });
    const changes = [{ lineage: Lineage('line') }, { bound: true }, { clusterId: 'cluster' }];
    for await (const { disk, acknowledged } of crashes(async (disk, acknowledge) => {
      const identity = await open(disk, 'first');
      acknowledge();
      for (const change of changes) {
        await identity.update(change);
        acknowledge();
      }
    })) {
      const found = (await open(disk, 'second')).current();
      if (acknowledged === 0) continue;
      expect(found.incarnation).toBe('first');
      for (const change of changes.slice(0, acknowledged - 1)) expect(found).toMatchObject(change);
      for (const change of changes.slice(acknowledged)) expect(found).not.toMatchObject(change);
    }
  });

  it('the newest snapshot is the last one saved, or the one under way, and whole', async () => {
    const indexes = [0, 7, 9, 12];
    for await (const { disk, acknowledged } of crashes(async (disk, acknowledge) => {
      const snapshots = await SnapshotDirectory.open(disk, '/data/snapshot');
      for (const index of indexes.slice(1)) {
        await save(snapshots, disk, index);
        acknowledge();
      }
    })) {
      expect(indexes.slice(acknowledged, acknowledged + 2)).toContain(await recoveredIndex(disk));
    }
  });

  it('the newest snapshot is the own one, or the one installed, and whole', async () => {
    const indexes = [0, 7, 20, 31];
    for await (const { disk, acknowledged } of crashes(async (disk, acknowledge) => {
      const snapshots = await SnapshotDirectory.open(disk, '/data/snapshot');
      await save(snapshots, disk, 7);
      acknowledge();
      for (const index of [20, 31]) {
        await install(snapshots, index);
        acknowledge();
      }
    })) {
      expect(indexes.slice(acknowledged, acknowledged + 2)).toContain(await recoveredIndex(disk));
    }
  });
});
