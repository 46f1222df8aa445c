import { describe, expect, it } from '@jest/globals';
import { silentLogger } from '../../server/raft/node/logger.ts';
import { Node } from '../../server/raft/node/node.ts';
import { openStorage } from '../../server/raft/storage/open-storage.ts';
import { peer } from '../support/core-cluster.ts';
import { nodeGroups } from '../support/node-groups.ts';
import { RegisterMachine } from '../support/register-machine.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

const { prepared, started } = nodeGroups();

describe('init', () => {
  it('a second call is refused with EINVAL and disturbs nothing', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    const again = leader.node.init({
      stateMachine: leader.machine,
      storage: await openOther(),
      transport: nodes.network.transport(),
      clock: nodes.clock,
      logger: silentLogger,
      seed: 1,
      initialVoters: new Set(),
    });
    await expect(again).rejects.toMatchObject({ code: 'EINVAL' });
    await nodes.apply(leader, 'x');
  });

  it('that is overtaken by a shutdown fails with EPERM and leaves nothing running', async () => {
    const nodes = prepared('a');
    const node = new Node<string>('Test', peer('a'));
    const disk = new SimulatedDisk();
    const machine = new RegisterMachine(disk);
    const init = node.init({
      stateMachine: machine,
      storage: await openOther(disk),
      transport: nodes.network.transport(),
      clock: nodes.clock,
      logger: silentLogger,
      seed: 1,
      initialVoters: new Set([peer('a')]),
      initialState: 'new',
    });
    const stopped = node.shutdown();
    await expect(init).rejects.toMatchObject({ code: 'EPERM' });
    await stopped;
    await nodes.clock.advance(5_000);
    expect(node.isLeader()).toBe(false);
    expect(machine.calls).toEqual([]);
  });

  it('that fails to load its snapshot can be shut down and joined', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    await nodes.during(leader.node.snapshot());
    await leader.node.shutdown();
    nodes.members.clear();
    const node = new Node<string>('Test', peer('a'));
    const machine = new RegisterMachine(leader.disk);
    Object.assign(machine, { onSnapshotLoad: () => Promise.reject(new Error('unreadable')) });
    const init = node.init({
      stateMachine: machine,
      storage: await openOther(leader.disk),
      transport: nodes.network.transport(),
      clock: nodes.clock,
      logger: silentLogger,
      seed: 1,
      initialVoters: new Set([peer('a')]),
    });
    await expect(init).rejects.toThrow('unreadable');
    expect(node.state()).toBe('uninitialized');
    await node.shutdown();
    await node.join();
    expect(node.state()).toBe('shutdown');
  });

  it('a node that knows no members waits to be contacted', async () => {
    const nodes = prepared('');
    const { node } = await nodes.start('a');
    await nodes.clock.advance(10_000);
    expect(node.status()).toMatchObject({ state: 'follower', leader: undefined });
  });

  it('an empty disk of an existing group does not campaign', async () => {
    const nodes = await started('abc', { initialState: 'existing' });
    await nodes.clock.advance(10_000);
    for (const { node } of nodes.members.values()) {
      expect(node.status().identity.joined).toBe(false);
      expect(node.isLeader()).toBe(false);
    }
  });
});

describe('join', () => {
  it('resolves when the node has stopped, not before', async () => {
    const nodes = await started('a');
    const { node } = await nodes.leader();
    let joined = false;
    const join = node.join().then(() => {
      joined = true;
    });
    await nodes.clock.advance(100);
    expect(joined).toBe(false);
    await node.shutdown();
    await join;
    expect(node.state()).toBe('shutdown');
  });
});

describe('shutdown', () => {
  it('answers every request that waits', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(500);
    nodes.network.deliver = () => false;
    const { node } = leader;
    const waiting = [
      node.apply({ data: new Uint8Array(1) }),
      node.readIndex(),
      node.addPeer(peer('d')),
    ];
    const outcomes = Promise.allSettled(waiting);
    await node.shutdown();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'EPERM' } });
    }
  });
});

describe('read-only mode', () => {
  it('a majority that is read-only makes the leader so; it ends when one of them writes again', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(500);
    const followers = [...nodes.members.values()].filter((member) => member !== leader);
    for (const { node } of followers) await node.enterReadonlyMode();
    await nodes.clock.advance(1_000);
    expect(leader.node.readonly()).toBe(true);
    await expect(nodes.apply(leader, 'x')).rejects.toMatchObject({
      code: 'EREADONLY',
      outcome: 'notProposed',
    });
    await followers[0]?.node.leaveReadonlyMode();
    await nodes.clock.advance(1_000);
    await nodes.apply(leader, 'y');
    expect(leader.machine.texts).toEqual(['y']);
  });

  it('members are added and removed, and snapshots saved, all the same', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    await leader.node.enterReadonlyMode();
    await nodes.start('d', { voters: '' });
    await nodes.during(leader.node.addPeer(peer('d')));
    await nodes.during(leader.node.snapshot());
    await nodes.during(leader.node.removePeer(peer('d')));
    expect(leader.node.listPeers()).toHaveLength(3);
  });

  it('is forgotten by a restart', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    await leader.node.enterReadonlyMode();
    const again = await nodes.restart('a');
    await nodes.leader();
    expect(again.node.readonly()).toBe(false);
  });
});

describe('a full disk', () => {
  it('refuses tasks with ENOSPC before they are proposed, and the group stays up', async () => {
    const nodes = await started('a');
    const leader = await nodes.leader();
    await nodes.apply(leader, 'x');
    const storage = await openOther();
    const node = new Node<string>('Other', peer('a'));
    await node.init({
      stateMachine: leader.machine,
      storage: { ...storage, log: withoutSpace(storage.log) },
      transport: nodes.network.transport(),
      clock: nodes.clock,
      logger: silentLogger,
      seed: 1,
      initialVoters: new Set([peer('a')]),
      initialState: 'new',
    });
    await nodes.clock.advance(500);
    expect(node.isLeader()).toBe(true);
    const refused = node.apply({ data: new Uint8Array(1) });
    await expect(refused).rejects.toMatchObject({ code: 'ENOSPC', outcome: 'notProposed' });
    await node.shutdown();
  });
});

type Storage = Awaited<ReturnType<typeof openStorage>>;

function openOther(disk = new SimulatedDisk()): Promise<Storage> {
  return openStorage(disk, {
    dataPath: '/data',
    group: 'Test',
    peer: peer('a'),
    drawIncarnation: () => 'other',
    segmentBytesMax: 4_096,
  });
}

/** The same log on a disk whose reserve is in use. */
function withoutSpace(log: Storage['log']): Storage['log'] {
  return {
    recovered: log.recovered,
    write: (write) => log.write(write),
    read: (range) => log.read(range),
    truncatePrefix: (firstKept) => log.truncatePrefix(firstKept),
    reset: (next) => log.reset(next),
    hasSpace: () => false,
    durableIndex: () => log.durableIndex(),
    close: () => log.close(),
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  };
}
