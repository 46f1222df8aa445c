import { describe, expect, it } from '@jest/globals';
import { initialRecord } from '../../../../server/raft/core/configuration.ts';
import { Lineage, LogIndex, Term } from '../../../../server/raft/core/ids.ts';
import { parsePeerId } from '../../../../server/raft/core/peer-id.ts';
import type { HardState } from '../../../../server/raft/core/event.ts';
import type { Recovered } from '../../../../server/raft/core/recovered.ts';
import { firstLineage, lineageAfterReset } from '../../../../server/raft/node/lineage.ts';
import { silentLogger } from '../../../../server/raft/node/logger.ts';
import type { NodeOptions } from '../../../../server/raft/node/node-options.ts';
import { recover } from '../../../../server/raft/node/node-start.ts';
import type { Identity } from '../../../../server/raft/storage/identity-storage.ts';
import type { LogStorage } from '../../../../server/raft/storage/log-storage.ts';
import type { SnapshotStorage } from '../../../../server/raft/storage/snapshot-storage.ts';
import { diskOf, peer } from '../../../support/core-cluster.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { MemoryNetwork } from '../../../support/memory-transport.ts';

const voters = new Set(['a', 'b', 'c'].map(peer));

type Disk = {
  /** First and last index of the log; every entry has term 3. */
  readonly log?: readonly [first: number, last: number];
  readonly snapshot?: {
    readonly index: number;
    readonly term: number;
    readonly formatVersion?: number;
  };
  readonly identity?: Partial<Identity>;
  readonly initialVoters?: ReadonlySet<ReturnType<typeof peer>>;
  readonly initialState?: 'new' | 'existing';
};

/** Starts from a disk as described, and tells what was done to it. */
async function start(
  disk: Disk,
  self = peer('a'),
): Promise<{
  readonly recovered: Recovered;
  readonly resets: readonly number[];
  readonly identity: Identity;
  readonly saved: readonly HardState[];
}> {
  const resets: number[] = [];
  const saved: HardState[] = [];
  let identity: Identity = {
    clusterId: '',
    group: 'Test',
    peer: self,
    incarnation: diskOf('a'),
    lineage: undefined,
    bound: false,
    joined: false,
    reset: undefined,
    prepared: undefined,
    formatVersion: 1,
    ...disk.identity,
  };
  const options: NodeOptions<string> = {
    stateMachine: { onApply: never },
    storage: {
      log: logOf(disk.log ?? [1, 0], resets),
      meta: {
        recovered: {
          term: Term(disk.log === undefined ? 1 : 3),
          votedFor: undefined,
          votedIncarnation: undefined,
        },
        save: (hardState) => {
          saved.push(hardState);
          return Promise.resolve();
        },
      },
      snapshots: snapshotsOf(disk.snapshot),
      identity: {
        current: () => identity,
        update: (changes) => {
          identity = { ...identity, ...changes };
          return Promise.resolve();
        },
      },
      close: never,
    },
    transport: new MemoryNetwork().transport(),
    clock: new ManualClock(),
    logger: silentLogger,
    seed: 1,
    initialVoters: disk.initialVoters ?? voters,
    ...(disk.initialState !== undefined && { initialState: disk.initialState }),
  };
  const recovered = await recover({ group: 'Test', peer: self, options });
  return { recovered, resets, identity, saved };
}

function never(): never {
  throw new Error('not used here');
}

function logOf([first, last]: readonly [number, number], resets: number[]): LogStorage {
  return {
    recovered: {
      firstIndex: LogIndex(first),
      lastIndex: LogIndex(last),
      termRuns: last < first ? [] : [{ first: LogIndex(first), term: Term(3) }],
      configurations: [],
    },
    reset: (next) => {
      resets.push(next);
      return Promise.resolve();
    },
    write: never,
    read: never,
    truncatePrefix: never,
    hasSpace: () => true,
    durableIndex: () => LogIndex(last),
    close: never,
    [Symbol.asyncDispose]: never,
  };
}

function snapshotsOf(snapshot: Disk['snapshot']): SnapshotStorage {
  const meta = snapshot && {
    lastIncluded: { index: LogIndex(snapshot.index), term: Term(snapshot.term) },
    configuration: { ...initialRecord(voters), formatVersion: snapshot.formatVersion ?? 1 },
    configurationIndex: LogIndex(1),
  };
  return {
    recovered: meta,
    open: never,
    save: never,
    receive: never,
    commitReceived: never,
    lastIndex: () => LogIndex(0),
  };
}

