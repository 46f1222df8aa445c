import { afterEach, describe, expect, it } from '@jest/globals';
import { silentLogger } from '../../server/raft/node/logger.ts';
import { Node } from '../../server/raft/node/node.ts';
import { openStorage } from '../../server/raft/storage/open-storage.ts';
import { peer } from '../support/core-cluster.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryNetwork } from '../support/memory-transport.ts';
import { RegisterMachine } from '../support/register-machine.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

type Member = { readonly node: Node<string>; readonly machine: RegisterMachine };

const clock = new ManualClock();
const network = new MemoryNetwork();
const members: Member[] = [];

afterEach(async () => {
  await Promise.all(members.splice(0).map(({ node }) => node.shutdown()));
});

async function start(group: string, letter: string): Promise<Member> {
  const disk = new SimulatedDisk();
  const machine = new RegisterMachine(disk);
  const node = new Node<string>(group, peer(letter));
  const member = { node, machine };
  members.push(member);
  const storage = await openStorage(disk, {
    dataPath: '/data',
    group,
    peer: peer(letter),
    drawIncarnation: () => `${group} ${letter}`,
    segmentBytesMax: 4_096,
  });
  await node.init({
    stateMachine: machine,
    storage,
    transport: network.transport(),
    clock,
    logger: silentLogger,
    seed: members.length,
    initialVoters: new Set(['a', 'b', 'c'].map(peer)),
    initialState: 'new',
  });
  return member;
}

async function leaderOf(group: string): Promise<Member> {
  for (let waited = 0; waited < 20_000; waited += 50) {
    await clock.advance(50);
    const leader = members.find(({ node }) => node.group === group && node.isLeader());
    if (leader !== undefined) return leader;
  }
  throw new Error(`group ${group} has no leader`);
}

async function write(group: string, text: string): Promise<void> {
  const { node } = await leaderOf(group);
  const applied = node.apply({ data: new TextEncoder().encode(text) });
  await clock.advance(500);
  await applied;
}

const textsOf = (group: string): string[][] =>
  members.filter(({ node }) => node.group === group).map(({ machine }) => machine.texts);

describe('several groups', () => {
  it('several groups on the same servers elect, write and fail each for itself', async () => {
    for (const group of ['One', 'Two']) {
      for (const letter of ['a', 'b', 'c']) await start(group, letter);
    }
    await write('One', 'first');
    await write('Two', 'second');
    expect(textsOf('One')).toEqual([['first'], ['first'], ['first']]);
    expect(textsOf('Two')).toEqual([['second'], ['second'], ['second']]);
    const { node: failing } = await leaderOf('Two');
    const kept = await leaderOf('One');
    const { term } = kept.node.status();
    await failing.shutdown();
    await write('Two', 'third');
    expect((await leaderOf('One')).node.status().term).toBe(term);
    expect(kept.node.isLeader()).toBe(true);
  });

  it('a message for another history of the group is refused and counted', async () => {
    for (const letter of ['a', 'b', 'c']) await start('One', letter);
    const { node: leader } = await leaderOf('One');
    await clock.advance(500);
    const survivor = members.find(({ node }) => node !== leader);
    if (survivor === undefined) throw new Error('a follower expected');
    await survivor.node.resetPeers(new Set([survivor.node.peer]));
    await clock.advance(3_000);
    expect(survivor.node.isLeader()).toBe(true);
    expect(leader.isLeader()).toBe(true);
    expect(survivor.node.status().refusedMessages['lineageMismatch']).toBeGreaterThan(0);
  });
});
