import { describe, expect, it } from '@jest/globals';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicStateMachine } from '../../server/atomic/state-machine.ts';
import { applyData } from '../support/atomic-node.ts';
import { SnapshotFolder } from '../support/snapshot-folder.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/braft-data');
const HEADER_BYTES = 24;
const DATA_ENTRY = 2;

/** The data of all DATA entries in a log folder, by braft's record header. */
async function dataEntries(folder: string): Promise<Uint8Array[]> {
  const entries: Uint8Array[] = [];
  const segments = (await readdir(folder)).filter(
    (name) => name.startsWith('log_') && name !== 'log_meta',
  );
  for (const segment of segments.sort()) {
    const bytes = await readFile(join(folder, segment));
    for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
      const type = bytes.readUInt8(at + 8);
      const length = bytes.readUInt32BE(at + 12);
      if (type === 0) break;
      const start = at + HEADER_BYTES;
      if (type === DATA_ENTRY) entries.push(bytes.subarray(start, start + length));
      at = start + length;
    }
  }
  return entries;
}

async function newestSnapshot(folder: string): Promise<string | undefined> {
  const names = await readdir(folder).catch(() => []);
  const newest = names
    .filter((name) => name.startsWith('snapshot_'))
    .sort()
    .at(-1);
  return newest === undefined ? undefined : join(folder, newest);
}

describe("data directories of braft's example", () => {
  it.each([
    ['log-only', 'log-only'],
    ['log-only.peer1', 'log-only'],
    ['snapshot-and-log', 'snapshot-and-log'],
    ['snapshot-and-log.peer1', 'snapshot-and-log'],
  ])('%s gives the values that braft answered', async (directory, expectation) => {
    const machine = new AtomicStateMachine();
    const folder = join(FIXTURES, directory);
    const snapshot = await newestSnapshot(join(folder, 'snapshot'));
    if (snapshot !== undefined) {
      await using scratch = await SnapshotFolder.create();
      await machine.onSnapshotLoad(await scratch.reader(15, snapshot));
    }
    for (const [at, data] of (await dataEntries(join(folder, 'log'))).entries()) {
      expect(applyData(machine, 100 + at, data)).toBeUndefined();
    }
    const expected = await readFile(join(FIXTURES, `${expectation}.expected`), 'utf8');
    const lines = expected.trim().split('\n');
    const found = lines.map((line) => {
      const [id = ''] = line.split(' ');
      return `${id} ${machine.state.counters.get(BigInt(id)) ?? 0n}`;
    });
    expect(found).toEqual(lines);
  });
});
