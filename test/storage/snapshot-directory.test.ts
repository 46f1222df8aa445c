import { describe, expect, it } from '@jest/globals';
import { LogIndex, Term } from '../../server/raft/core/ids.ts';
import type { SnapshotMeta } from '../../server/raft/core/message.ts';
import { checksumText, crc32c } from '../../server/raft/encoding/crc32c.ts';
import { SnapshotDirectory } from '../../server/raft/storage/snapshot-directory.ts';
import type { SnapshotFile } from '../../server/raft/storage/snapshot-storage.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

const CONTENT = Uint8Array.from({ length: 600_000 }, (_, at) => at % 251);
const FILE: SnapshotFile = {
  name: 'data',
  size: CONTENT.length,
  checksum: checksumText(crc32c(CONTENT)),
};

function metaAt(index: number): SnapshotMeta {
  return {
    lastIncluded: { index: LogIndex(index), term: Term(2) },
    configuration: {
      configuration: { voters: new Set(), learners: new Set(), incarnations: new Map() },
      fence: 0,
      operations: [],
      formatVersion: 1,
    },
    configurationIndex: LogIndex(0),
  };
}

async function save(snapshots: SnapshotDirectory, disk: SimulatedDisk, index: number) {
  await snapshots.save(metaAt(index), async (writer) => {
    const file = await disk.open(`${writer.path}/data`, 'create');
    file.writeNow(CONTENT, 0);
    await file.close();
    writer.addFile('data');
  });
}

/** Receives the first `bytes` of the file, and finishes if that is all. */
async function receive(snapshots: SnapshotDirectory, index: number, bytes = CONTENT.length) {
  const receiver = await snapshots.receive(metaAt(index), [FILE]);
  await receiver.write(FILE, 0, CONTENT.subarray(0, bytes));
  await (bytes === CONTENT.length ? receiver.finish() : receiver.abandon());
}

async function incoming(disk: SimulatedDisk): Promise<readonly string[]> {
  return (await disk.list('/s')).filter((name) => name.startsWith('incoming_'));
}

describe('the folder of snapshots', () => {
  it('lists and verifies the checksum of a file of several chunks', async () => {
    const disk = new SimulatedDisk();
    await save(await SnapshotDirectory.open(disk, '/s'), disk, 7);
    const reader = await (await SnapshotDirectory.open(disk, '/s')).open();
    expect(reader?.files).toEqual([FILE]);
    disk.flipBit('/s/snapshot_00000000000000000007/data', 8 * 500_000);
    await expect(SnapshotDirectory.open(disk, '/s')).rejects.toThrow(/its checksum does not match/);
  });

  it('installs what was checked on arrival without reading it again', async () => {
    const disk = new SimulatedDisk();
    const snapshots = await SnapshotDirectory.open(disk, '/s');
    await receive(snapshots, 7);
    let reads = 0;
    disk.fault = ({ type }) => {
      if (type === 'read') reads++;
      return undefined;
    };
    await snapshots.commitReceived(metaAt(7));
    expect(reads).toBe(0);
    expect((await snapshots.open())?.files).toEqual([FILE]);
  });

  it('installs nothing that was not finished', async () => {
    const disk = new SimulatedDisk();
    const snapshots = await SnapshotDirectory.open(disk, '/s');
    await receive(snapshots, 7, 100);
    await expect(snapshots.commitReceived(metaAt(7))).rejects.toThrow(/not received completely/);
    await receive(snapshots, 8);
    await expect(snapshots.commitReceived(metaAt(7))).rejects.toThrow(/not received completely/);
    expect(snapshots.lastIndex()).toBe(0);
  });

  it('takes no more writes once it was finished', async () => {
    const snapshots = await SnapshotDirectory.open(new SimulatedDisk(), '/s');
    const receiver = await snapshots.receive(metaAt(7), [FILE]);
    await receiver.write(FILE, 0, CONTENT);
    await receiver.finish();
    await expect(receiver.write(FILE, 0, Uint8Array.of(1))).rejects.toThrow(/is complete/);
  });

  it('another download removes what came of an older one', async () => {
    const disk = new SimulatedDisk();
    const snapshots = await SnapshotDirectory.open(disk, '/s');
    await receive(snapshots, 7, 100);
    await receive(snapshots, 12, 100);
    expect(await incoming(disk)).toEqual(['incoming_12_2']);
  });

  it('keeps for a resumed copy only the newest download beyond the snapshot that is here', async () => {
    const disk = new SimulatedDisk();
    for (const index of [8, 9, 10]) {
      disk.plant(`/s/incoming_${String(index)}_2/data`, CONTENT.subarray(0, 100));
    }
    const reopened = await SnapshotDirectory.open(disk, '/s');
    expect(await incoming(disk)).toEqual(['incoming_10_2']);
    const receiver = await reopened.receive(metaAt(10), [FILE]);
    expect(await receiver.receivedBytes(FILE)).toBe(100);
    await receiver.abandon();
    await save(reopened, disk, 10);
    await SnapshotDirectory.open(disk, '/s');
    expect(await incoming(disk)).toEqual([]);
  });
});
