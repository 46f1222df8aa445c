import { describe, expect, it } from '@jest/globals';
import { LogIndex, MonotonicMs, Term } from '../../server/raft/core/ids.ts';
import { CoreCluster, diskOf, peer, recoveredFrom } from '../support/core-cluster.ts';

describe('§5.2 leader election', () => {
  it('a group of three elects exactly one leader', () => {
    const cluster = new CoreCluster('abc');
    cluster.run(3_000);
    expect(cluster.leaders()).toHaveLength(1);
  });

  it('a group of one elects itself, but only once its own vote is durable', () => {
    const cluster = new CoreCluster('a');
    cluster.node('a').diskIsFast = false;
    cluster.now = 2_000;
    cluster.tick('a');
    expect(cluster.leaders()).toEqual([]);
    cluster.flushDisk('a');
    expect(cluster.leaders()).toEqual(['a']);
  });

  it('a candidate asks for votes only once its own vote is durable', () => {
    const cluster = new CoreCluster('abc');
    cluster.node('a').diskIsFast = false;
    cluster.now = 2_000;
    cluster.tick('a');
    cluster.settle();
    const asked = (): boolean =>
      cluster.messages.some((message) => message.type === 'voteRequest' && !message.preVote);
    expect(cluster.state('a').role.type).toBe('candidate');
    expect(asked()).toBe(false);
    cluster.flushDisk('a');
    expect(asked()).toBe(true);
  });

  it('a node votes for one candidate a term, also after a crash', () => {
    const cluster = new CoreCluster('abc');
    cluster.isolate('ab');
    cluster.elect('a');
    const term = cluster.state('b').hardState.term;
    const survived = recoveredFrom(cluster.node('b'));
    cluster.restart('b');
    cluster.now += 5_000;
    const granted: boolean[] = [];
    cluster.deliver = (message) => {
      if (message.type === 'voteResponse' && !message.preVote) granted.push(message.granted);
      return true;
    };
    cluster.receive({
      type: 'voteRequest',
      term,
      from: peer('c'),
      fromIncarnation: diskOf('c'),
      to: peer('b'),
      toIncarnation: diskOf('b'),
      preVote: false,
      lastLog: { term, index: LogIndex(99) },
      triggered: false,
    });
    cluster.settle();
    expect(granted).toEqual([false]);
    expect(survived.hardState?.votedFor).toBe(peer('a'));
  });

  it('election timeouts are drawn at random within [t, 1.5 t]', () => {
    const waits = new Set<number>();
    for (let seed = 1; seed <= 50; seed++) {
      const cluster = new CoreCluster('abc', { seed });
      cluster.elect('a');
      const wait = cluster.state('b').electionDeadline - cluster.now;
      expect(wait).toBeGreaterThanOrEqual(1_000);
      expect(wait).toBeLessThanOrEqual(1_500);
      waits.add(Math.floor(wait));
    }
    expect(waits.size).toBeGreaterThan(30);
  });

  it('a leader that finds a higher term steps down', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    const term = Term(cluster.state('a').hardState.term + 5);
    cluster.receive({
      type: 'heartbeatResponse',
      term,
      from: peer('b'),
      fromIncarnation: diskOf('b'),
      to: peer('a'),
      toIncarnation: diskOf('a'),
      round: 0,
      transferId: 0,
      readonly: false,
      installing: false,
    });
    expect(cluster.state('a').role.type).toBe('follower');
    expect(cluster.state('a').hardState).toMatchObject({ term, votedFor: undefined });
  });
});

describe('§5.4.1 election restriction', () => {
  it.each([
    ['a shorter log of the same term', { term: 2, index: 1 }, false],
    ['a longer log of an older term', { term: 1, index: 99 }, false],
    ['an equal log', { term: 2, index: 3 }, true],
    ['a shorter log of a newer term', { term: 3, index: 1 }, true],
  ])('a vote for a candidate with %s: granted is %p', (_, lastLog, granted) => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.propose('a', 'x');
    cluster.settle();
    expect(cluster.state('b').log.lastId()).toEqual({ term: 2, index: 3 });
    cluster.now += 5_000;
    const answers: boolean[] = [];
    cluster.deliver = (message) => {
      if (message.type === 'voteResponse') answers.push(message.granted);
      return true;
    };
    cluster.receive({
      type: 'voteRequest',
      term: Term(7),
      from: peer('c'),
      fromIncarnation: diskOf('c'),
      to: peer('b'),
      toIncarnation: diskOf('b'),
      preVote: false,
      lastLog: { term: Term(lastLog.term), index: LogIndex(lastLog.index) },
      triggered: false,
    });
    // The tick moves the voter's clock past its loyalty; the request itself carries the time too.
    cluster.settle();
    expect(answers).toEqual([granted]);
  });
});

