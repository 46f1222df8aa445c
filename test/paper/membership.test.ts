import { describe, expect, it } from '@jest/globals';
import { LogIndex } from '../../server/raft/core/ids.ts';
import { CoreCluster, letterOf, peer } from '../support/core-cluster.ts';

const peersOf = (letters: string): ReadonlySet<ReturnType<typeof peer>> =>
  new Set(letters.split('').map(peer));

function votersOf(cluster: CoreCluster, letter: string): string {
  const { configuration } = cluster.state(letter).configurations.latest();
  return [...configuration.voters].map(letterOf).sort().join('');
}

describe('§6 cluster membership changes', () => {
  it('adding one voter catches it up first and writes one entry', () => {
    const cluster = new CoreCluster('abc', { joining: ['d'] });
    cluster.elect('a');
    const before = cluster.state('a').log.lastIndex();
    const ticket = cluster.change('a', { target: { type: 'addVoter', peer: peer('d') } });
    cluster.settle();
    cluster.run(300);
    expect(cluster.answers.get(ticket)).toEqual({ type: 'done', newVoters: ['a', 'b', 'c', 'd'] });
    const added = cluster.state('a').configurations.latest();
    expect(added.index).toBeGreaterThan(before);
    expect(cluster.state('d').joined).toBe(true);
    expect(votersOf(cluster, 'd')).toBe('abcd');
    expect(added.configuration.incarnations.get(peer('d'))).toBe('disk-d');
  });

  it('a peer that does not answer is not added, and the log shows no trace of the attempt', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(300);
    const before = cluster.state('a').log.lastIndex();
    const ticket = cluster.change('a', { target: { type: 'addVoter', peer: peer('z') } });
    cluster.run(3_000);
    const refusal = { code: 'ECATCHUP', outcome: 'notProposed' };
    expect(cluster.answers.get(ticket)).toMatchObject({ type: 'refused', refusal });
    expect(cluster.state('a').log.lastIndex()).toBe(before);
    expect(cluster.leaders()).toEqual(['a']);
  });

  it('two changes at once: the second one is refused with EBUSY', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.change('a', { target: { type: 'addVoter', peer: peer('z') } });
    const second = cluster.change('a', { target: { type: 'removeVoter', peer: peer('c') } });
    expect(cluster.answers.get(second)).toMatchObject({ refusal: { code: 'EBUSY' } });
  });

  it('changing several voters passes through joint consensus', () => {
    const cluster = new CoreCluster('abc', { joining: ['d', 'e'] });
    cluster.elect('a');
    const ticket = cluster.change('a', {
      target: { type: 'changeVoters', voters: peersOf('ade') },
    });
    let sawJoint = false;
    cluster.deliver = () => {
      sawJoint ||= cluster.state('a').configurations.latest().configuration.outgoing !== undefined;
      return true;
    };
    cluster.run(500);
    expect(sawJoint).toBe(true);
    expect(cluster.answers.get(ticket)).toEqual({ type: 'done', newVoters: ['a', 'd', 'e'] });
  });

  it('in joint consensus the old majority alone commits nothing', () => {
    const cluster = new CoreCluster('abc', { joining: ['d', 'e'] });
    cluster.elect('a');
    cluster.change('a', { target: { type: 'changeVoters', voters: peersOf('ade') } });
    cluster.deliver = (message) => {
      const joint = cluster.state('a').configurations.latest().configuration.outgoing !== undefined;
      return !joint || 'abc'.includes(letterOf(message.to));
    };
    cluster.settle();
    const { commitIndex } = cluster.state('a');
    cluster.propose('a', 'x');
    cluster.settle();
    expect(cluster.state('a').commitIndex).toBe(commitIndex);
  });

  it('a new leader that finds a joint configuration finishes it', () => {
    const cluster = new CoreCluster('abc', { joining: ['d', 'e'] });
    cluster.elect('a');
    cluster.change('a', { target: { type: 'changeVoters', voters: peersOf('bde') } });
    // The joint entry reaches everybody, then the leader dies before it can commit it.
    cluster.deliver = (message) => {
      const joint = cluster.state('a').configurations.latest().configuration.outgoing !== undefined;
      return !(joint && message.to === peer('a'));
    };
    cluster.settle();
    cluster.deliver = ({ from, to }) => from !== peer('a') && to !== peer('a');
    cluster.run(8_000);
    const [leader] = cluster.leaders().filter((letter) => letter !== 'a');
    expect(leader).toBeDefined();
    expect(votersOf(cluster, leader ?? '')).toBe('bde');
    const { configuration } = cluster.state(leader ?? '').configurations.latest();
    expect(configuration.outgoing).toBeUndefined();
  });

  it('a change is not done when an entry before its own is committed', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(300);
    cluster.propose('a', 'before');
    const ticket = cluster.change('a', { target: { type: 'removeVoter', peer: peer('c') } });
    const { index } = cluster.state('a').configurations.latest();
    cluster.deliver = (message) =>
      message.type !== 'appendRequest' || message.entries.every(({ id }) => id.index < index);
    cluster.settle();
    expect(cluster.committed('a')).toEqual(['before']);
    expect(cluster.answers.get(ticket)).toBeUndefined();
    cluster.heal();
    cluster.run(500);
    expect(cluster.answers.get(ticket)).toEqual({ type: 'done', newVoters: ['a', 'b'] });
  });

  it('a leader that removes itself hands over once the entry is committed', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    const ticket = cluster.change('a', { target: { type: 'removeVoter', peer: peer('a') } });
    cluster.settle();
    expect(cluster.answers.get(ticket)).toEqual({ type: 'done', newVoters: ['b', 'c'] });
    expect(cluster.leaders()).toHaveLength(1);
    expect(cluster.leaders()).not.toContain('a');
  });

  it('a removed server cannot disturb the group (dissertation §4.2.3)', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.change('a', { target: { type: 'removeVoter', peer: peer('c') } });
    cluster.settle();
    const { term } = cluster.state('a').hardState;
    cluster.run(10_000);
    expect(cluster.leaders()).toEqual(['a']);
    expect(cluster.state('a').hardState.term).toBe(term);
  });

  it('a configuration entry that is truncated puts the one before it back in force', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(300);
    cluster.isolate('a');
    cluster.change('a', { target: { type: 'removeVoter', peer: peer('c') } });
    expect(votersOf(cluster, 'a')).toBe('ab');
    cluster.now += 3_000;
    cluster.tick('a');
    cluster.elect('b');
    cluster.propose('b', 'x');
    cluster.heal();
    cluster.run(2_000);
    expect(votersOf(cluster, 'a')).toBe('abc');
  });

  it('the last voter cannot be removed', () => {
    const cluster = new CoreCluster('a');
    cluster.elect('a');
    const ticket = cluster.change('a', { target: { type: 'removeVoter', peer: peer('a') } });
    expect(cluster.answers.get(ticket)).toMatchObject({ refusal: { code: 'EINVAL' } });
  });

  it('a learner receives the log and is never counted (dissertation §4.2.1)', () => {
    const cluster = new CoreCluster('ab', { joining: ['l'] });
    cluster.elect('a');
    cluster.change('a', { target: { type: 'addLearner', peer: peer('l') } });
    cluster.run(500);
    cluster.propose('a', 'both');
    cluster.run(200);
    expect(cluster.committed('l')).toEqual(['both']);
    cluster.deliver = ({ from, to }) => from !== peer('b') && to !== peer('b');
    cluster.propose('a', 'one voter and a learner');
    cluster.settle();
    expect(cluster.committed('a')).toEqual(['both']);
  });

  it('a repeated operation id returns the first result, also from a later leader', () => {
    const cluster = new CoreCluster('abc', { joining: ['d'] });
    cluster.elect('a');
    const change = { target: { type: 'addVoter', peer: peer('d') }, operationId: 'op-1' } as const;
    cluster.change('a', change);
    cluster.run(500);
    cluster.transfer('a', 'b');
    cluster.settle();
    cluster.run(500);
    const before = cluster.state('b').log.lastIndex();
    const repeat = cluster.change('b', change);
    expect(cluster.answers.get(repeat)).toEqual({ type: 'done', newVoters: ['a', 'b', 'c', 'd'] });
    expect(cluster.state('b').log.lastIndex()).toBe(before);
  });

  it.each(['a change', 'a transfer'])(
    'a member first heard during %s is bound to its disk after it',
    (during) => {
      const cluster = new CoreCluster('abcd');
      cluster.isolate('c');
      cluster.elect('a');
      cluster.run(300);
      for (const letter of 'ab') cluster.node(letter).diskIsFast = false;
      if (during === 'a change') {
        cluster.change('a', { target: { type: 'removeVoter', peer: peer('d') } });
      } else {
        cluster.transfer('a', 'b');
      }
      cluster.deliver = ({ type }) => type !== 'timeoutNow';
      cluster.run(200);
      const disks = cluster.state('a').configurations.latest().configuration.incarnations;
      expect(cluster.leaderOf('a').progress.get(peer('c'))?.incarnation).toBe('disk-c');
      expect(disks.has(peer('c'))).toBe(false);
      for (const letter of 'ab') {
        cluster.node(letter).diskIsFast = true;
        cluster.flushDisk(letter);
      }
      cluster.run(1_500);
      const { configuration } = cluster.state('a').configurations.latest();
      expect(configuration.incarnations.get(peer('c'))).toBe('disk-c');
    },
  );

  it('a lower fence and an outdated configuration index are refused', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(300);
    const claimed = cluster.change('a', { target: { type: 'claimOperator' }, fence: 5 });
    cluster.settle();
    expect(cluster.answers.get(claimed)).toMatchObject({ type: 'done' });
    const target = { type: 'removeVoter', peer: peer('c') } as const;
    const stale = cluster.change('a', { target, fence: 4 });
    const outdated = cluster.change('a', {
      target,
      fence: 5,
      expectedConfigurationIndex: LogIndex(1),
    });
    expect(cluster.answers.get(stale)).toMatchObject({ refusal: { code: 'ESTALE' } });
    expect(cluster.answers.get(outdated)).toMatchObject({ refusal: { code: 'ESTALE' } });
  });
});

