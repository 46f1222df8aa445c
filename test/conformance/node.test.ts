import { describe, expect, it } from '@jest/globals';
import { LogIndex } from '../../server/raft/core/ids.ts';
import { Node } from '../../server/raft/node/node.ts';
import { peer } from '../support/core-cluster.ts';
import { nodeGroups } from '../support/node-groups.ts';

const { started } = nodeGroups();

describe('init, shutdown, join', () => {
  it('a node that was never started refuses tasks and shuts down', async () => {
    const node = new Node<string>('Test', peer('a'));
    await expect(node.apply({ data: new Uint8Array(1) })).rejects.toMatchObject({ code: 'EPERM' });
    await node.shutdown();
    await node.join();
  });

  it('shutdown may be called twice; tasks afterwards fail with EPERM; onShutdown is last', async () => {
    const nodes = await started('a');
    const { node, machine } = await nodes.leader();
    await node.shutdown();
    await node.shutdown();
    expect(machine.calls.at(-1)).toBe('shutdown');
    await expect(node.apply({ data: new Uint8Array(1) })).rejects.toMatchObject({ code: 'EPERM' });
  });

  it('a leader that shuts down wakes a successor at once', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await leader.node.shutdown();
    nodes.members.delete(leader.letter);
    await nodes.clock.advance(200);
    expect([...nodes.members.values()].filter(({ node }) => node.isLeader())).toHaveLength(1);
  });
});

describe('apply and the state machine', () => {
  it('single node: elects itself at once and applies', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    for (let i = 0; i < 10; i++) await nodes.apply(leader, String(i), `context ${String(i)}`);
    expect(leader.machine.texts).toHaveLength(10);
    expect(leader.machine.contexts[3]).toBe('context 3');
  });

  it('three nodes: all apply the same, contexts only where proposed', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await Promise.all(['x', 'y', 'z'].map((text) => nodes.apply(leader, text, text)));
    await nodes.clock.advance(500);
    for (const { machine, letter } of nodes.members.values()) {
      expect(machine.texts).toEqual(['x', 'y', 'z']);
      const own = letter === leader.letter;
      expect(machine.contexts.every((context) => (context !== undefined) === own)).toBe(true);
    }
  });

  it('a follower refuses tasks with EPERM and names the leader', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(300);
    const refused = nodes.apply(nodes.follower(leader), 'x');
    await expect(refused).rejects.toMatchObject({
      code: 'EPERM',
      outcome: 'notProposed',
      leader: leader.node.peer,
    });
  });

  it('a task for another term is refused with EPERM', async () => {
    const nodes = await started('a');
    const { node } = await nodes.leader();
    const expectedTerm = node.status().term + 1;
    const refused = node.apply({ data: new Uint8Array(1), expectedTerm });
    await expect(refused).rejects.toMatchObject({ code: 'EPERM', outcome: 'notProposed' });
  });

  it('a task whose leader is deposed fails with an unknown outcome', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    nodes.isolate(leader.letter);
    const lost = nodes.apply(leader, 'lost');
    await expect(lost).rejects.toMatchObject({ code: 'EPERM', outcome: 'unknown' });
  });

  it('too many waiting tasks are refused with EBUSY', async () => {
    const nodes = await started('abc', { pendingTasksMax: 2 });
    const leader = await nodes.leader();
    nodes.isolate(leader.letter);
    const first = [nodes.apply(leader, '1'), nodes.apply(leader, '2')];
    const third = nodes.apply(leader, '3');
    await expect(third).rejects.toMatchObject({ code: 'EBUSY', outcome: 'notProposed' });
    const outcomes = await Promise.allSettled(first);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('onLeaderStart comes only after everything older is applied; stop follows start', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'old');
    await nodes.during(leader.node.transferLeadershipTo('any'));
    const next = await nodes.leader(leader.letter);
    expect(leader.machine.calls.filter((call) => call.startsWith('leader'))).toEqual([
      expect.stringContaining('leaderStart'),
      'leaderStop',
    ]);
    expect(next.machine.texts).toEqual(['old']);
    expect(next.machine.calls.at(-1)).toContain('leaderStart');
  });

  it('setErrorAndRollback stops the node with onError, once', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    leader.machine.poison = 'bad';
    await nodes.apply(leader, 'good');
    await expect(nodes.apply(leader, 'bad')).rejects.toMatchObject({ code: 'ESTATEMACHINE' });
    expect(leader.machine.errors).toHaveLength(1);
    expect(leader.node.status().state).toBe('error');
    await expect(nodes.apply(leader, 'more')).rejects.toMatchObject({ code: 'EPERM' });
    expect(leader.machine.texts).toEqual(['good']);
  });
});