describe('dissertation §9.6 pre-vote and §6.2 check quorum', () => {
  it('a node that was cut off does not raise the term of the group when it comes back', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    const { term } = cluster.state('a').hardState;
    cluster.isolate('c');
    cluster.run(20_000);
    cluster.heal();
    cluster.run(5_000);
    expect(cluster.leaders()).toEqual(['a']);
    expect(cluster.state('c').hardState.term).toBe(term);
  });

  it('a leader that hears no majority steps down', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.isolate('a');
    cluster.run(1_200);
    expect(cluster.state('a').role.type).not.toBe('leader');
  });

  it('a voter that hears its leader refuses votes and does not adopt the higher term (§4.2.3)', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    const { term } = cluster.state('b').hardState;
    cluster.receive({
      type: 'voteRequest',
      term: Term(term + 9),
      from: peer('c'),
      fromIncarnation: diskOf('c'),
      to: peer('b'),
      toIncarnation: diskOf('b'),
      preVote: false,
      lastLog: { term: Term(99), index: LogIndex(99) },
      triggered: false,
    });
    expect(cluster.state('b').hardState.term).toBe(term);
  });

  it('a voter that restarts stays loyal to the leader it may have heard (§4.2.3, §6.4)', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(300);
    cluster.restart('b');
    const ask = (preVote: boolean): void => {
      cluster.receive({
        type: 'voteRequest',
        term: Term(3),
        from: peer('c'),
        fromIncarnation: diskOf('c'),
        to: peer('b'),
        toIncarnation: diskOf('b'),
        preVote,
        lastLog: { term: Term(9), index: LogIndex(99) },
        triggered: false,
      });
    };
    const answers: unknown[] = [];
    cluster.deliver = (message) => {
      if (message.type === 'voteResponse') answers.push(message.rejectedByLease);
      return true;
    };
    ask(true);
    ask(false);
    cluster.settle();
    cluster.now += 1_100;
    ask(true);
    cluster.settle();
    expect(answers).toEqual([true, true, false]);
  });

  it('a stall of three seconds on a follower and on the leader changes no term', () => {
    const cluster = new CoreCluster('abc');
    cluster.run(3_000);
    const [leader] = cluster.leaders();
    const { term } = cluster.state('a').hardState;
    for (const letter of ['a', 'b', 'c']) {
      // What waited in the socket is handled before the late tick, which says how late it is.
      cluster.now += 3_000;
      for (const other of ['a', 'b', 'c'])
        if (other !== letter) cluster.tick(other, cluster.now, 3_000);
      cluster.settle();
      cluster.tick(letter, cluster.now, 3_000);
      cluster.settle();
    }
    cluster.run(2_000);
    expect(cluster.leaders()).toEqual([leader]);
    expect(cluster.state('a').hardState.term).toBe(term);
  });

  it('an empty disk that nobody addressed neither votes nor campaigns', () => {
    const cluster = new CoreCluster('ab', { joining: ['b'] });
    cluster.run(10_000);
    expect(cluster.leaders()).toEqual([]);
    expect(cluster.state('b').hardState.term).toBe(1);
  });

  it('a vote from another disk than the one the member is bound to does not count', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(500);
    expect(cluster.state('a').configurations.latest().configuration.incarnations.size).toBe(3);
    cluster.nodes.delete('b');
    cluster.nodes.delete('c');
    cluster.restart('a');
    cluster.now += 5_000;
    cluster.event('a', { type: 'tick', now: MonotonicMs(cluster.now), lateByMs: 0 });
    for (const letter of ['b', 'c']) {
      cluster.receive({
        type: 'voteResponse',
        term: Term(2),
        from: peer(letter),
        fromIncarnation: diskOf('stranger'),
        to: peer('a'),
        toIncarnation: diskOf('a'),
        preVote: true,
        requestTerm: Term(3),
        granted: true,
        rejectedByLease: false,
      });
    }
    expect(cluster.state('a').role.type).toBe('preCandidate');
  });
});
