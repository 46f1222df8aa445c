import { describe, expect, it } from '@jest/globals';
import { peer } from '../support/core-cluster.ts';
import { nodeGroups } from '../support/node-groups.ts';
import { StallingProcess } from '../support/stalling-process.ts';

const { prepared, started: bare } = nodeGroups();
const started: typeof bare = async (voters, options) => {
  const group = await bare(voters, options);
  await group.leader();
  await group.clock.advance(500);
  return group;
};
const leases = { leaderLease: true, electionTimeoutMs: 1_000, clockDriftMaxMs: 500 };

describe('a quiet group', () => {
  it('keeps leader and term', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    const { term } = leader.node.status();
    await nodes.clock.advance(20_000);
    expect((await nodes.leader()).letter).toBe(leader.letter);
    expect(leader.node.status().term).toBe(term);
  });

  it('replaces a leader that is cut off, whose writes it never sees', async () => {
    const nodes = await started('abc');
    const old = await nodes.leader();
    await nodes.apply(old, 'kept');
    nodes.isolate(old.letter);
    const lost = nodes.apply(old, 'lost');
    await expect(lost).rejects.toMatchObject({ outcome: 'unknown' });
    const next = await nodes.leader(old.letter);
    await nodes.apply(next, 'new');
    nodes.heal();
    await nodes.clock.advance(3_000);
    for (const { machine } of nodes.members.values())
      expect(machine.texts).toEqual(['kept', 'new']);
  });

  it('a restarted leader never applies what it had proposed in vain', async () => {
    const nodes = await started('abc');
    const old = await nodes.leader();
    for (let i = 0; i < 10; i++) await nodes.apply(old, `kept ${String(i)}`);
    nodes.isolate(old.letter);
    const vain = Array.from({ length: 8 }, (_, i) => nodes.apply(old, `vain ${String(i)}`));
    expect((await Promise.allSettled(vain)).every(({ status }) => status === 'rejected')).toBe(
      true,
    );
    await old.node.shutdown();
    nodes.members.delete(old.letter);
    const next = await nodes.leader();
    for (let i = 0; i < 10; i++) await nodes.apply(next, `new ${String(i)}`);
    nodes.heal();
    // Its log still ends in the lost suffix when the first commit reaches it.
    const again = await nodes.start(old.letter, { disk: old.disk });
    await nodes.clock.advance(3_000);
    expect(again.machine.texts).toEqual(next.machine.texts);
  });

  it('a candidate names the disk it has heard of a voter that no configuration binds yet', async () => {
    const nodes = prepared('abc');
    const disks: string[] = [];
    nodes.network.deliver = ({ message }) => {
      if (message.type === 'voteRequest' && message.toIncarnation !== undefined) {
        disks.push(message.toIncarnation);
      }
      return true;
    };
    await nodes.startAll();
    const leader = await nodes.leader();
    const others = [...nodes.members.values()].filter((member) => member !== leader);
    const known = others.map(({ node }) => node.status().identity.incarnation);
    expect(disks.length).toBeGreaterThan(0);
    for (const disk of disks) expect(known).toContain(disk);
  });

  it('leaderId and nodeId name the members as braft does', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    for (const { node } of nodes.members.values()) expect(node.leaderId()).toBe(leader.node.peer);
    expect(leader.node.nodeId()).toBe(`Test:${leader.node.peer}`);
  });
});

describe('a stall of the event loop', () => {
  it.each([
    ['a follower', 1_000, false],
    ['the leader', 5_000, true],
  ])('of three seconds on %s changes no term', async (_, electionTimeoutMs, stallLeader) => {
    const nodes = prepared('abc', { electionTimeoutMs });
    const stalls = new Map<string, StallingProcess>();
    for (const letter of ['a', 'b', 'c']) {
      const stall = new StallingProcess(nodes, letter);
      stalls.set(letter, stall);
      await nodes.start(letter, { clock: stall });
    }
    const leader = await nodes.leader();
    await nodes.clock.advance(1_000);
    const { term } = leader.node.status();
    const stalled = stallLeader ? leader : nodes.follower(leader);
    stalls.get(stalled.letter)?.stall();
    await nodes.clock.advance(3_000);
    stalls.get(stalled.letter)?.resume();
    await nodes.clock.advance(10_000);
    expect((await nodes.leader()).letter).toBe(leader.letter);
    for (const { node, machine } of nodes.members.values()) {
      expect(node.status().term).toBe(term);
      // Nobody so much as doubted the leader.
      expect(machine.calls.filter((call) => /leaderStop|stopFollowing/.test(call))).toEqual([]);
    }
  });
});

