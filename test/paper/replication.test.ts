import { describe, expect, it } from '@jest/globals';
import { LogIndex, Term } from '../../server/raft/core/ids.ts';
import { CoreCluster, diskOf, peer, saveSnapshot } from '../support/core-cluster.ts';

describe('§5.3 log replication', () => {
  it('an entry is committed once a majority holds it durably', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.isolate('c');
    cluster.node('b').diskIsFast = false;
    const before = cluster.state('a').commitIndex;
    cluster.propose('a', 'x');
    cluster.settle();
    expect(cluster.state('a').commitIndex).toBe(before);
    cluster.flushDisk('b');
    cluster.settle();
    expect(cluster.committed('a')).toEqual(['x']);
  });

  it("the leader's own disk is one vote like any other: two followers commit without it", () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.node('a').diskIsFast = false;
    cluster.propose('a', 'x');
    cluster.settle();
    expect(cluster.state('a').commitIndex).toBe(3);
  });

  it('a follower whose log diverged is overwritten in few round trips', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.isolate('a');
    for (let i = 0; i < 50; i++) cluster.propose('a', `lost ${String(i)}`);
    cluster.settle();
    cluster.now += 3_000;
    cluster.tick('a');
    cluster.elect('b');
    for (let i = 0; i < 20; i++) cluster.propose('b', `kept ${String(i)}`);
    cluster.settle();
    let refusals = 0;
    cluster.deliver = (message) => {
      if (message.type === 'appendResponse' && !message.outcome.accepted) refusals++;
      return true;
    };
    cluster.run(1_000);
    expect(cluster.committed('a')).toEqual(cluster.committed('b'));
    expect(cluster.committed('a')).toHaveLength(20);
    expect(refusals).toBeLessThanOrEqual(3);
  });

  it('lost, repeated and reordered messages change nothing in the end', () => {
    const cluster = new CoreCluster('abc', { seed: 7 });
    cluster.elect('a');
    let count = 0;
    cluster.deliver = (message) => {
      count++;
      if (count % 5 === 0) return false;
      if (count % 7 === 0) cluster.messages.push(message);
      if (count % 3 === 0) cluster.messages.reverse();
      return true;
    };
    for (let i = 0; i < 40; i++) {
      const [leader] = cluster.leaders();
      if (leader !== undefined) cluster.propose(leader, String(i));
      cluster.run(50);
    }
    cluster.heal();
    cluster.run(5_000);
    expect(cluster.committed('b')).toEqual(cluster.committed('a'));
    expect(cluster.committed('c')).toEqual(cluster.committed('a'));
    expect(cluster.committed('a').length).toBeGreaterThan(20);
  });

  it('an append below the commit index is accepted up to it and compared with nothing', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.propose('a', 'x');
    cluster.settle();
    cluster.run(200);
    const { commitIndex, log } = cluster.state('b');
    const lastId = log.lastId();
    const answers: unknown[] = [];
    cluster.deliver = (message) => {
      if (message.type === 'appendResponse') answers.push(message.outcome);
      return false;
    };
    cluster.event('b', {
      type: 'message',
      now: cluster.state('b').now,
      message: {
        type: 'appendRequest',
        term: cluster.state('b').hardState.term,
        from: peer('a'),
        fromIncarnation: diskOf('a'),
        to: peer('b'),
        toIncarnation: diskOf('b'),
        previous: { term: Term(0), index: LogIndex(0) },
        entries: [
          { kind: 'data', id: { term: Term(1), index: LogIndex(1) }, data: new Uint8Array([1]) },
        ],
        commitIndex,
      },
    });
    cluster.settle();
    expect(answers).toEqual([{ accepted: true, matchIndex: commitIndex }]);
    expect(cluster.state('b').log.lastId()).toEqual(lastId);
  });

  it('a second leader of the same term is refused', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    const { term } = cluster.state('b').hardState;
    cluster.receive({
      type: 'appendRequest',
      term,
      from: peer('c'),
      fromIncarnation: diskOf('c'),
      to: peer('b'),
      toIncarnation: diskOf('b'),
      previous: cluster.state('b').log.lastId(),
      entries: [],
      commitIndex: LogIndex(0),
    });
    expect(cluster.state('b').leader).toBe(peer('a'));
    const answer = cluster.messages.at(-1);
    expect(answer).toMatchObject({ to: peer('c'), outcome: { accepted: false } });
  });
});

