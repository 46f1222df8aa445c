import { describe, expect, it } from '@jest/globals';
import type { Ticket } from '../../server/raft/core/event.ts';
import type { Message } from '../../server/raft/core/message.ts';
import { CoreCluster, letterOf, peer } from '../support/core-cluster.ts';

function votersOf(cluster: CoreCluster, letter: string): string {
  const { configuration } = cluster.state(letter).configurations.latest();
  return [...configuration.voters].map(letterOf).sort().join('');
}

function changeVoters(cluster: CoreCluster, leader: string, letters: string): Ticket {
  const voters = new Set(letters.split('').map(peer));
  return cluster.change(leader, { target: { type: 'changeVoters', voters } });
}

function removeItself(cluster: CoreCluster, leader: string): Ticket {
  return cluster.change(leader, { target: { type: 'removeVoter', peer: peer(leader) } });
}

/** Every member can write again and the leader is one of `letters`. */
function expectService(cluster: CoreCluster, letters: string): void {
  cluster.heal();
  cluster.run(8_000);
  const [leader = 'nobody', ...others] = cluster.leaders();
  expect(others).toEqual([]);
  expect(letters).toContain(leader);
  expect(votersOf(cluster, leader)).toBe(letters);
  cluster.propose(leader, 'still served');
  cluster.run(300);
  for (const letter of letters) expect(cluster.committed(letter)).toContain('still served');
}

describe('dissertation §4.2.2 removing the current leader', () => {
  it.each([
    ['two', 'ab', 'b'],
    ['three', 'abc', 'bc'],
    ['four', 'abcd', 'bcd'],
  ])('of %s: it hands over in one round trip', (_, before, after) => {
    const cluster = new CoreCluster(before);
    cluster.elect('a');
    const ticket = removeItself(cluster, 'a');
    cluster.settle();
    expect(cluster.answers.get(ticket)).toEqual({ type: 'done', newVoters: after.split('') });
    expect(cluster.leaders()).toHaveLength(1);
    expect(after).toContain(cluster.leaders()[0]);
    expectService(cluster, after);
  });

  it.each([
    ['two', 'ab', 'b'],
    ['three', 'abc', 'bc'],
  ])('of %s: it leads until the new majority holds the entry', (_, before, after) => {
    const cluster = new CoreCluster(before);
    cluster.elect('a');
    cluster.run(300);
    cluster.node('b').diskIsFast = false;
    const ticket = removeItself(cluster, 'a');
    cluster.settle();
    expect(cluster.leaders()).toEqual(['a']);
    expect(cluster.answers.get(ticket)).toBeUndefined();
    cluster.node('b').diskIsFast = true;
    cluster.flushDisk('b');
    cluster.settle();
    expect(cluster.answers.get(ticket)).toMatchObject({ type: 'done' });
    expectService(cluster, after);
  });

  it('of two: the survivor that holds the entry elects itself without any further message', () => {
    const cluster = new CoreCluster('ab');
    cluster.elect('a');
    removeItself(cluster, 'a');
    cluster.deliver = ({ to }) => to === peer('b');
    cluster.settle();
    expect(votersOf(cluster, 'b')).toBe('b');
    cluster.isolate('a');
    cluster.run(3_000);
    expect(cluster.leaders()).toEqual(['b']);
    expectService(cluster, 'b');
  });

  it.each([
    ['two', 'ab', 'b', ''],
    ['four, one of them down', 'abcd', 'bcd', 'd'],
  ])('of %s: who alone holds the entry must campaign, for nobody else can win', (...row) => {
    const [, before, after, down] = row;
    const cluster = new CoreCluster(before);
    cluster.elect('a');
    cluster.run(300);
    cluster.nodes.delete(down);
    cluster.isolate('a');
    const ticket = removeItself(cluster, 'a');
    cluster.run(1_200);
    const refusal = { code: 'EPERM', outcome: 'unknown' };
    expect(cluster.answers.get(ticket)).toMatchObject({ type: 'refused', refusal });
    cluster.heal();
    cluster.run(5_000);
    const [leader = 'nobody'] = cluster.leaders();
    expect(after).toContain(leader);
    expect(votersOf(cluster, leader)).toBe(after);
  });

  it('one that restarts with the entry of its removal, and nothing else, campaigns', () => {
    const cluster = new CoreCluster('ab', { joining: ['d', 'e'] });
    cluster.elect('a');
    changeVoters(cluster, 'a', 'de');
    cluster.run(1_000);
    const [leader = 'nobody'] = cluster.leaders();
    const survivor = leader === 'd' ? 'e' : 'd';
    expect(votersOf(cluster, leader)).toBe('de');
    cluster.isolate(leader);
    removeItself(cluster, leader);
    cluster.settle();
    expect(votersOf(cluster, leader)).toBe(survivor);
    // The commit index is not stored: it starts from nothing, in a group that was another once.
    cluster.restart(leader);
    expect(cluster.state(leader).commitIndex).toBe(0);
    expectService(cluster, survivor);
  });

  it('in the last stage of a joint change: the entry on one disk alone does not stop the group', () => {
    const cluster = new CoreCluster('abc', { joining: ['d', 'e'] });
    cluster.elect('a');
    cluster.run(300);
    changeVoters(cluster, 'a', 'bde');
    // The joint entry is committed, the stable one never leaves the leader.
    const isStable = (message: Message): boolean =>
      message.type === 'appendRequest' &&
      message.entries.some(
        (entry) =>
          entry.kind === 'configuration' &&
          entry.configuration.configuration.outgoing === undefined &&
          entry.configuration.configuration.voters.has(peer('d')),
      );
    cluster.deliver = (message) => !isStable(message);
    cluster.settle();
    expect(votersOf(cluster, 'a')).toBe('bde');
    expect(cluster.state('b').configurations.latest().configuration.outgoing).toBeDefined();
    cluster.restart('a');
    cluster.nodes.delete('c');
    expectService(cluster, 'bde');
  });

  it('one that knows its removal to be committed does not campaign', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    removeItself(cluster, 'a');
    cluster.run(500);
    const asked: string[] = [];
    cluster.deliver = (message) => {
      if (message.type === 'voteRequest') asked.push(letterOf(message.from));
      return true;
    };
    cluster.run(10_000);
    expect(asked).toEqual([]);
  });

  it('a leaving member that wins commits its removal, hands over and leads no more', () => {
    const cluster = new CoreCluster('ab');
    cluster.elect('a');
    cluster.run(300);
    cluster.isolate('a');
    removeItself(cluster, 'a');
    cluster.run(1_200);
    const before = cluster.state('a').hardState.term;
    cluster.heal();
    cluster.trace.length = 0;
    cluster.run(4_000);
    const won = `a: candidate -> leader, term ${String(before + 1)}`;
    const left = `a: leader -> follower, term ${String(before + 1)}`;
    expect(cluster.trace).toEqual(expect.arrayContaining([won, left]));
    expect(cluster.leaders()).toEqual(['b']);
  });
});
