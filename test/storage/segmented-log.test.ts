import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import type { LogEntry } from '../../server/raft/core/entry.ts';
import { LogIndex, Term } from '../../server/raft/core/ids.ts';
import { createPrng } from '../../server/raft/core/prng.ts';
import { RaftError } from '../../server/raft/error.ts';
import { openStorage, type OpenStorage } from '../../server/raft/storage/open-storage.ts';
import { SegmentedLog } from '../../server/raft/storage/segmented-log.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

const OPTIONS = { segmentBytesMax: 300, sync: true };

function entry(index: number, term: number, text = `entry ${String(index)} of ${String(term)}`) {
  const id = { index: LogIndex(index), term: Term(term) };
  return { kind: 'data', id, data: new TextEncoder().encode(text) } satisfies LogEntry;
}

async function textsOf(log: SegmentedLog): Promise<string[]> {
  const texts: string[] = [];
  const { firstIndex, lastIndex } = log.recovered;
  for (let from = firstIndex; from <= lastIndex; from = LogIndex(from + 1)) {
    const entries = await log.read({ from, to: from, bytesMax: 1 });
    const [found] = entries ?? [];
    if (found?.kind === 'data') texts.push(new TextDecoder().decode(found.data));
  }
  return texts;
}

/** Appends, cuts and appends again; `acknowledged` is the log as it was last promised. */
async function script(log: SegmentedLog, promise: (texts: string[]) => void): Promise<void> {
  const texts: string[] = [];
  const append = async (count: number, term: number): Promise<void> => {
    const first = texts.length + 1;
    const entries = Array.from({ length: count }, (_, at) => entry(first + at, term));
    await log.write({ entries });
    texts.push(...entries.map(({ data }) => new TextDecoder().decode(data)));
    promise([...texts]);
  };
  for (let i = 0; i < 6; i++) await append(3, 2);
  await log.write({ truncateFrom: LogIndex(8), entries: [] });
  texts.length = 7;
  promise([...texts]);
  for (let i = 0; i < 4; i++) await append(2, 3);
}

describe('the segmented log on a disk that loses what was not synced', () => {
  it('keeps what was acknowledged, and revives nothing that was cut, at every crash point', async () => {
    const whole = new SimulatedDisk();
    await script(await SegmentedLog.open(whole, '/log', OPTIONS), () => undefined);
    const points = whole.operations;
    expect(points).toBeGreaterThan(50);
    for (let point = 1; point <= points; point++) {
      const { disk, before, running } = await crashAt(point);
      const prng = createPrng(point);
      disk.crash(() => prng.next());
      disk.fault = undefined;
      const log = await SegmentedLog.open(disk, '/log', OPTIONS);
      const found = await textsOf(log);
      expect(isCorrect(found, before, running)).toBe(true);
      await log.close();
    }
  }, 60_000);

  it('opens with a prefix when the open segment ends at any byte of its last records', async () => {
    const disk = new SimulatedDisk();
    const log = await SegmentedLog.open(disk, '/log', { ...OPTIONS, segmentBytesMax: 4_096 });
    for (let index = 1; index <= 5; index++) await log.write({ entries: [entry(index, 2)] });
    const path = '/log/log_inprogress_00000000000000000001';
    const bytes = disk.contents(path);
    const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
    for (let cut = 0; cut <= end; cut++) {
      const torn = new SimulatedDisk();
      torn.plant('/log/log_meta', disk.contents('/log/log_meta'));
      torn.plant(path, bytes.slice(0, cut));
      const reopened = await SegmentedLog.open(torn, '/log', OPTIONS);
      const texts = await textsOf(reopened);
      expect(texts).toEqual(texts.map((_, at) => `entry ${String(at + 1)} of 2`));
      await reopened.write({ entries: [entry(texts.length + 1, 3)] });
      await reopened.close();
    }
  });

  it('a flipped bit never gives another state: the log is right, shorter or refused', async () => {
    const disk = new SimulatedDisk();
    const log = await SegmentedLog.open(disk, '/log', OPTIONS);
    for (let index = 1; index <= 14; index++) await log.write({ entries: [entry(index, 2)] });
    const right = Array.from({ length: 14 }, (_, at) => `entry ${String(at + 1)} of 2`);
    for (const name of await disk.list('/log')) {
      if (name.endsWith('.tmp')) continue;
      const bits = disk.contents(`/log/${name}`).length * 8;
      for (let bit = 0; bit < bits; bit += 7) {
        const copy = disk.durableCopy();
        copy.flipBit(`/log/${name}`, bit);
        const texts = await openedTexts(copy);
        if (texts !== undefined) expect(right.slice(0, texts.length)).toEqual(texts);
      }
    }
  }, 60_000);

  it('after a failed sync nothing is acknowledged and the file is not synced again', async () => {
    const disk = new SimulatedDisk();
    const log = await SegmentedLog.open(disk, '/log', OPTIONS);
    await log.write({ entries: [entry(1, 2)] });
    let syncs = 0;
    disk.fault = ({ type, path }) => {
      if (type !== 'sync' || !path.includes('inprogress')) return undefined;
      syncs++;
      return 'EIO';
    };
    await expect(log.write({ entries: [entry(2, 2)] })).rejects.toThrow(RaftError);
    await expect(log.write({ entries: [entry(3, 2)] })).rejects.toThrow(RaftError);
    expect(syncs).toBe(1);
  });

  it.each([1, 65_535, 65_536, 199_000])(
    'makes zero what a crash left behind the records, %i bytes further as well',
    async (distance) => {
      const disk = new SimulatedDisk();
      const log = await SegmentedLog.open(disk, '/log', { ...OPTIONS, segmentBytesMax: 200_000 });
      await log.write({ entries: [entry(1, 2)] });
      const path = '/log/log_inprogress_00000000000000000001';
      const records = disk.contents(path);
      const end = records.findLastIndex((byte) => byte !== 0) + 1;
      disk.flipBit(path, 8 * (end + distance));
      await SegmentedLog.open(disk, '/log', OPTIONS);
      expect(Buffer.compare(disk.contents(path), records)).toBe(0);
    },
  );

  it('a short log damaged in its first record is refused once it was closed or opened again', async () => {
    const disk = new SimulatedDisk();
    const log = await SegmentedLog.open(disk, '/log', OPTIONS);
    for (let index = 1; index <= 3; index++) await log.write({ entries: [entry(index, 2)] });
    await log.close();
    disk.flipBit('/log/log_inprogress_00000000000000000001', 30 * 8);
    await expect(SegmentedLog.open(disk, '/log', OPTIONS)).rejects.toThrow(/is damaged at offset/);
  });

  it('refuses to open when entries that were durable are gone', async () => {
    const disk = new SimulatedDisk();
    const log = await SegmentedLog.open(disk, '/log', OPTIONS);
    for (let index = 1; index <= 30; index++) await log.write({ entries: [entry(index, 2)] });
    await log.close();
    const closed = (await disk.list('/log')).filter((name) => /^log_\d{20}_/.test(name));
    expect(closed.length).toBeGreaterThan(2);
    await disk.remove(`/log/${closed[1] ?? ''}`);
    await expect(SegmentedLog.open(disk, '/log', OPTIONS)).rejects.toThrow(/segment is missing/);
  });
});

