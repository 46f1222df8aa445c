import { afterEach, describe, expect, it } from '@jest/globals';
import { NodeGroup } from '../../../support/node-group.ts';
import { peer } from '../../../support/core-cluster.ts';

describe('a leader that has not heard of a member in its term', () => {
  const group = new NodeGroup('ABC');
  afterEach(() => group.shutdown());

  it('names the disk that the membership binds', async () => {
    await group.startAll();
    const old = await group.leader();
    const bound = () => old.node.status().configuration.configuration.incarnations;
    for (let i = 0; i < 100 && bound().size < 3; i++) await group.clock.advance(50);
    const heir = group.follower(old);
    const silent = ['A', 'B', 'C'].find((one) => one !== old.letter && one !== heir.letter) ?? '';
    const disk = bound().get(peer(silent));
    group.isolate(silent.toLowerCase());
    await group.during(old.node.transferLeadershipTo(heir.node.peer));
    await group.leader(old.letter);
    expect(disk).toBeDefined();
    expect(heir.node.status().stableFollowers.get(peer(silent))?.incarnation).toBe(disk);
  });
});
