import { describe, expect, it } from '@jest/globals';
import { RaftError } from '../../server/raft/error.ts';
import { peer } from '../support/core-cluster.ts';
import type { Member } from '../support/node-group.ts';
import { nodeGroups } from '../support/node-groups.ts';

const { started } = nodeGroups();
const callsOf = ({ machine }: Member, kind: RegExp): string[] =>
  machine.calls.filter((call) => kind.test(call));

describe('onStartFollowing and onStopFollowing', () => {
  it('alternate, and grow by one per change of leader', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(500);
    expect(callsOf(leader, /Following/)).toEqual([]);
    const [next, bystander] = [...nodes.members.values()].filter((one) => one !== leader);
    if (next === undefined || bystander === undefined) throw new Error('two followers expected');
    expect(callsOf(bystander, /Following/)).toEqual([`startFollowing ${leader.node.peer}`]);
    await nodes.during(leader.node.transferLeadershipTo(next.node.peer));
    await nodes.clock.advance(500);
    const both = [leader, next].map(({ node }) => node.peer);
    expect(callsOf(bystander, /Following/)).toEqual([
      `startFollowing ${String(both[0])}`,
      `stopFollowing ${String(both[0])}`,
      `startFollowing ${String(both[1])}`,
    ]);
    expect(callsOf(next, /Following/)).toHaveLength(2);
    expect(callsOf(leader, /Following/)).toEqual([`startFollowing ${String(both[1])}`]);
  });
});

describe('onConfigurationCommitted', () => {
  it('comes once per stable configuration and never for a joint one', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    for (const letter of ['b', 'c']) await nodes.start(letter, { voters: '' });
    await nodes.clock.advance(500);
    const before = callsOf(leader, /^configuration$/).length;
    await nodes.during(leader.node.changePeers(new Set(['a', 'b', 'c'].map(peer))));
    await nodes.clock.advance(500);
    expect(callsOf(leader, /^configuration$/)).toHaveLength(before + 1);
  });
});

describe('onError', () => {
  it('a node in error neither takes requests nor holds up its group; a restart heals it', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(500);
    const broken = nodes.follower(leader);
    broken.machine.poison = 'bad';
    await nodes.apply(leader, 'bad');
    await nodes.apply(leader, 'more');
    await nodes.clock.advance(500);
    expect(broken.node.status().state).toBe('error');
    const { node } = broken;
    const requests = [
      node.apply({ data: new Uint8Array(1) }),
      node.readIndex(),
      node.snapshot(),
      node.vote(100),
      node.addPeer(peer('d')),
      node.transferLeadershipTo('any'),
      node.resetPeers(new Set([peer('a')])),
      node.enterReadonlyMode(),
      node.resetElectionTimeoutMs(500),
    ];
    for (const request of await Promise.allSettled(requests)) {
      expect(request).toMatchObject({ status: 'rejected', reason: { code: 'EPERM' } });
    }
    expect(broken.machine.calls.at(-1)).toBe('error');
    const healed = await nodes.restart(broken.letter);
    await nodes.clock.advance(2_000);
    expect(healed.machine.texts).toEqual(['bad', 'more']);
  });

  it('a leader in error lets a successor take over at once', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(500);
    leader.machine.poison = 'bad';
    await expect(nodes.apply(leader, 'bad')).rejects.toMatchObject({ code: 'ESTATEMACHINE' });
    await nodes.clock.advance(200);
    const others = [...nodes.members.values()].filter((member) => member !== leader);
    expect(others.filter(({ node }) => node.isLeader())).toHaveLength(1);
    expect(leader.node.isLeader()).toBe(false);
  });
});

describe('snapshot', () => {
  it('without support it is refused with EINVAL and the node stays', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    Object.assign(leader.machine, { onSnapshotSave: undefined });
    await nodes.apply(leader, 'x');
    await expect(leader.node.snapshot()).rejects.toMatchObject({ code: 'EINVAL' });
    await nodes.apply(leader, 'y');
    expect(leader.node.status().state).toBe('leader');
  });

  it('a second one while one is saved is refused with EBUSY', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    const first = leader.node.snapshot();
    expect(leader.node.status().snapshotActivity).toBe('saving');
    await expect(leader.node.snapshot()).rejects.toMatchObject({ code: 'EBUSY' });
    await nodes.during(first);
    expect(leader.node.status()).toMatchObject({ snapshotActivity: 'idle', snapshotIndex: 2 });
  });

  it('one that the state machine fails is reported, leaves nothing, and may be tried again', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    const save = leader.machine.onSnapshotSave.bind(leader.machine);
    Object.assign(leader.machine, { onSnapshotSave: () => Promise.reject(new Error('no')) });
    await expect(nodes.during(leader.node.snapshot())).rejects.toThrow('no');
    Object.assign(leader.machine, { onSnapshotSave: save });
    await nodes.during(leader.node.snapshot());
    expect(leader.node.status().state).toBe('leader');
    expect(leader.node.status().snapshotIndex).toBeGreaterThan(0);
  });

  it('the interval saves one by itself', async () => {
    const nodes = await started('a', { snapshotIntervalMs: 5_000 });
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    expect(leader.node.status().timers.snapshotMs).toBeLessThanOrEqual(5_000);
    await nodes.clock.advance(11_000);
    expect(leader.node.status().snapshotIndex).toBeGreaterThan(0);
  });
});

describe('a disk that fails while a snapshot is saved', () => {
  it('stops the node with a snapshot error', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    leader.disk.fault = ({ type, path }) =>
      type === 'sync' && path.includes('snapshot') ? 'EIO' : undefined;
    await expect(nodes.during(leader.node.snapshot())).rejects.toBeInstanceOf(RaftError);
    expect(leader.machine.errors.map(({ type }) => type)).toEqual(['snapshot']);
    expect(leader.node.status().state).toBe('error');
  });
});