describe('dissertation §3.10 leadership transfer', () => {
  it('the target leads next, in the next term', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    const { term } = cluster.state('a').hardState;
    cluster.transfer('a', 'c');
    cluster.settle();
    expect(cluster.leaders()).toEqual(['c']);
    expect(cluster.state('c').hardState.term).toBe(term + 1);
  });

  it('a transfer that fails leaves the leader in place after one election timeout', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(300);
    cluster.deliver = (message) => message.type !== 'timeoutNow';
    cluster.transfer('a', 'c');
    const during = cluster.propose('a', 'x');
    expect(cluster.answers.get(during)).toMatchObject({ refusal: { code: 'EBUSY' } });
    cluster.run(1_100);
    expect(cluster.leaders()).toEqual(['a']);
    const after = cluster.propose('a', 'y');
    expect(cluster.answers.get(after)).toMatchObject({ type: 'proposed' });
  });

  it('a TimeoutNow of a transfer that was given up is void', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(300);
    const late: Parameters<typeof cluster.receive>[0][] = [];
    cluster.deliver = (message) => {
      if (message.type !== 'timeoutNow') return true;
      late.push(message);
      return false;
    };
    cluster.transfer('a', 'c');
    cluster.run(1_300);
    cluster.heal();
    for (const message of late) cluster.receive(message);
    cluster.settle();
    expect(late).toHaveLength(1);
    expect(cluster.leaders()).toEqual(['a']);
  });

  it('vote() makes a follower lead in spite of a healthy leader', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(300);
    cluster.campaign('b');
    cluster.settle();
    expect(cluster.leaders()).toEqual(['b']);
  });

  it('vote() works on a node that already asks for pre-votes, which is a follower to its user', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.isolate('b');
    cluster.run(3_000);
    expect(cluster.state('b').role.type).toBe('preCandidate');
    cluster.heal();
    cluster.campaign('b');
    cluster.settle();
    expect(cluster.leaders()).toEqual(['b']);
  });
});

