import type { PeerId } from '../core/ids.ts';
import type { NodeStatus, PeerStatus } from './node-status.ts';

/** One group of one server in the text form of braft's /raft_stat page, lines ended by "\n". */
export function raftStat(group: string, status: NodeStatus): string {
  const lines = [
    `[${group}]`,
    ...identityLines(status),
    ...timerLines(status),
    ...logLines(status),
    ...replicatorLines(status),
  ];
  return `${lines.join('\n')}\n`;
}

function identityLines(status: NodeStatus): string[] {
  const { configuration } = status.configuration;
  const leads = status.state === 'leader' || status.state === 'transferring';
  const changing = status.changeStage !== 'none';
  return [
    `peer_id: ${status.peer}`,
    `state: ${status.state.toUpperCase()}`,
    `readonly: ${status.readonly ? '1' : '0'}`,
    `term: ${String(status.term)}`,
    `conf_index: ${String(status.configuration.index)}`,
    `peers: ${joined(configuration.voters)}`,
    ...(leads ? [`changing_conf: ${changing ? 'YES' : 'NO'}    stage: ${stage(status)}`] : []),
    ...(configuration.outgoing === undefined
      ? []
      : [`old_peers: ${joined(configuration.outgoing)}`]),
    ...(configuration.learners.size === 0 ? [] : [`learners: ${joined(configuration.learners)}`]),
    ...(leads ? [] : followerLines(status)),
  ];
}

function followerLines({ leader, lastLeaderContactMs }: NodeStatus): string[] {
  const contact = lastLeaderContactMs === undefined ? [] : [whole(lastLeaderContactMs)];
  return [
    `leader: ${leader ?? ''}`,
    ...contact.map((milliseconds) => `last_msg_to_now: ${milliseconds}`),
  ];
}

function timerLines({ timers, electionTimeoutMs }: NodeStatus): string[] {
  const timer = (name: string, leftMs: number | undefined): string => {
    const timeout = `timeout(${String(electionTimeoutMs)}ms)`;
    const state = leftMs === undefined ? 'STOPPED' : `SCHEDULING(in ${whole(leftMs)}ms)`;
    return `${name}: ${timeout} ${state}`;
  };
  return [
    timer('election_timer', timers.electionMs),
    timer('vote_timer', timers.voteMs),
    timer('stepdown_timer', timers.stepDownMs),
    timer('snapshot_timer', timers.snapshotMs),
  ];
}

function logLines(status: NodeStatus): string[] {
  const applying =
    status.applyingIndex === 0 ? 'Idle' : `Applying log_index=${String(status.applyingIndex)}`;
  return [
    `storage: [${String(status.firstIndex)}, ${String(status.lastIndex)}]`,
    `disk_index: ${String(status.diskIndex)}`,
    `known_applied_index: ${String(status.knownAppliedIndex)}`,
    `last_log_id: (index=${String(status.lastIndex)},term=${String(status.lastTerm)})`,
    `state_machine: ${applying}`,
    `last_committed_index: ${String(status.committedIndex)}`,
    ...(status.pendingIndex === 0
      ? []
      : [
          `pending_index: ${String(status.pendingIndex)}`,
          `pending_queue_size: ${String(status.pendingTasks)}`,
        ]),
    `last_snapshot_index: ${String(status.snapshotIndex)}`,
    `last_snapshot_term: ${String(status.snapshotTerm)}`,
    `snapshot_status: ${status.snapshotActivity.toUpperCase()}`,
  ];
}

function replicatorLines(status: NodeStatus): string[] {
  const all = [...status.stableFollowers, ...status.unstableFollowers];
  return all.map(([peer, follower], position) => {
    const readonly =
      follower.readonlyIndex === 0 ? '' : ` readonly_index=${String(follower.readonlyIndex)}`;
    const next = `next_index=${String(follower.nextIndex)}`;
    const flying = `flying_append_entries_size=${String(follower.inFlightEntries)}`;
    return `replicator_${String(position + 1)}@${peer}: ${next}  ${flying}${readonly} ${activity(follower)}`;
  });
}

function activity(follower: PeerStatus): string {
  const errors =
    follower.consecutiveErrors === 0
      ? ''
      : ` consecutive_error_times=${String(follower.consecutiveErrors)}`;
  if (follower.installingSnapshot) return `installing snapshot${errors}`;
  if (follower.blocking) return `blocking${errors}`;
  return `${follower.inFlightEntries === 0 ? 'idle' : 'appending'}${errors}`;
}

function stage({ changeStage }: NodeStatus): string {
  const names = {
    none: 'STAGE_NONE',
    catchingUp: 'STAGE_CATCHING_UP',
    joint: 'STAGE_JOINT',
    stable: 'STAGE_STABLE',
  };
  return names[changeStage];
}

function joined(peers: Iterable<PeerId>): string {
  return [...peers].sort().join(' ');
}

function whole(milliseconds: number): string {
  return String(Math.round(milliseconds));
}
