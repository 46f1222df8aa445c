import { membersOf } from './configuration.ts';
import type { MonotonicMs, PeerId } from './ids.ts';
import type { Progress } from './progress.ts';
import { configurationOfState, type RaftState } from './state.ts';

export { isLeaseValid, leaseState } from './reads.ts';

/** A leader's view of its peers, members apart from those being caught up (braft get_status). */
export function followersOf(state: RaftState): {
  readonly members: readonly Progress[];
  readonly catchingUp: readonly Progress[];
} {
  if (state.role.type !== 'leader') return { members: [], catchingUp: [] };
  const members = membersOf(configurationOfState(state));
  const all = [...state.role.progress.values()];
  return {
    members: all.filter(({ peer }) => members.has(peer)),
    catchingUp: all.filter(({ peer }) => !members.has(peer)),
  };
}

/** The stage of the membership change under way, in braft's words. */
export function changeStage(state: RaftState): 'none' | 'catchingUp' | 'joint' | 'stable' {
  const { role } = state;
  return role.type === 'leader' ? (role.change?.stage ?? 'none') : 'none';
}

/** Whether new tasks are refused: this node, or a majority of its group, is read-only (braft). */
export function isReadonly(state: RaftState): boolean {
  return state.readonly || (state.role.type === 'leader' && state.role.majorityReadonly);
}

/** The epoch of the lease: grows with each leader start and each transfer that failed. */
export function leaseEpoch(state: RaftState): number {
  return state.role.type === 'leader' ? state.role.leaseEpoch : 0;
}

/** The leader this node would send a caller to: itself, or the one it follows. */
export function knownLeader(state: RaftState): PeerId | undefined {
  return state.leader;
}

/** When the node's timers fire next; undefined: not running in this role (§5.2). */
export function deadlines(state: RaftState): {
  readonly election: MonotonicMs | undefined;
  readonly vote: MonotonicMs | undefined;
} {
  const { type } = state.role;
  return {
    election: type === 'follower' ? state.electionDeadline : undefined,
    vote: type === 'preCandidate' || type === 'candidate' ? state.electionDeadline : undefined,
  };
}