describe('§5.4.2 committing entries from earlier terms', () => {
  it("a leader never commits an older term's entry by counting (figure 8)", () => {
    const oneByOne = { inFlightEntriesMax: 1, appendBytesMax: 1 };
    const cluster = new CoreCluster('abc', { core: oneByOne });
    cluster.elect('a');
    cluster.isolate('a');
    cluster.propose('a', 'old');
    cluster.settle();
    const oldIndex = cluster.state('a').log.lastIndex();
    // a comes back and leads again; b gets the old entry, but nothing of the new term yet.
    cluster.restart('a');
    let held = true;
    cluster.deliver = (message) => {
      if (message.from === peer('c') || message.to === peer('c')) return false;
      const ofNewTerm =
        message.type === 'appendRequest' && message.entries.some(({ id }) => id.index > oldIndex);
      const next = message.to === peer('b') && cluster.state('b').log.lastIndex() >= oldIndex;
      return !(held && ofNewTerm && next);
    };
    cluster.elect('a');
    cluster.run(300);
    expect(cluster.leaderOf('a').progress.get(peer('b'))?.matchIndex).toBe(oldIndex);
    expect(cluster.state('a').commitIndex).toBeLessThan(oldIndex);
    held = false;
    cluster.run(500);
    expect(cluster.committed('a')).toEqual(['old']);
  });
});

describe('§7 log compaction', () => {
  it('a follower that needs entries that are gone gets a snapshot, then the rest', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.isolate('c');
    for (let i = 0; i < 10; i++) cluster.propose('a', String(i));
    cluster.settle();
    saveSnapshot(cluster, 'a');
    for (let i = 10; i < 20; i++) cluster.propose('a', String(i));
    cluster.settle();
    // One interval of log is kept behind a snapshot, so only the second one drops entries.
    saveSnapshot(cluster, 'a');
    expect(cluster.state('a').log.firstIndex()).toBe(13);
    cluster.propose('a', 'after');
    cluster.heal();
    cluster.run(3_000);
    expect(cluster.state('c').snapshot?.lastIncluded.index).toBe(22);
    expect(cluster.state('c').log.lastId()).toEqual(cluster.state('a').log.lastId());
    expect(cluster.state('c').commitIndex).toBe(cluster.state('a').commitIndex);
  });
});

describe('§7: appends in flight and compaction', () => {
  it('a snapshot of what a follower already holds takes nothing away that comes after it', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(300);
    for (const text of ['x', 'y', 'z']) cluster.propose('a', text);
    cluster.settle();
    saveSnapshot(cluster, 'a');
    const { snapshot: meta, hardState } = cluster.state('a');
    if (meta === undefined) throw new Error('no snapshot was saved');
    cluster.deliver = ({ type }) => type !== 'heartbeatRequest';
    const { term, index } = cluster.state('c').log.lastId();
    const commitBefore = cluster.state('c').commitIndex;
    const ends = { from: peer('a'), to: peer('c'), toIncarnation: diskOf('c') };
    const lastIncluded = { term, index: LogIndex(index - 1) };
    cluster.receive({
      type: 'installSnapshotRequest',
      term: hardState.term,
      fromIncarnation: diskOf('a'),
      ...ends,
      meta: { ...meta, lastIncluded },
      copyId: 'copy',
    });
    cluster.settle();
    expect(commitBefore).toBeLessThan(lastIncluded.index);
    expect(cluster.state('c').commitIndex).toBe(lastIncluded.index);
    expect(cluster.state('c').log.lastId()).toEqual({ term, index });
    expect(cluster.node('c').disk.entries.map(({ id }) => id.index)).toEqual([index]);
  });

  it('a follower whose appends were lost before they were compacted gets a snapshot', () => {
    const cluster = new CoreCluster('abc', { core: { inFlightEntriesMax: 4 } });
    cluster.elect('a');
    cluster.run(300);
    const losesAppends = (id: string): void => {
      cluster.deliver = (message) => message.to !== peer(id) || message.type !== 'appendRequest';
    };
    losesAppends('c');
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 10; i++) cluster.propose('a', String(i));
      cluster.settle();
      saveSnapshot(cluster, 'a');
    }
    const behind = cluster.leaderOf('a').progress.get(peer('c'));
    expect(behind?.nextIndex).toBeLessThan(cluster.state('a').log.firstIndex());
    cluster.heal();
    cluster.run(3_000);
    expect(cluster.state('c').commitIndex).toBe(cluster.state('a').commitIndex);
  });
});

