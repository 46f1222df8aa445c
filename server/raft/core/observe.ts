import { membersOf } from './configuration.ts';
import type { MonotonicMs } from './ids.ts';
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
