import { describe, expect, it } from '@jest/globals';
import { createPrng } from '../../server/raft/core/prng.ts';
import { firstLineage } from '../../server/raft/node/lineage.ts';
import { openStorage } from '../../server/raft/storage/open-storage.ts';
import { peer } from '../support/core-cluster.ts';
import type { NodeGroup } from '../support/node-group.ts';
import { nodeGroups } from '../support/node-groups.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

const { prepared } = nodeGroups();

/** Servers started with nothing but an empty disk. */
const waiting = (): NodeGroup => prepared('', { initialState: 'existing' });

/** A disk as it is when only the identity was written. */
async function diskWith(identity: { clusterId: string; joined: boolean }): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  const storage = await openStorage(disk, {
    dataPath: '/data',
    group: 'Test',
    peer: peer('a'),
    drawIncarnation: () => 'disk of a',
    segmentBytesMax: 4_096,
  });
  const lineage = firstLineage('Test', new Set([peer('a')]));
  await storage.identity.update({ ...identity, ...(identity.joined && { lineage }) });
  await storage.close();
  return disk;
}

describe('bootstrap', () => {
  it('makes an empty disk the only voter of a new group', async () => {
    const nodes = waiting();
    const member = await nodes.start('a');
    const { node } = member;
    await nodes.clock.advance(20_000);
    expect(node.status()).toMatchObject({ state: 'follower', term: 1, lastIndex: 0 });
    // Without waiting for an election timeout: the clock stands still.
    await node.bootstrap('c1');
    expect(node.status()).toMatchObject({ state: 'leader', identity: { clusterId: 'c1' } });
    expect(node.status().committedConfigurationIndex).toBeGreaterThan(0);
    expect(node.listPeers()).toEqual([peer('a')]);
    await nodes.apply(member, 'counted');
  });

  it('is harmless when repeated, also at once, after a restart, and in a group that grew', async () => {
    const nodes = waiting();
    const { node } = await nodes.start('a');
    const attempts = await Promise.allSettled([node.bootstrap('c1'), node.bootstrap('c1')]);
    expect(attempts.map(({ status }) => status)).toContain('fulfilled');
    await node.bootstrap('c1');
    const { term, lastIndex } = node.status();
    expect({ term, lastIndex }).toEqual({ term: 3, lastIndex: 1 });
    const again = await nodes.restart('a');
    await nodes.during(again.node.bootstrap('c1'));
    await nodes.start('b');
    await nodes.during(again.node.addPeer(peer('b')));
    await again.node.bootstrap('c1');
    expect(again.node.listPeers()).toEqual([peer('a'), peer('b')]);
  });

  it('gives those that join its cluster id', async () => {
    const nodes = waiting();
    const { node } = await nodes.start('a');
    await node.bootstrap('c1');
    const joining = await nodes.start('b');
    await nodes.during(node.addPeer(peer('b')));
    expect(joining.node.status().identity).toMatchObject({ clusterId: 'c1', joined: true });
    await expect(joining.node.bootstrap('c2')).rejects.toMatchObject({ code: 'EEXIST' });
    await joining.node.bootstrap('c1');
    expect(node.listPeers()).toHaveLength(2);
  });

  it('goes on where a crash left a disk with an identity and no log; nothing happens meanwhile', async () => {
    const nodes = waiting();
    const disk = await diskWith({ clusterId: 'c1', joined: true });
    const { node } = await nodes.start('a', { disk });
    await nodes.clock.advance(20_000);
    expect(node.status()).toMatchObject({ state: 'follower', term: 1, lastIndex: 0 });
    await expect(node.bootstrap('c2')).rejects.toThrow('belongs to cluster c1, not c2');
    await node.bootstrap('c1');
    expect(node.status()).toMatchObject({
      state: 'leader',
      identity: { incarnation: 'disk of a' },
    });
  });

  it('survives a crash at any moment', async () => {
    for (let point = 0, done = false; !done; point++) {
      const nodes = waiting();
      const first = await nodes.start('a');
      const { disk } = first;
      const last = disk.operations + point;
      disk.fault = ({ ordinal }) => (ordinal > last ? 'EIO' : undefined);
      done = await first.node.bootstrap('c1').then(
        () => true,
        () => false,
      );
      const { incarnation } = first.node.status().identity;
      await first.node.shutdown().catch(() => undefined);
      const prng = createPrng(point);
      disk.crash(() => prng.next());
      disk.fault = undefined;
      const { node } = await nodes.start('a', { disk });
      await nodes.during(node.bootstrap('c1'));
      expect(node.listPeers()).toEqual([peer('a')]);
      const joined = { clusterId: 'c1', joined: true, incarnation };
      expect(node.status().identity).toMatchObject(joined);
    }
  });

  it.each(['', 'x'.repeat(201)])('refuses a cluster id of wrong length', async (clusterId) => {
    const { node } = await waiting().start('a');
    await expect(node.bootstrap(clusterId)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(node.status().identity).toMatchObject({ clusterId: '', joined: false });
  });

  it('refuses a disk that was told of another cluster', async () => {
    const disk = await diskWith({ clusterId: 'c1', joined: false });
    const { node } = await waiting().start('a', { disk });
    await expect(node.bootstrap('c2')).rejects.toMatchObject({ code: 'EEXIST' });
    await node.bootstrap('c1');
  });

  it('refuses a member of a group that has no cluster id', async () => {
    const nodes = prepared('a');
    const { node } = await nodes.start('a');
    await nodes.leader();
    const text = 'belongs to a group of a cluster without an id already';
    await expect(node.bootstrap('c1')).rejects.toThrow(text);
  });

  it('refuses a server that was started with voters', async () => {
    const nodes = prepared('ab', { initialState: 'existing' });
    const { node } = await nodes.start('a');
    await expect(node.bootstrap('c1')).rejects.toMatchObject({ code: 'EINVAL' });
  });
});