describe('restart', () => {
  it('what was applied is there again', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    for (let i = 0; i < 300; i++) await nodes.apply(leader, `entry ${String(i)}`);
    for (const letter of ['a', 'b', 'c']) await nodes.restart(letter);
    await nodes.leader();
    await nodes.clock.advance(1_000);
    for (const { machine } of nodes.members.values()) expect(machine.texts).toHaveLength(300);
  });

  it('a crash of all disks at once loses nothing that was acknowledged', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    for (let i = 0; i < 50; i++) await nodes.apply(leader, `entry ${String(i)}`);
    for (const { node, disk } of nodes.members.values()) {
      disk.crash(() => 0.5);
      // Its disk operations never end any more: the process is gone as far as it can tell.
      void node.shutdown();
    }
    for (const { letter, disk } of [...nodes.members.values()]) await nodes.start(letter, { disk });
    const next = await nodes.leader();
    await nodes.clock.advance(500);
    expect(next.machine.texts).toHaveLength(50);
  });
});

describe('membership', () => {
  it('addPeer, listPeers, removePeer', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'before');
    const newcomer = await nodes.start('d', { voters: '' });
    const added = await nodes.during(leader.node.addPeer(peer('d')));
    expect(added.newVoters).toHaveLength(4);
    expect(leader.node.listPeers()).toContain(peer('d'));
    await nodes.clock.advance(300);
    expect(newcomer.machine.texts).toEqual(['before']);
    await nodes.during(leader.node.removePeer(peer('d')));
    expect(leader.node.listPeers()).toHaveLength(3);
    expect(() => nodes.follower(leader).node.listPeers()).toThrow('Not leader');
  });

  it('addPeer of a peer that does not answer fails with ECATCHUP', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    const failed = nodes.during(leader.node.addPeer(peer('z')));
    await expect(failed).rejects.toMatchObject({ code: 'ECATCHUP', number: 10_003 });
  });

  it('changePeers moves the group to other members', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    for (const letter of ['d', 'e']) await nodes.start(letter, { voters: '' });
    const target = new Set([leader.node.peer, peer('d'), peer('e')]);
    await nodes.during(leader.node.changePeers(target));
    expect([...leader.node.listPeers()].sort()).toEqual([...target].sort());
  });

  it('a member with a wiped disk cannot vote as its former self', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(500);
    const wiped = nodes.follower(leader).letter;
    await nodes.member(wiped).node.shutdown();
    const fresh = await nodes.start(wiped, { voters: '' });
    await nodes.clock.advance(3_000);
    expect(fresh.node.status().identity.joined).toBe(false);
    expect(fresh.node.status().lastIndex).toBe(0);
    expect(fresh.node.status().refusedMessages['incarnationMismatch']).toBeGreaterThan(0);
    await nodes.during(leader.node.removePeer(peer(wiped)));
    await nodes.during(leader.node.addPeer(peer(wiped)));
    await nodes.clock.advance(500);
    expect(fresh.node.status().identity.joined).toBe(true);
  });

  it('resetPeers brings a lone survivor back as a group of its own', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'kept');
    const survivor = nodes.follower(leader);
    await nodes.clock.advance(300);
    for (const member of [...nodes.members.values()]) {
      if (member === survivor) continue;
      await member.node.shutdown();
      nodes.members.delete(member.letter);
    }
    const before = survivor.node.status().identity.lineage;
    await nodes.during(survivor.node.resetPeers(new Set([survivor.node.peer])));
    await nodes.leader();
    await nodes.apply(survivor, 'more');
    expect(survivor.machine.texts).toEqual(['kept', 'more']);
    expect(survivor.node.status().identity.lineage).not.toBe(before);
  });
});

describe('leadership', () => {
  it('transferLeadershipTo makes exactly that follower leader', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(300);
    const target = nodes.follower(leader);
    await nodes.during(leader.node.transferLeadershipTo(target.node.peer));
    expect((await nodes.leader()).letter).toBe(target.letter);
  });

  it('a transfer to a peer that is down is refused with EHOSTUNREACH', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(300);
    const target = nodes.follower(leader);
    await target.node.shutdown();
    await nodes.clock.advance(300);
    const failed = nodes.during(leader.node.transferLeadershipTo(target.node.peer));
    await expect(failed).rejects.toMatchObject({ code: 'EHOSTUNREACH' });
  });

  it('vote makes a follower lead; on a leader it is refused with EPERM', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(300);
    await expect(nodes.during(leader.node.vote(100))).rejects.toMatchObject({ code: 'EPERM' });
    const follower = nodes.follower(leader);
    await nodes.during(follower.node.vote(1_000));
    await nodes.clock.advance(300);
    expect(follower.node.isLeader()).toBe(true);
  });

  it('leases: valid on the leader alone, expired without a majority', async () => {
    const nodes = await started('abc', { leaderLease: true, clockDriftMaxMs: 100 });
    const leader = await nodes.leader();
    await nodes.clock.advance(300);
    expect(leader.node.leaderLeaseStatus().state).toBe('valid');
    expect(nodes.follower(leader).node.isLeaderLeaseValid()).toBe(false);
    nodes.isolate(leader.letter);
    await nodes.clock.advance(1_200);
    expect(leader.node.isLeaderLeaseValid()).toBe(false);
  });

  it('resetElectionTimeoutMs refuses what exceeds the sum with the drift', async () => {
    const nodes = await started('a');
    const { node } = await nodes.leader();
    await expect(node.resetElectionTimeoutMs(5_000)).rejects.toMatchObject({ code: 'EINVAL' });
    await node.resetElectionTimeoutMs(500);
    expect(node.status().electionTimeoutMs).toBe(500);
    await node.resetElectionTimeoutMs(5_000, 100);
    expect(node.status().electionTimeoutMs).toBe(5_000);
  });
});

