import { changeStage, deadlines, followersOf, isReadonly, leaseState } from '../core/observe.ts';
import { LogIndex, Term } from '../core/ids.ts';
import type { Progress } from '../core/progress.ts';
import type { RaftState } from '../core/state.ts';
import { roleName } from '../core/step-down.ts';
import type { Identity } from '../storage/identity-storage.ts';
import type { LeaderLeaseStatus, NodeState, NodeStatus, PeerStatus } from './node-status.ts';

/** What a status needs beyond the core's state. */
export type NodeFacts = Pick<
  NodeStatus,
  | 'applyingIndex'
  | 'pendingIndex'
  | 'pendingTasks'
  | 'diskIndex'
  | 'snapshotActivity'
  | 'refusedMessages'
> & {
  /** Overrides the role while the node is starting, stopping or failed. */
  readonly lifecycle: 'active' | Extract<NodeState, 'error' | 'shutting' | 'shutdown'>;
  readonly identity: Identity;
  readonly snapshotTimerMs: number | undefined;
  readonly now: number;
};

/** The state of a node in braft's words; a pre-vote leaves a follower a follower. */
export function nodeState(state: RaftState, lifecycle: NodeFacts['lifecycle']): NodeState {
  if (lifecycle !== 'active') return lifecycle;
  const role = roleName(state.role);
  return role === 'preCandidate' ? 'follower' : role;
}

/** braft get_status, from the core's state and what the node knows besides. */
export function nodeStatus(state: RaftState, facts: NodeFacts): NodeStatus {
  const { members, catchingUp } = followersOf(state);
  const { identity, lifecycle, now } = facts;
  const { clusterId, incarnation, lineage, joined } = identity;
  const last = state.log.lastId();
  const isFollower = state.role.type === 'follower' && state.leader !== undefined;
  const { incarnations } = state.configurations.latest().configuration;
  // A disk that is bound and has not been heard of in this term is known all the same.
  const memberStatus = (one: Progress): PeerStatus => ({
    ...peerStatus(one, now),
    incarnation: one.incarnation ?? incarnations.get(one.peer),
  });
  return {
    state: nodeState(state, lifecycle),
    peer: state.options.id,
    leader: state.leader,
    readonly: isReadonly(state),
    term: state.hardState.term,
    committedIndex: state.commitIndex,
    knownAppliedIndex: state.appliedIndex,
    pendingIndex: facts.pendingIndex,
    pendingTasks: facts.pendingTasks,
    applyingIndex: facts.applyingIndex,
    firstIndex: state.log.firstIndex(),
    lastIndex: last.index,
    lastTerm: last.term,
    diskIndex: facts.diskIndex,
    snapshotIndex: state.snapshot?.lastIncluded.index ?? LogIndex(0),
    snapshotTerm: state.snapshot?.lastIncluded.term ?? Term(0),
    snapshotActivity: facts.snapshotActivity,
    configuration: state.configurations.latest(),
    committedConfigurationIndex: state.configurations.committedStable(state.commitIndex).index,
    changeStage: changeStage(state),
    stableFollowers: new Map(members.map((one) => [one.peer, memberStatus(one)])),
    unstableFollowers: new Map(catchingUp.map((one) => [one.peer, peerStatus(one, now)])),
    identity: { clusterId, incarnation, lineage, joined },
    timers: timersOf(state, facts),
    electionTimeoutMs: state.timing.electionTimeoutMs,
    lastLeaderContactMs: isFollower ? Math.max(0, now - state.lastLeaderContact) : undefined,
    refusedMessages: facts.refusedMessages,
  };
}

/** braft get_leader_lease_status. */
export function leaseStatus(state: RaftState, now: RaftState['now']): LeaderLeaseStatus {
  const { role } = state;
  const epoch = role.type === 'leader' ? role.leaseEpoch : 0;
  return { state: leaseState(state, now), term: state.hardState.term, leaseEpoch: epoch };
}

function timersOf(state: RaftState, { now, snapshotTimerMs }: NodeFacts): NodeStatus['timers'] {
  const { election, vote } = deadlines(state);
  const until = (at: number | undefined): number | undefined =>
    at === undefined ? undefined : Math.max(0, at - now);
  const leads = state.role.type === 'leader';
  return {
    electionMs: until(election),
    voteMs: until(vote),
    stepDownMs: leads ? state.timing.electionTimeoutMs : undefined,
    snapshotMs: snapshotTimerMs,
  };
}

function peerStatus(progress: Progress, now: number): PeerStatus {
  return {
    incarnation: progress.incarnation,
    valid: progress.answered,
    installingSnapshot: progress.mode === 'snapshot',
    blocking: progress.mode === 'probe' && progress.consecutiveErrors > 0,
    matchIndex: progress.matchIndex,
    nextIndex: progress.nextIndex,
    lastContactMs: progress.answered ? Math.max(0, now - progress.lastContact) : undefined,
    inFlightEntries: progress.inFlight.entries(),
    readonlyIndex: progress.readonlyIndex,
    consecutiveErrors: progress.consecutiveErrors,
  };
}
