import { afterEach, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type AtomicClient } from '../../client/index.ts';
import { MembershipClient } from '../../client/membership-client.ts';
import { ClusterProcess, type ServerProcess } from '../support/cluster-process.ts';

const STALL_MS = 3_000;

let cluster: ClusterProcess;

afterEach(async () => {
  await cluster.stop();
}, 30_000);

type Members = { readonly leader: ServerProcess; readonly followers: readonly ServerProcess[] };
type Choice = (members: Members) => readonly ServerProcess[];

const oneFollower: Choice = ({ followers }) => followers.slice(0, 1);
const theLeader: Choice = ({ leader }) => [leader];
/** As when the machine is suspended. */
const allThree: Choice = ({ leader, followers }) => [leader, ...followers];

/** What the servers say of their terms and leaders, and how often each changed its role so far. */
async function viewOf(admin: MembershipClient): Promise<object> {
  const statuses = await Promise.all(cluster.servers.map(({ peer }) => admin.getStatus(peer)));
  return {
    terms: [...new Set(statuses.map(({ term }) => term))],
    leaders: [...new Set(statuses.map(({ leaderId }) => leaderId))],
    roleChanges: cluster.servers.map(({ log }) => readFileSync(log, 'utf8').split(' -> ').length),
  };
}

/** Writes once more and waits until every server has it: each has heard its peers and ticked. */
async function allFollow(client: AtomicClient, admin: MembershipClient): Promise<void> {
  await client.exchange(1n, 1n);
  const { lastIndex } = await admin.getStatus((await cluster.leader()).peer);
  await cluster.until('all servers have applied the write', async () => {
    const statuses = await Promise.all(cluster.servers.map(({ peer }) => admin.getStatus(peer)));
    return statuses.every(({ knownAppliedIndex }) => knownAppliedIndex >= lastIndex);
  });
}

describe('a process that stands still for three seconds', () => {
  it.each<[string, number, readonly Choice[]]>([
    ['1 s, as of npm start: a follower; all', 1_000, [oneFollower, allThree]],
    ['5 s, the default of the server: a follower; the leader', 5_000, [oneFollower, theLeader]],
  ])('changes no term at an election timeout of %s', async (_, electionTimeoutMs, choices) => {
    cluster = new ClusterProcess({ size: 3, firstPort: 26_200, electionTimeoutMs });
    await cluster.start();
    await using client = connect({ servers: cluster.conf, timeoutMs: 30_000 });
    await using admin = new MembershipClient({ group: 'Atomic', conf: cluster.conf });
    await allFollow(client, admin);
    const leader = await cluster.leader();
    const followers = cluster.servers.filter((server) => server !== leader);
    const before = await viewOf(admin);
    expect(before).toMatchObject({ terms: [expect.anything()], leaders: [leader.peer] });
    for (const choose of choices) {
      const stalled = choose({ leader, followers });
      for (const { child } of stalled) child.kill('SIGSTOP');
      await pause(STALL_MS);
      for (const { child } of stalled) child.kill('SIGCONT');
      await allFollow(client, admin);
      expect(await viewOf(admin)).toEqual(before);
    }
  });
});