describe('braft reset_peers', () => {
  it('a lone survivor leads a group of its own, which grows again', () => {
    const cluster = new CoreCluster('abc', { joining: ['d'] });
    cluster.elect('a');
    cluster.propose('a', 'kept');
    cluster.settle();
    for (const letter of ['b', 'c']) cluster.nodes.delete(letter);
    cluster.restart('a');
    cluster.resetPeers('a', 'a');
    cluster.run(3_000);
    expect(cluster.leaders()).toEqual(['a']);
    const ticket = cluster.change('a', { target: { type: 'addVoter', peer: peer('d') } });
    cluster.run(500);
    expect(cluster.answers.get(ticket)).toMatchObject({ newVoters: ['a', 'd'] });
    expect(cluster.committed('d')).toEqual(['kept']);
  });
});

describe('braft read-only mode', () => {
  it('a group whose majority is read-only refuses writes and recovers when one leaves', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    const setReadonly = (letter: string, readonly: boolean): void => {
      cluster.event(letter, { type: 'setReadonly', now: cluster.state(letter).now, readonly });
    };
    setReadonly('b', true);
    setReadonly('c', true);
    cluster.run(300);
    const refused = cluster.propose('a', 'x');
    expect(cluster.answers.get(refused)).toMatchObject({ refusal: { code: 'EREADONLY' } });
    setReadonly('c', false);
    cluster.run(300);
    const accepted = cluster.propose('a', 'y');
    expect(cluster.answers.get(accepted)).toMatchObject({ type: 'proposed' });
    cluster.run(200);
    expect(cluster.committed('c')).toEqual(['y']);
    expect(cluster.committed('b')).toEqual([]);
  });

  it('a change that leaves a writable majority ends the read-only mode of the group', () => {
    const cluster = new CoreCluster('abcd');
    cluster.elect('a');
    cluster.run(300);
    for (const letter of ['c', 'd']) {
      cluster.event(letter, {
        type: 'setReadonly',
        now: cluster.state(letter).now,
        readonly: true,
      });
    }
    cluster.run(300);
    const refused = cluster.propose('a', 'x');
    expect(cluster.answers.get(refused)).toMatchObject({ refusal: { code: 'EREADONLY' } });
    cluster.change('a', { target: { type: 'removeVoter', peer: peer('d') } });
    cluster.settle();
    const accepted = cluster.propose('a', 'y');
    expect(cluster.answers.get(accepted)).toMatchObject({ type: 'proposed' });
  });
});
