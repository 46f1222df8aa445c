import { describe, expect, it } from '@jest/globals';
import type { MembershipChange } from '../../server/raft/core/membership.ts';
import type { Message } from '../../server/raft/core/message.ts';
import { CoreCluster, letterOf, peer, saveSnapshot } from '../support/core-cluster.ts';

function votersOf(cluster: CoreCluster, letter: string): string {
  const { configuration } = cluster.state(letter).configurations.latest();
  return [...configuration.voters].map(letterOf).sort().join('');
}

const remove = (letter: string, operationId?: string): MembershipChange => ({
  target: { type: 'removeVoter', peer: peer(letter) },
  ...(operationId !== undefined && { operationId }),
});

/** Faults that Raft libraries are known to have had, each as it would show here. */
describe('membership', () => {
  it('a change is refused until an entry of the own term is committed (§4.1 of the dissertation)', () => {
    const cluster = new CoreCluster('abcd');
    cluster.deliver = ({ type }) => type !== 'appendResponse';
    cluster.elect('a');
    const early = cluster.change('a', remove('d'));
    expect(cluster.answers.get(early)).toMatchObject({ refusal: { code: 'EBUSY' } });
    cluster.heal();
    cluster.run(300);
    const late = cluster.change('a', remove('d'));
    cluster.settle();
    expect(cluster.answers.get(late)).toMatchObject({ type: 'done' });
  });

  it.each([
    ['in memory', false],
    ['after a restart', true],
  ])('two configurations that are overwritten at once are both undone: %s', (_, restarts) => {
    const cluster = new CoreCluster('abcde');
    cluster.elect('a');
    cluster.run(300);
    cluster.isolate('a');
    cluster.change('a', remove('e'));
    cluster.settle();
    // Not a second change: the same one again, in a term of its own, as its first entry.
    cluster.restart('a');
    expect(votersOf(cluster, 'a')).toBe('abcd');
    cluster.isolate('ab');
    cluster.deliver = ({ from, to, type }) =>
      [from, to].every((id) => 'acd'.includes(letterOf(id))) && type !== 'appendRequest';
    cluster.elect('a');
    const { length } = cluster.node('a').disk.entries;
    expect(
      cluster
        .node('a')
        .disk.entries.slice(length - 2)
        .map(({ kind }) => kind),
    ).toEqual(['configuration', 'configuration']);
    cluster.isolate('a');
    cluster.run(4_000);
    const [leader = 'nobody'] = cluster.leaders();
    cluster.propose(leader, 'x');
    cluster.settle();
    if (restarts) cluster.restart('a');
    cluster.heal();
    cluster.run(3_000);
    expect(votersOf(cluster, 'a')).toBe('abcde');
    expect(cluster.committed('a')).toEqual(['x']);
  });

  it('a voter that still takes itself for a learner votes when it is asked', () => {
    const cluster = new CoreCluster('ab', { joining: ['c'] });
    cluster.elect('a');
    cluster.change('a', { target: { type: 'addLearner', peer: peer('c') } });
    cluster.run(500);
    // The promotion reaches b and not c; then only b and c are left.
    cluster.change('a', { target: { type: 'promoteLearner', peer: peer('c') } });
    cluster.deliver = ({ to }) => to !== peer('c');
    cluster.settle();
    cluster.crash('a');
    cluster.heal();
    expect(cluster.state('c').configurations.latest().configuration.learners.size).toBe(1);
    cluster.run(4_000);
    expect(cluster.leaders()).toEqual(['b']);
  });

  it('a repeated operation returns its own result while another one runs', () => {
    const cluster = new CoreCluster('abcd');
    cluster.elect('a');
    cluster.run(300);
    cluster.change('a', remove('d', 'first'));
    cluster.settle();
    const target = { type: 'addVoter', peer: peer('z') } as const;
    cluster.change('a', { target, operationId: 'second' });
    const repeat = cluster.change('a', remove('d', 'first'));
    expect(cluster.answers.get(repeat)).toEqual({ type: 'done', newVoters: ['a', 'b', 'c'] });
  });

  it('a repeated operation that an earlier leader left unfinished waits for its end', () => {
    const cluster = new CoreCluster('abc', { joining: ['d', 'e'] });
    cluster.elect('a');
    cluster.run(300);
    const voters = new Set('bde'.split('').map(peer));
    const change = { target: { type: 'changeVoters', voters }, operationId: 'replace' } as const;
    cluster.change('a', change);
    const isJoint = (letter: string): boolean =>
      cluster.state(letter).configurations.latest().configuration.outgoing !== undefined;
    cluster.deliver = ({ to }) => !(isJoint('a') && to === peer('a'));
    cluster.settle();
    cluster.crash('a');
    cluster.heal();
    // b leads with the joint configuration of a; its last entry does not get through yet.
    cluster.deliver = (message) => !isStableEntry(message);
    cluster.run(4_000);
    const [leader = 'nobody'] = cluster.leaders();
    const repeat = cluster.change(leader, change);
    expect(cluster.answers.get(repeat)).toBeUndefined();
    cluster.heal();
    cluster.run(500);
    expect(cluster.answers.get(repeat)).toEqual({ type: 'done', newVoters: ['b', 'd', 'e'] });
  });

  const isStableEntry = (message: Message): boolean =>
    message.type === 'appendRequest' &&
    message.entries.some(
      (entry) =>
        entry.kind === 'configuration' &&
        entry.configuration.configuration.voters.has(peer('d')) &&
        entry.configuration.configuration.outgoing === undefined,
    );
});