describe('a reset of the peers', () => {
  const reset = { voters: [peer('a')], term: Term(9) };

  it('is in force at the next start, in its term, though the crash came before the term was saved', async () => {
    const { recovered, saved } = await start({ log: [1, 5], identity: { joined: true, reset } });
    expect(recovered.reset).toEqual({ voters: new Set([peer('a')]), term: 9 });
    expect(recovered.hardState).toEqual({ term: 9 });
    expect(saved).toEqual([{ term: 9 }]);
  });

  it('leaves a later term and its vote alone', async () => {
    const early = { ...reset, term: Term(2) };
    const { recovered, saved } = await start({ log: [1, 5], identity: { reset: early } });
    expect(recovered.hardState.term).toBe(3);
    expect(saved).toEqual([]);
  });
});

describe('log and snapshot at the start', () => {
  it('are refused when the group writes a newer format than this program reads', async () => {
    const newer = { index: 5, term: 3, formatVersion: 2 };
    await expect(start({ log: [6, 9], snapshot: newer })).rejects.toMatchObject({
      code: 'EINVAL',
      message: 'the group writes format version 2; this program reads up to 1: run a newer one',
    });
  });

  it.each<[string, Disk, readonly [number, number], readonly number[]]>([
    ['a log alone', { log: [1, 9] }, [1, 9], []],
    ['a snapshot within the log', { log: [3, 9], snapshot: { index: 5, term: 3 } }, [3, 9], []],
    ['a log that follows it', { log: [6, 9], snapshot: { index: 5, term: 3 } }, [6, 9], []],
    ['an empty log after it', { log: [6, 5], snapshot: { index: 5, term: 3 } }, [6, 5], []],
    [
      'a snapshot beyond the log: the crash came before the log was cut',
      { log: [1, 3], snapshot: { index: 5, term: 3 } },
      [6, 5],
      [6],
    ],
    [
      'a snapshot of another history than the log',
      { log: [1, 9], snapshot: { index: 5, term: 4 } },
      [6, 5],
      [6],
    ],
  ])('%s', async (_, disk, range, expectedResets) => {
    const { recovered, resets } = await start(disk);
    expect([recovered.log.firstIndex, recovered.log.lastIndex]).toEqual(range);
    expect(resets).toEqual(expectedResets);
  });

  it.each<[string, Disk, string]>([
    ['no snapshot covers the missing beginning', { log: [4, 9] }, '(0, 4)'],
    ['a gap after the snapshot', { log: [8, 9], snapshot: { index: 5, term: 3 } }, '(5, 8)'],
  ])('refuses %s, naming what is missing', async (_, disk, gap) => {
    await expect(start(disk)).rejects.toMatchObject({ code: 'EIO' });
    await expect(start(disk)).rejects.toThrow(gap);
  });

  it('refuses a witness', async () => {
    const parsed = parsePeerId('a:1:0:1');
    const self = parsed.ok ? parsed.peer : undefined;
    await expect(start({}, self)).rejects.toMatchObject({ code: 'EINVAL' });
  });
});

describe('who may vote from the start', () => {
  it.each<[string, Disk, boolean]>([
    ['an empty disk of an existing group', { initialState: 'existing' }, false],
    ['an empty disk, when nothing is said', {}, false],
    ['an empty disk of a new group', { initialState: 'new' }, true],
    [
      'an empty disk of a new group that is not its member',
      { initialState: 'new', initialVoters: new Set([peer('z')]) },
      false,
    ],
    ['a disk that had joined', { identity: { joined: true } }, true],
    ['a disk that received entries but was never addressed', { log: [1, 4] }, false],
    ['the same, started as if the group were new', { log: [1, 4], initialState: 'new' }, false],
  ])('%s: %p', async (_, disk, joined) => {
    const { recovered, identity } = await start(disk);
    expect(recovered.joined).toBe(joined);
    expect(identity.joined).toBe(joined);
  });
});

describe('the lineage', () => {
  it('of a new group is the same on all its members, whatever the order', async () => {
    const { identity } = await start({ initialState: 'new' });
    expect(identity.lineage).toBe(firstLineage('Test', new Set(['c', 'a', 'b'].map(peer))));
    expect(identity.lineage).not.toBe(firstLineage('Other', voters));
    expect(firstLineage('Test', new Set([peer('a')]))).not.toBe(identity.lineage);
  });

  it('a joining disk has none until a leader gives it one', async () => {
    const { identity } = await start({ initialState: 'existing' });
    expect(identity.lineage).toBeUndefined();
  });

  it('one that is there stays', async () => {
    const kept = Lineage('kept');
    const { identity } = await start({ identity: { joined: true, lineage: kept } });
    expect(identity.lineage).toBe(kept);
  });

  it('after a reset depends on the history before and the new members alone', () => {
    const before = Lineage('before');
    const after = lineageAfterReset(before, new Set(['b', 'a'].map(peer)));
    expect(after).toBe(lineageAfterReset(before, new Set(['a', 'b'].map(peer))));
    expect(after).not.toBe(lineageAfterReset(Lineage('else'), new Set(['a', 'b'].map(peer))));
    expect(after).not.toBe(lineageAfterReset(before, voters));
  });
});