describe('transferLeadershipTo', () => {
  it('to itself is done; to a stranger EINVAL; on a follower EPERM; ANY_PEER is chosen', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    const { node } = leader;
    await node.transferLeadershipTo(node.peer);
    expect(node.isLeader()).toBe(true);
    await expect(node.transferLeadershipTo(peer('z'))).rejects.toMatchObject({ code: 'EINVAL' });
    const follower = nodes.follower(leader).node;
    await expect(follower.transferLeadershipTo('any')).rejects.toMatchObject({ code: 'EPERM' });
  });

  it('that does not come about ends in the same term, with another lease and a second start', async () => {
    const nodes = await started('abc', leases);
    const leader = await nodes.leader();
    const { node, machine } = leader;
    const target = nodes.follower(leader);
    const { term } = node.status();
    const { leaseEpoch } = node.leaderLeaseStatus();
    nodes.network.deliver = ({ message }) => message.type !== 'timeoutNow';
    await node.transferLeadershipTo(target.node.peer);
    expect(node.status().state).toBe('transferring');
    expect(node.leaderLeaseStatus().state).toBe('expired');
    await expect(nodes.apply(leader, 'x')).rejects.toMatchObject({
      code: 'EBUSY',
      outcome: 'notProposed',
    });
    await expect(node.transferLeadershipTo('any')).rejects.toMatchObject({ code: 'EBUSY' });
    await nodes.clock.advance(2_000);
    expect(node.status()).toMatchObject({ state: 'leader', term });
    expect(node.leaderLeaseStatus()).toMatchObject({ state: 'valid', term });
    expect(node.leaderLeaseStatus().leaseEpoch).toBeGreaterThan(leaseEpoch);
    const start = `leaderStart ${String(term)}`;
    const seen = machine.calls.filter((call) => call.startsWith('leader'));
    expect(seen).toEqual([start, 'leaderStop', start]);
    await nodes.apply(leader, 'y');
  });

  it('waits until the target holds the whole log', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    const target = nodes.follower(leader);
    const late = ({ message }: { message: { type: string; to: string } }): boolean =>
      message.type !== 'appendRequest' || message.to !== target.node.peer;
    nodes.network.deliver = late;
    await nodes.apply(leader, 'x');
    await leader.node.transferLeadershipTo(target.node.peer);
    expect(leader.node.status().state).toBe('transferring');
    nodes.heal();
    await nodes.clock.advance(900);
    expect(target.node.isLeader()).toBe(true);
    expect(target.machine.texts).toEqual(['x']);
  });
});

describe('leases', () => {
  it('a transfer moves the lease: expired here, valid there', async () => {
    const nodes = await started('abc', leases);
    const leader = await nodes.leader();
    const target = nodes.follower(leader);
    await nodes.during(leader.node.transferLeadershipTo(target.node.peer));
    expect(leader.node.isLeaderLeaseValid()).toBe(false);
    await nodes.clock.advance(300);
    expect(target.node.leaderLeaseStatus().state).toBe('valid');
  });

  it('two leases are never valid at once while leaders are cut off', async () => {
    const nodes = await started('abcde', leases);
    let leadersSeen = 0;
    for (let round = 0; round < 6; round++) {
      const leader = await nodes.leader();
      nodes.isolate(leader.letter);
      for (let step = 0; step < 150; step++) {
        await nodes.clock.advance(20);
        const valid = [...nodes.members.values()].filter(({ node }) => node.isLeaderLeaseValid());
        expect(valid.length).toBeLessThanOrEqual(1);
        if (valid[0] !== undefined && valid[0] !== leader) leadersSeen++;
      }
      nodes.heal();
      await nodes.clock.advance(2_000);
    }
    expect(leadersSeen).toBeGreaterThan(0);
  });

  it('disabled: the status says so and a lease read asks a majority', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    expect(leader.node.leaderLeaseStatus().state).toBe('disabled');
    nodes.isolate(leader.letter);
    const read = nodes.during(leader.node.readIndex({ consistency: 'lease' }));
    await expect(read).rejects.toMatchObject({ code: 'EPERM' });
  });

  it('a lease read is answered without a message to anybody', async () => {
    const nodes = await started('abc', leases);
    const leader = await nodes.leader();
    const { index } = await nodes.apply(leader, 'x');
    nodes.network.deliver = () => false;
    await expect(leader.node.readIndex({ consistency: 'lease' })).resolves.toBe(index);
  });

  it('a majority is lost: the lease ends before another leader can exist', async () => {
    const nodes = await started('abc', leases);
    const leader = await nodes.leader();
    nodes.isolate(leader.letter);
    for (let step = 0; step < 200; step++) {
      await nodes.clock.advance(20);
      const others = [...nodes.members.values()].filter((member) => member !== leader);
      if (others.some(({ node }) => node.isLeader())) break;
    }
    expect(leader.node.isLeaderLeaseValid()).toBe(false);
    expect((await nodes.leader(leader.letter)).letter).not.toBe(leader.letter);
  });
});

describe('vote', () => {
  it('elects within half a second in spite of leases, and moves the drift by the difference', async () => {
    const nodes = await started('abc', leases);
    const leader = await nodes.leader();
    const follower = nodes.follower(leader);
    await follower.node.vote(50);
    await nodes.clock.advance(500);
    expect(follower.node.isLeader()).toBe(true);
    expect(follower.node.status().electionTimeoutMs).toBe(50);
    await expect(follower.node.resetElectionTimeoutMs(1_501)).rejects.toMatchObject({
      code: 'EINVAL',
    });
    await follower.node.resetElectionTimeoutMs(1_500);
  });

  it('longer than election timeout and drift together is refused with EINVAL', async () => {
    const nodes = await started('abc', leases);
    const { node } = nodes.follower(await nodes.leader());
    await expect(node.vote(1_501)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(node.status().electionTimeoutMs).toBe(1_000);
  });
});
