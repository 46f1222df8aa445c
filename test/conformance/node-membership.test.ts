import { describe, expect, it } from '@jest/globals';
import { LogIndex } from '../../server/raft/core/ids.ts';
import { peer } from '../support/core-cluster.ts';
import { nodeGroups } from '../support/node-groups.ts';

const { prepared, started } = nodeGroups();

describe('changes of the configuration', () => {
  it('without a majority apply, addPeer and removePeer fail with EPERM', async () => {
    const nodes = prepared('abc');
    const lone = await nodes.start('a');
    await nodes.clock.advance(3_000);
    const attempts = [
      nodes.apply(lone, 'x'),
      nodes.during(lone.node.addPeer(peer('d'))),
      nodes.during(lone.node.removePeer(peer('b'))),
      nodes.during(lone.node.changePeers(new Set([peer('a')]))),
    ];
    for (const attempt of await Promise.allSettled(attempts)) {
      expect(attempt).toMatchObject({ status: 'rejected', reason: { code: 'EPERM' } });
    }
  });

  it('adding a member and removing a stranger succeed without writing anything', async () => {
    const nodes = await started('abc');
    const { node } = await nodes.leader();
    await nodes.clock.advance(500);
    const before = node.status().lastIndex;
    await nodes.during(node.addPeer(peer('b')));
    await nodes.during(node.removePeer(peer('z')));
    expect(node.status().lastIndex).toBe(before);
    expect(node.listPeers()).toHaveLength(3);
  });

  it('one change at a time: a second one and a transfer fail with EBUSY', async () => {
    const nodes = await started('abc');
    const { node } = await nodes.leader();
    await nodes.clock.advance(500);
    const first = node.addPeer(peer('z'));
    await expect(node.addPeer(peer('y'))).rejects.toMatchObject({ code: 'EBUSY' });
    await expect(node.transferLeadershipTo('any')).rejects.toMatchObject({ code: 'EBUSY' });
    expect(node.status().changeStage).toBe('catchingUp');
    await expect(nodes.during(first)).rejects.toMatchObject({ code: 'ECATCHUP' });
    expect(node.status().changeStage).toBe('none');
  });

  it('an empty set of voters is refused with EINVAL', async () => {
    const nodes = await started('a');
    const { node } = await nodes.leader();
    await expect(node.changePeers(new Set())).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(node.removePeer(peer('a'))).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(node.resetPeers(new Set())).rejects.toMatchObject({ code: 'EINVAL' });
  });

  it('a leader that removes itself hands over at once', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'kept');
    await nodes.during(leader.node.removePeer(leader.node.peer));
    await nodes.clock.advance(300);
    expect(leader.node.isLeader()).toBe(false);
    const next = await nodes.leader(leader.letter);
    await nodes.apply(next, 'more');
    expect(next.node.listPeers()).not.toContain(leader.node.peer);
    expect(next.machine.texts).toEqual(['kept', 'more']);
  });

  it('a former member is added again by a leader that has never led it', async () => {
    const nodes = await started('abc');
    const first = await nodes.leader();
    const [next, former] = [...nodes.members.values()].filter((one) => one !== first);
    if (next === undefined || former === undefined) throw new Error('two followers expected');
    await nodes.during(first.node.removePeer(former.node.peer));
    await nodes.during(first.node.transferLeadershipTo(next.node.peer));
    await nodes.clock.advance(1_000);
    await nodes.during(next.node.addPeer(former.node.peer));
    expect(next.node.listPeers()).toContain(former.node.peer);
    await nodes.apply(next, 'together again');
    await nodes.clock.advance(1_000);
    expect(former.machine.texts).toContain('together again');
  });

  it('a removed member that hears nothing more cannot raise the term of the group', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(500);
    const removed = nodes.follower(leader);
    nodes.isolate(removed.letter);
    await nodes.during(leader.node.removePeer(removed.node.peer));
    const { term } = leader.node.status();
    await nodes.clock.advance(5_000);
    nodes.heal();
    await nodes.clock.advance(5_000);
    expect(leader.node.status().term).toBe(term);
    expect(leader.node.isLeader()).toBe(true);
  });

  it('a change that loses its majority while joint is finished by the next leader', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    for (const letter of ['d', 'e']) await nodes.start(letter, { voters: '' });
    const target = new Set([leader.node.peer, peer('d'), peer('e')]);
    const change = leader.node.changePeers(target);
    const refused = expect(change).rejects.toMatchObject({ code: 'EPERM', outcome: 'unknown' });
    // The joint entry reaches everybody, but no answer reaches the leader.
    let deaf = false;
    nodes.network.deliver = ({ message }) => {
      deaf ||= leader.node.status().changeStage === 'joint';
      return !(deaf && message.to === leader.node.peer);
    };
    await nodes.clock.advance(3_000);
    nodes.heal();
    await nodes.clock.advance(8_000);
    await refused;
    const next = await nodes.leader();
    await nodes.clock.advance(2_000);
    const { configuration } = next.node.status().configuration;
    expect([...configuration.voters].sort()).toEqual([...target].sort());
    expect(configuration.outgoing).toBeUndefined();
  });

  it('a learner receives the log, never votes, and can be promoted or removed', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    const learner = await nodes.start('d', { voters: '' });
    await nodes.during(leader.node.addLearner(peer('d')));
    await nodes.clock.advance(500);
    expect(learner.machine.texts).toEqual(['x']);
    expect(leader.node.listPeers()).toEqual([peer('a')]);
    await nodes.during(leader.node.promoteLearner(peer('d')));
    expect(leader.node.listPeers()).toHaveLength(2);
    await nodes.during(leader.node.removePeer(peer('d')));
    await nodes.during(leader.node.addLearner(peer('d')));
    await nodes.during(leader.node.removeLearner(peer('d')));
    expect(leader.node.status().configuration.configuration.learners.size).toBe(0);
  });
});