describe('§7 and dissertation §4.2.1: a newcomer and a compacted log', () => {
  it('an empty newcomer gets a snapshot when the log no longer starts at 1', () => {
    const cluster = new CoreCluster('abc', { joining: ['d'] });
    cluster.elect('a');
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 10; i++) cluster.propose('a', String(i));
      cluster.settle();
      saveSnapshot(cluster, 'a');
    }
    expect(cluster.state('a').log.firstIndex()).toBeGreaterThan(1);
    const ticket = cluster.change('a', { target: { type: 'addVoter', peer: peer('d') } });
    cluster.run(3_000);
    expect(cluster.answers.get(ticket)).toMatchObject({ type: 'done' });
    expect(cluster.state('d').commitIndex).toBe(cluster.state('a').commitIndex);
  });
});

describe('dissertation §6.4 linearizable reads', () => {
  it('a read waits for a round that started after it, echoed by a majority', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    const ticket = cluster.read('a');
    expect(cluster.answers.get(ticket)).toBeUndefined();
    cluster.settle();
    expect(cluster.answers.get(ticket)).toEqual({ type: 'read', index: 2 });
  });

  it('a deposed leader that was cut off answers no read', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.isolate('a');
    cluster.elect('b');
    cluster.propose('b', 'newer');
    cluster.settle();
    const ticket = cluster.read('a');
    cluster.settle();
    expect(cluster.answers.get(ticket)).toBeUndefined();
    cluster.run(2_000);
    expect(cluster.answers.get(ticket)).toMatchObject({ type: 'refused' });
  });

  it('an echo of an earlier round confirms no later read', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    const early = cluster.read('a');
    const echoes: unknown[] = [];
    cluster.deliver = (message) => {
      if (message.type === 'heartbeatResponse') echoes.push(message);
      return message.type !== 'heartbeatResponse';
    };
    cluster.settle();
    cluster.isolate('a');
    const late = cluster.read('a');
    cluster.settle();
    cluster.heal();
    for (const echo of echoes) cluster.receive(echo as Parameters<typeof cluster.receive>[0]);
    expect(cluster.answers.get(early)).toMatchObject({ type: 'read' });
    expect(cluster.answers.get(late)).toBeUndefined();
  });

  it('a lease read is answered at once within the lease and not after it', () => {
    const cluster = new CoreCluster('abc', { core: { leaderLease: true } });
    cluster.elect('a');
    cluster.run(200);
    const quick = cluster.read('a', 'lease');
    expect(cluster.answers.get(quick)).toMatchObject({ type: 'read' });
    cluster.isolate('a');
    cluster.now += 990;
    cluster.tick('a');
    cluster.now += 20;
    const late = cluster.read('a', 'lease');
    expect(cluster.answers.get(late)).toBeUndefined();
  });

  it('the lease ends when a transfer starts, before the target may know', () => {
    const cluster = new CoreCluster('abc', { core: { leaderLease: true } });
    cluster.elect('a');
    cluster.run(200);
    cluster.transfer('a', 'c');
    const ticket = cluster.read('a', 'lease');
    expect(cluster.answers.get(ticket)).toBeUndefined();
  });

  describe('after transfers that failed, the lease waits until every target has heard so', () => {
    const leaseAfterFailedTransfers = (targets: string): CoreCluster => {
      const cluster = new CoreCluster('abcd', { core: { leaderLease: true } });
      cluster.elect('a');
      cluster.run(300);
      for (const target of targets) {
        cluster.deliver = ({ type, to }) =>
          type !== 'timeoutNow' && !(type === 'heartbeatRequest' && to === peer('c'));
        cluster.transfer('a', target);
        cluster.run(1_100);
      }
      return cluster;
    };

    it.each([
      ['one target', 'c'],
      ['two targets, and the last one has heard', 'cb'],
    ])('%s', (_, targets) => {
      const cluster = leaseAfterFailedTransfers(targets);
      const early = cluster.read('a', 'lease');
      expect(cluster.answers.get(early)).toBeUndefined();
      cluster.heal();
      cluster.run(200);
      const late = cluster.read('a', 'lease');
      expect(cluster.answers.get(late)).toMatchObject({ type: 'read' });
    });

    it('a target that has left the configuration since may still act on its TimeoutNow', () => {
      const cluster = leaseAfterFailedTransfers('c');
      cluster.change('a', { target: { type: 'removeVoter', peer: peer('c') } });
      cluster.run(200);
      const ticket = cluster.read('a', 'lease');
      expect(cluster.answers.get(ticket)).toBeUndefined();
    });
  });
});
