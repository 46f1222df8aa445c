import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { LogIndex, MonotonicMs } from '../../../../server/raft/core/ids.ts';
import {
  becomeProbe,
  becomeReplicate,
  createProgress,
  InFlight,
  type Progress,
} from '../../../../server/raft/core/progress.ts';
import { CoreCluster, peer } from '../../../support/core-cluster.ts';

function aProgress(): Progress {
  return createProgress(peer('b'), { lastIndex: LogIndex(9), now: MonotonicMs(0) });
}

describe('InFlight', () => {
  const requests = fc.array(
    fc.record({ entries: fc.integer({ min: 1, max: 9 }), bytes: fc.nat(99), acked: fc.nat(40) }),
    { maxLength: 30 },
  );

  it('counts exactly the requests above the highest answer, in whatever order answers come', () => {
    fc.assert(
      fc.property(requests, (plan) => {
        const inFlight = new InFlight();
        let last = 0;
        let highest = 0;
        const sent: { last: number; entries: number; bytes: number }[] = [];
        for (const { entries, bytes, acked } of plan) {
          last += entries;
          sent.push({ last, entries, bytes });
          inFlight.add(LogIndex(last), { entries, bytes });
          // Answers may be stale, repeated, or cover only half a request.
          highest = Math.max(highest, Math.min(acked, last));
          inFlight.freeTo(LogIndex(Math.min(acked, last)));
          const open = sent.filter((request) => request.last > highest);
          expect(inFlight.entries()).toBe(open.reduce((sum, one) => sum + one.entries, 0));
          expect(inFlight.bytes()).toBe(open.reduce((sum, one) => sum + one.bytes, 0));
        }
        inFlight.clear();
        expect([inFlight.entries(), inFlight.bytes()]).toEqual([0, 0]);
      }),
    );
  });
});

describe('Progress', () => {
  it('starts as a probe at the end of the log, with nothing known', () => {
    const { mode, matchIndex, nextIndex, probing, answered } = aProgress();
    expect({ mode, matchIndex, nextIndex, probing, answered }).toEqual({
      mode: 'probe',
      matchIndex: 0,
      nextIndex: 10,
      probing: false,
      answered: false,
    });
  });

  it.each([
    ['probe', becomeProbe],
    ['replicate', becomeReplicate],
  ] as const)('goes on as %s right after the match point, with nothing in flight', (mode, go) => {
    const progress = aProgress();
    Object.assign(progress, { mode: 'snapshot', matchIndex: 4, nextIndex: 8, probing: true });
    progress.inFlight.add(LogIndex(7), { entries: 3, bytes: 30 });
    go(progress);
    expect(progress).toMatchObject({ mode, matchIndex: 4, nextIndex: 5, probing: false });
    expect(progress.inFlight.entries()).toBe(0);
  });
});

describe('the window of a follower that does not answer', () => {
  const silentFollower = (core: { readonly [name: string]: number }): CoreCluster => {
    const cluster = new CoreCluster('abc', { core });
    cluster.elect('a');
    cluster.run(300);
    cluster.deliver = ({ to }) => to !== peer('c');
    return cluster;
  };
  const inFlightTo = (cluster: CoreCluster, letter: string): InFlight => {
    const progress = cluster.leaderOf('a').progress.get(peer(letter));
    if (progress === undefined) throw new Error(`${letter} has no progress`);
    return progress.inFlight;
  };

  it('stops at the limit of entries while the others go on', () => {
    const cluster = silentFollower({ inFlightEntriesMax: 8 });
    for (let i = 0; i < 50; i++) {
      cluster.propose('a', 'x');
      cluster.settle();
      expect(inFlightTo(cluster, 'c').entries()).toBeLessThanOrEqual(8);
    }
    expect(inFlightTo(cluster, 'c').entries()).toBe(8);
    expect(inFlightTo(cluster, 'b').entries()).toBe(0);
    expect(cluster.committed('a')).toHaveLength(50);
  });

  it('stops at the limit of bytes, overdrawn by one request at most', () => {
    const cluster = silentFollower({ inFlightBytesMax: 1_000, appendBytesMax: 300 });
    for (let i = 0; i < 50; i++) {
      cluster.propose('a', 'x'.repeat(100));
      cluster.settle();
      expect(inFlightTo(cluster, 'c').bytes()).toBeLessThan(1_000 + 300);
    }
    expect(inFlightTo(cluster, 'c').bytes()).toBeGreaterThanOrEqual(1_000);
  });

  it('opens again when the follower comes back, and everything arrives', () => {
    const cluster = silentFollower({ inFlightEntriesMax: 4, appendBytesMax: 100 });
    for (let i = 0; i < 50; i++) cluster.propose('a', String(i));
    cluster.run(500);
    cluster.heal();
    cluster.run(1_000);
    expect(cluster.committed('c')).toEqual(cluster.committed('a'));
    expect(inFlightTo(cluster, 'c').entries()).toBe(0);
  });
});