describe('guards of a change', () => {
  it('an expected index that has passed is refused and changes nothing', async () => {
    const nodes = await started('abc');
    const { node } = await nodes.leader();
    await nodes.clock.advance(500);
    const index = node.status().committedConfigurationIndex;
    const stale = { expectedConfigurationIndex: LogIndex(index - 1) };
    await expect(nodes.during(node.removePeer(peer('b'), stale))).rejects.toBeDefined();
    expect(node.listPeers()).toHaveLength(3);
    const current = { expectedConfigurationIndex: index };
    await nodes.during(
      node.removePeer(node.listPeers().find((one) => one !== node.peer) ?? node.peer, current),
    );
    expect(node.listPeers()).toHaveLength(2);
  });

  it('a fence that was overtaken is refused', async () => {
    const nodes = await started('abc');
    const { node } = await nodes.leader();
    await nodes.clock.advance(500);
    await nodes.during(node.claimOperator({ fence: 7 }));
    await expect(nodes.during(node.removePeer(peer('z'), { fence: 6 }))).rejects.toBeDefined();
    expect(node.status().configuration.fence).toBe(7);
  });

  it('a repeated operation id returns the first result and writes nothing', async () => {
    const nodes = await started('ab');
    await nodes.start('d', { voters: '' });
    const { node } = await nodes.leader();
    await nodes.clock.advance(500);
    const first = await nodes.during(node.addPeer(peer('d'), { operationId: 'grow-1' }));
    const written = node.status().lastIndex;
    const again = await nodes.during(node.addPeer(peer('d'), { operationId: 'grow-1' }));
    expect(again).toEqual(first);
    expect(node.status().lastIndex).toBe(written);
  });
});

describe('resetPeers', () => {
  it('gives a node that knows no members its first ones', async () => {
    const nodes = prepared('');
    const { node } = await nodes.start('a');
    await nodes.clock.advance(2_000);
    expect(node.isLeader()).toBe(false);
    await nodes.during(node.resetPeers(new Set([peer('a')])));
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    expect(leader.machine.texts).toEqual(['x']);
  });

  it('to the same members does nothing, and is refused with EBUSY during a change', async () => {
    const nodes = await started('abc');
    const { node } = await nodes.leader();
    await nodes.clock.advance(500);
    const { term, identity } = node.status();
    await nodes.during(node.resetPeers(new Set(['a', 'b', 'c'].map(peer))));
    expect(node.status()).toMatchObject({ term, identity: { lineage: identity.lineage } });
    const change = node.addPeer(peer('z'));
    const reset = node.resetPeers(new Set([peer('a')]));
    await expect(nodes.during(reset)).rejects.toMatchObject({ code: 'EBUSY' });
    expect(node.status().identity.lineage).toBe(identity.lineage);
    await expect(nodes.during(change)).rejects.toMatchObject({ code: 'ECATCHUP' });
  });

  it('two survivors given the same members agree on the history and form a group', async () => {
    const nodes = await started('abcde');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'kept');
    await nodes.clock.advance(500);
    const survivors = [...nodes.members.values()].filter((member) => member !== leader).slice(0, 2);
    for (const member of [...nodes.members.values()]) {
      if (survivors.includes(member)) continue;
      await member.node.shutdown();
      nodes.members.delete(member.letter);
    }
    const voters = new Set(survivors.map(({ node }) => node.peer));
    for (const { node } of survivors) await nodes.during(node.resetPeers(voters));
    const next = await nodes.leader();
    await nodes.apply(next, 'more');
    await nodes.clock.advance(500);
    for (const { machine } of survivors) expect(machine.texts).toEqual(['kept', 'more']);
  });

  it('outlives a crash of all survivors before any of them has led', async () => {
    const nodes = await started('abcde');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'kept');
    await nodes.clock.advance(500);
    for (const { node, letter } of [...nodes.members.values()]) {
      if ('ab'.includes(letter)) continue;
      await node.shutdown();
      nodes.members.delete(letter);
    }
    const voters = new Set(['a', 'b'].map(peer));
    for (const letter of 'ab') {
      await nodes.member(letter).node.resetPeers(voters);
      await nodes.restart(letter);
    }
    const next = await nodes.leader();
    await nodes.apply(next, 'more');
    await nodes.clock.advance(500);
    expect(next.node.listPeers()).toEqual([...voters]);
    for (const { machine } of nodes.members.values()) {
      expect(machine.texts).toEqual(['kept', 'more']);
    }
  });
});
