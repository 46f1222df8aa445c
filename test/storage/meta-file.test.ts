import { describe, expect, it } from '@jest/globals';
import { RaftError } from '../../server/raft/error.ts';
import { Term } from '../../server/raft/core/ids.ts';
import { loadMetaFile, saveMetaFile } from '../../server/raft/storage/meta-file.ts';
import { openRaftMeta } from '../../server/raft/storage/raft-meta-file.ts';
import { peer } from '../support/core-cluster.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

const MESSAGE = Uint8Array.of(8, 1, 18, 3, 97, 98, 99);

describe('a small file of the log, the vote or a snapshot', () => {
  it('comes back as it was saved', async () => {
    const disk = new SimulatedDisk();
    await disk.makeDirectory('/d');
    await saveMetaFile(disk, '/d/meta', MESSAGE);
    expect(await loadMetaFile(disk, '/d/meta')).toEqual(MESSAGE);
  });

  it("without our checksum is read as braft's", async () => {
    const disk = new SimulatedDisk();
    disk.plant('/d/meta', Uint8Array.of(0, 0, 0, MESSAGE.length, ...MESSAGE));
    expect(await loadMetaFile(disk, '/d/meta')).toEqual(MESSAGE);
  });

  it('never gives another term or vote after a flipped bit', async () => {
    const disk = new SimulatedDisk();
    const meta = await openRaftMeta(disk, '/d', 0);
    const saved = { term: Term(7), votedFor: peer('a'), votedIncarnation: undefined };
    await meta.save(saved);
    const bits = disk.contents('/d/raft_meta').length * 8;
    let refused = 0;
    for (let bit = 0; bit < bits; bit++) {
      const copy = disk.durableCopy();
      copy.flipBit('/d/raft_meta', bit);
      try {
        expect((await openRaftMeta(copy, '/d', 0)).recovered).toEqual(saved);
      } catch (error) {
        if (!(error instanceof RaftError)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(bits * 0.7);
  });
});