describe('data directories written by braft', () => {
  it.each(['log-only', 'log-only.peer1', 'snapshot-and-log', 'snapshot-and-log.peer1'])(
    '%s opens with its terms, configuration and snapshot',
    async (name) => {
      const disk = new SimulatedDisk();
      const files = [
        'log/log_meta',
        'raft_meta/raft_meta',
        ...(name.startsWith('log-only')
          ? ['log/log_inprogress_00000000000000000001']
          : [
              'log/log_inprogress_00000000000000000012',
              'snapshot/snapshot_00000000000000000015/__raft_snapshot_meta',
              'snapshot/snapshot_00000000000000000015/data',
            ]),
      ];
      for (const file of files) {
        disk.plant(`/data/${file}`, readFileSync(`test/fixtures/braft-data/${name}/${file}`));
      }
      const storage = await open(disk);
      const { recovered } = storage.log;
      expect(recovered.lastIndex).toBeGreaterThan(recovered.firstIndex);
      expect(storage.meta.recovered.term).toBeGreaterThanOrEqual(2);
      expect(storage.identity.current().joined).toBe(true);
      const all = { from: recovered.firstIndex, to: recovered.lastIndex, bytesMax: 1_000_000 };
      const entries = await storage.log.read(all);
      expect(entries).toHaveLength(recovered.lastIndex - recovered.firstIndex + 1);
      if (name.startsWith('snapshot')) {
        expect(storage.snapshots.recovered?.lastIncluded.index).toBe(15);
      } else {
        expect(recovered.configurations[0]?.configuration.voters.size).toBe(3);
      }
      await storage.close();
    },
  );
});

function open(disk: SimulatedDisk): Promise<OpenStorage> {
  return openStorage(disk, {
    ...{ dataPath: '/data', group: 'Atomic', peer: '127.0.0.1:8300:0:0' },
    drawIncarnation: () => 'disk',
  });
}

/** Runs the script until the disk dies at its `point`th operation. */
async function crashAt(point: number): Promise<{
  readonly disk: SimulatedDisk;
  readonly before: readonly string[];
  /** What the log is to be after the operation under way; empty at the end of the script. */
  readonly running: readonly (readonly string[])[];
}> {
  const states: string[][] = [[]];
  const whole = new SimulatedDisk();
  await script(await SegmentedLog.open(whole, '/log', OPTIONS), (texts) => states.push(texts));
  const disk = new SimulatedDisk({
    fault: ({ ordinal }) => (ordinal >= point ? 'EIO' : undefined),
  });
  let acknowledged = 0;
  try {
    const log = await SegmentedLog.open(disk, '/log', OPTIONS);
    await script(log, () => acknowledged++);
  } catch (error) {
    if (!(error instanceof RaftError)) throw error;
  }
  const before = states[acknowledged] ?? [];
  return { disk, before, running: states.slice(acknowledged + 1, acknowledged + 2) };
}

/**
 * The log as last acknowledged, or somewhere on the way to what the operation under way makes of it:
 * appends arrive in order, a cut takes entries from the end.
 */
function isCorrect(
  found: readonly string[],
  before: readonly string[],
  running: readonly (readonly string[])[],
): boolean {
  const [after = before] = running;
  const longer = after.length > before.length ? after : before;
  const shortest = Math.min(before.length, after.length);
  const isPrefix = found.every((text, at) => text === longer[at]);
  return isPrefix && found.length >= shortest && found.length <= longer.length;
}

async function openedTexts(disk: SimulatedDisk): Promise<string[] | undefined> {
  try {
    const log = await SegmentedLog.open(disk, '/log', OPTIONS);
    // A later first index without a snapshot is refused when the node starts (braft 5.6).
    return log.recovered.firstIndex === 1 ? await textsOf(log) : undefined;
  } catch (error) {
    if (error instanceof RaftError) return undefined;
    throw error;
  }
}