describe('partitions of single links and directions (check quorum and pre-vote together)', () => {
  const cutLinks: readonly (readonly [string, (from: string, to: string) => boolean])[] = [
    ['a and b do not hear each other', (from, to) => !['ab', 'ba'].includes(from + to)],
    ['nobody hears the leader', (from) => from !== 'a'],
    ['the leader hears nobody', (_, to) => to !== 'a'],
    ['b does not hear the leader', (from, to) => from + to !== 'ab'],
    ['the leader does not hear b', (from, to) => from + to !== 'ba'],
    ['c hears nobody', (_, to) => to !== 'c'],
    ['nobody hears c', (from) => from !== 'c'],
  ];

  it.each(cutLinks)('%s: one leader serves and terms do not rise', (_, connected) => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(500);
    cluster.deliver = ({ from, to }) => connected(letterOf(from), letterOf(to));
    cluster.run(10_000);
    const termOf = (): number =>
      Math.max(...'abc'.split('').map((letter) => cluster.state(letter).hardState.term));
    const [term, leaders] = [termOf(), cluster.leaders()];
    cluster.run(20_000);
    expect(leaders).toHaveLength(1);
    expect(cluster.leaders()).toEqual(leaders);
    expect(termOf()).toBe(term);
    const [leader = 'nobody'] = leaders;
    cluster.propose(leader, 'served');
    cluster.run(300);
    expect(cluster.committed(leader)).toEqual(['served']);
  });
});

describe('leases', () => {
  it('vote() does not end the loyalty of the node that is asked to campaign', () => {
    const cluster = new CoreCluster('abc', { core: { leaderLease: true } });
    cluster.elect('a');
    cluster.run(500);
    // c has lost the leader long ago; b, on whom the lease rests, hears it until now.
    cluster.deliver = ({ from, to }) => !['ac', 'ca'].includes(letterOf(from) + letterOf(to));
    cluster.run(2_000);
    cluster.isolate('a');
    cluster.campaign('b');
    cluster.settle();
    expect(cluster.leaders()).toEqual(['a']);
    const read = cluster.read('a', 'lease');
    expect(cluster.answers.get(read)).toMatchObject({ type: 'read' });
    cluster.run(3_000);
    expect(cluster.leaders()).toHaveLength(1);
    expect(cluster.leaders()).not.toContain('a');
  });

  it('a node that restarted obeys no TimeoutNow before it knows which of them are void', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(300);
    const late: Message[] = [];
    cluster.deliver = (message) => {
      if (message.type === 'timeoutNow') late.push(message);
      return message.type !== 'timeoutNow';
    };
    cluster.transfer('a', 'c');
    cluster.run(1_500);
    cluster.restart('c');
    cluster.deliver = ({ type }) => type !== 'heartbeatRequest';
    cluster.propose('a', 'x');
    cluster.settle();
    expect(cluster.state('c').leader).toBe(peer('a'));
    for (const message of late) cluster.receive(message);
    expect(cluster.state('c').role.type).toBe('follower');
    cluster.heal();
    cluster.run(300);
    cluster.transfer('a', 'c');
    cluster.settle();
    expect(cluster.leaders()).toEqual(['c']);
  });
});

describe('replication', () => {
  it.each([
    ['a follower that lags behind its disk', 'slow disk'],
    ['a follower whose match point is not known yet', 'probe'],
  ])('read rounds do not send entries again: %s', (_, kind) => {
    const cluster = new CoreCluster('abc');
    cluster.deliver = ({ type }) => kind !== 'probe' || type !== 'appendResponse';
    cluster.elect('a');
    if (kind === 'slow disk') cluster.run(300);
    for (const letter of 'bc') cluster.node(letter).diskIsFast = false;
    cluster.propose('a', 'x');
    cluster.settle();
    let appends = 0;
    cluster.deliver = ({ type }) => {
      if (type === 'appendRequest') appends++;
      return true;
    };
    for (let i = 0; i < 50; i++) {
      cluster.read('a');
      cluster.settle();
    }
    expect(appends).toBeLessThanOrEqual(2);
  });

  it('a member that has just left gets nothing more', () => {
    const cluster = new CoreCluster('abc', { joining: ['d'] });
    cluster.elect('a');
    cluster.run(300);
    const voters = new Set('abd'.split('').map(peer));
    cluster.change('a', { target: { type: 'changeVoters', voters } });
    const afterwards: string[] = [];
    cluster.deliver = (message) => {
      const outside = !votersOf(cluster, 'a').includes(letterOf(message.to));
      const joint = cluster.state('a').configurations.latest().configuration.outgoing;
      if (outside && joint === undefined && message.type === 'appendRequest') {
        afterwards.push(...message.entries.map(({ id }) => String(id.index)));
      }
      return true;
    };
    cluster.run(500);
    expect(votersOf(cluster, 'a')).toBe('abd');
    const stable = String(cluster.state('a').configurations.latest().index);
    expect(afterwards).not.toContain(stable);
  });

  it('a snapshot that ends at the last entry sent is enough to go on from', () => {
    const cluster = new CoreCluster('abc', { core: { appendBytesMax: 30 } });
    cluster.elect('a');
    cluster.run(300);
    cluster.isolate('c');
    for (let i = 0; i < 5; i++) cluster.propose('a', String(i));
    cluster.settle();
    saveSnapshot(cluster, 'a');
    cluster.propose('a', '5');
    cluster.settle();
    saveSnapshot(cluster, 'a');
    expect(cluster.state('a').log.firstIndex()).toBeGreaterThan(3);
    cluster.heal();
    cluster.run(3_000);
    expect(cluster.leaderOf('a').progress.get(peer('c'))?.mode).toBe('replicate');
    cluster.propose('a', 'after');
    cluster.run(300);
    expect(cluster.state('c').commitIndex).toBe(cluster.state('a').commitIndex);
    expect(cluster.committed('c')).toEqual(['after']);
  });
});
