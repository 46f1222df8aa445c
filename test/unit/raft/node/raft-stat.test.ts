import { afterEach, expect, it } from '@jest/globals';
import { raftStat } from '../../../../server/raft/node/raft-stat.ts';
import { NodeGroup } from '../../../support/node-group.ts';

let group: NodeGroup | undefined;
afterEach(async () => {
  await group?.shutdown();
});

it("shows leader and follower with the lines of braft's page, in its order", async () => {
  group = new NodeGroup('abc');
  await group.startAll();
  const leader = await group.leader();
  await group.clock.advance(300);
  const names = (text: string): string[] =>
    text.split('\n').flatMap((line) => /^([a-z_]+)(?:_\d+@[^:]+:\d+:0:0)?:/.exec(line)?.[1] ?? []);
  const common = [
    ...['election_timer', 'vote_timer', 'stepdown_timer', 'snapshot_timer'],
    ...['storage', 'disk_index', 'known_applied_index', 'last_log_id', 'state_machine'],
    ...['last_committed_index', 'last_snapshot_index', 'last_snapshot_term', 'snapshot_status'],
  ];
  const head = ['peer_id', 'state', 'readonly', 'term', 'conf_index', 'peers'];
  const ofLeader = raftStat('Test', leader.node.status());
  expect(ofLeader.startsWith(`[Test]\npeer_id: ${leader.node.peer}\nstate: LEADER\n`)).toBe(true);
  expect(names(ofLeader)).toEqual([
    ...[...head, 'changing_conf', ...common],
    ...['replicator', 'replicator'],
  ]);
  const ofFollower = raftStat('Test', group.follower(leader).node.status());
  expect(names(ofFollower)).toEqual([...head, 'leader', 'last_msg_to_now', ...common]);
});
