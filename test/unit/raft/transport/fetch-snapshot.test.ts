import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LogIndex, Term } from '../../../../server/raft/core/ids.ts';
import type { SnapshotMeta } from '../../../../server/raft/core/message.ts';
import { systemClock } from '../../../../server/raft/node/clock.ts';
import { nodeFileSystem } from '../../../../server/raft/storage/node-file-system.ts';
import { SnapshotDirectory } from '../../../../server/raft/storage/snapshot-directory.ts';
import { newCopyId } from '../../../../server/raft/transport/copy-id.ts';
import { fetchSnapshot } from '../../../../server/raft/transport/snapshot-copier.ts';
import type { SnapshotCopySource } from '../../../../server/raft/transport/transport.ts';
import { TransportHost } from '../../../support/transport-host.ts';

const META: SnapshotMeta = {
  lastIncluded: { term: Term(3), index: LogIndex(1_000) },
  configuration: {
    configuration: { voters: new Set(), learners: new Set(), incarnations: new Map() },
    fence: 0,
    operations: [],
    formatVersion: 1,
  },
  configurationIndex: LogIndex(0),
};
const LARGE = Buffer.alloc(5_000_000, 'counters ');

let directory = '';

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'atomicraft-fetch-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** A snapshot of an empty and a large file, as its owner offers it. */
async function offeredSnapshot() {
  const storage = await SnapshotDirectory.open(nodeFileSystem, join(directory, 'leader'));
  await storage.save(META, async (writer) => {
    await writeFile(join(writer.path, 'data'), LARGE);
    await writeFile(join(writer.path, 'empty'), '');
    writer.addFile('data');
    writer.addFile('empty');
  });
  const reader = await storage.open();
  if (reader === undefined) throw new Error('the snapshot just saved is not there');
  return reader;
}

describe('fetchSnapshot', () => {
  it('brings a snapshot from one disk to another, going on after it was aborted', async () => {
    await using leader = await TransportHost.start({ port: 21140 });
    await using follower = await TransportHost.start({ port: 21141 });
    const reader = await offeredSnapshot();
    let bytesRead = 0;
    const aborting = new AbortController();
    const source: SnapshotCopySource = {
      files: reader.files,
      read: async (name, offset, bytesMax) => {
        const bytes = await reader.read(name, offset, bytesMax);
        bytesRead += bytes.length;
        if (bytesRead > LARGE.length / 2) aborting.abort();
        return bytes;
      },
    };
    const copyId = newCopyId();
    leader.receiver.copies.set(copyId, source);
    const snapshots = await SnapshotDirectory.open(nodeFileSystem, join(directory, 'follower'));
    const fetch = async (signal: AbortSignal): Promise<void> => {
      const from = { group: 'g', local: follower.peer, peer: leader.peer, copyId };
      const client = follower.transport.openCopy(from);
      await fetchSnapshot({ client, meta: META, snapshots, clock: systemClock, signal }).finally(
        () => {
          client.close();
        },
      );
    };

    await expect(fetch(aborting.signal)).rejects.toMatchObject({ code: 'ECANCELED' });
    const readBefore = bytesRead;
    await fetch(new AbortController().signal);
    expect(bytesRead - readBefore).toBeLessThan(LARGE.length);

    await snapshots.commitReceived(META);
    const copy = await snapshots.open();
    expect(copy?.meta).toEqual(META);
    expect((await readFile(join(copy?.path ?? '', 'data'))).equals(LARGE)).toBe(true);
    expect((await readFile(join(copy?.path ?? '', 'empty'))).length).toBe(0);
    await copy?.close();
    await reader.close();
  });
});