describe('reads', () => {
  it('readIndex on the leader covers what was applied before; on a follower it is refused', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    const { index } = await nodes.apply(leader, 'x');
    expect(await nodes.during(leader.node.readIndex())).toBeGreaterThanOrEqual(index);
    const refused = nodes.during(nodes.follower(leader).node.readIndex());
    await expect(refused).rejects.toMatchObject({ code: 'EPERM' });
  });

  it('readCommittedUserLog finds the next user entry, with the errors of braft', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    const { index } = await nodes.apply(leader, 'x');
    const found = await leader.node.readCommittedUserLog(1);
    expect(found.index).toBe(index);
    expect(new TextDecoder().decode(found.data)).toBe('x');
    const { node } = leader;
    await expect(node.readCommittedUserLog(0)).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(node.readCommittedUserLog(999)).rejects.toMatchObject({ code: 'ENOMOREUSERLOG' });
  });
});

describe('snapshots', () => {
  it('a restart loads the snapshot and applies only what follows it', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    for (let i = 0; i < 20; i++) await nodes.apply(leader, String(i));
    await nodes.during(leader.node.snapshot());
    await nodes.apply(leader, 'after');
    const again = await nodes.restart('a');
    await nodes.leader();
    await nodes.clock.advance(100);
    expect(again.machine.calls[0]).toBe('snapshotLoad');
    expect(again.machine.texts).toHaveLength(21);
    expect(again.machine.contexts).toHaveLength(1);
  });

  it('a snapshot without anything new succeeds and saves nothing', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    await nodes.during(leader.node.snapshot());
    await nodes.during(leader.node.snapshot());
    expect(leader.machine.calls.filter((call) => call === 'snapshotSave')).toHaveLength(1);
  });

  it('a follower that missed two snapshots is brought up by an installed one', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    const down = nodes.follower(leader);
    nodes.isolate(down.letter);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 30; i++) await nodes.apply(leader, `${String(round)}/${String(i)}`);
      await nodes.during(leader.node.snapshot());
    }
    await nodes.apply(leader, 'last');
    nodes.heal();
    await nodes.clock.advance(4_000);
    expect(down.machine.calls).toContain('snapshotLoad');
    expect(down.machine.texts).toEqual(leader.machine.texts);
    const { node } = leader;
    await expect(node.readCommittedUserLog(1)).rejects.toMatchObject({ code: 'ELOGDELETED' });
  });

  it('the log is compacted by size without anybody asking', async () => {
    const nodes = await started('a', { snapshotLogBytes: 2_000 });
    const leader = await nodes.leader();
    for (let i = 0; i < 200; i++) await nodes.apply(leader, 'x'.repeat(50));
    await nodes.clock.advance(200);
    expect(leader.node.status().snapshotIndex).toBeGreaterThan(0);
    expect(leader.node.status().firstIndex).toBeGreaterThan(LogIndex(1));
  });
});

describe('read-only mode', () => {
  it('a read-only leader refuses writes with EREADONLY and reads on', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await leader.node.enterReadonlyMode();
    await expect(nodes.apply(leader, 'x')).rejects.toMatchObject({ code: 'EREADONLY' });
    expect(leader.node.readonly()).toBe(true);
    expect(await nodes.during(leader.node.readIndex())).toBeGreaterThan(0);
    await leader.node.leaveReadonlyMode();
    await nodes.apply(leader, 'y');
    expect(leader.machine.texts).toEqual(['y']);
  });
});

describe('a failing disk', () => {
  it('a failed sync stops the node: nothing is acknowledged after it', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'good');
    leader.disk.fault = ({ type }) => (type === 'sync' ? 'EIO' : undefined);
    await expect(nodes.apply(leader, 'lost')).rejects.toMatchObject({ outcome: 'unknown' });
    expect(leader.node.status().state).toBe('error');
    expect(leader.machine.errors[0]?.type).toBe('log');
  });
});
