import type { Role } from './effect.ts';
import type { MonotonicMs, PeerId, Term } from './ids.ts';
import type { Outbox } from './outbox.ts';
import type { Refusal, RaftErrorCode } from './refusal.ts';
import { resetElectionDeadline, type Leader, type RaftState, type RoleState } from './state.ts';

/** A reason for a role change, as a value. */
export function reasonOf(code: RaftErrorCode, text: string): Refusal {
  return { code, text, outcome: 'notProposed' };
}

/** The role in the words of effects and status: a leader that hands over is `transferring`. */
export function roleName(role: RoleState): Role {
  if (role.type === 'leader' && role.transfer !== undefined) return 'transferring';
  return role.type;
}

/**
 * Becomes a follower of `leader` (or of nobody yet) in `term`, the only way down from any role
 * (§5.1; braft step_down). A leader's reads are refused and its change is left to its successor.
 */
export function becomeFollower(
  state: RaftState,
  out: Outbox,
  change: {
    readonly term: Term;
    readonly leader: PeerId | undefined;
    readonly reason: Refusal;
  },
): void {
  const { term, leader, reason } = change;
  if (term > state.hardState.term) {
    state.hardState = { term, votedFor: undefined, votedIncarnation: undefined };
    out.hardStateChanged();
  }
  const { role } = state;
  if (role.type === 'leader') failLeaderRequests(role, out);
  if (role.type === 'leader') state.lastLeaderContact = NEVER;
  setRole(state, out, { role: { type: 'follower' }, leader, reason });
  if (role.type !== 'follower') resetElectionDeadline(state);
}

/** Writes role and known leader, and reports the change if there is one. */
export function setRole(
  state: RaftState,
  out: Outbox,
  change: {
    readonly role: RoleState;
    readonly leader: PeerId | undefined;
    readonly reason: Refusal;
  },
): void {
  const before = { role: roleName(state.role), leader: state.leader };
  state.role = change.role;
  state.leader = change.leader;
  reportRole(state, out, before, change.reason);
}

/** Starts or ends a leader's transfer, which its users see as another role (braft TRANSFERRING). */
export function setTransfer(
  state: RaftState,
  out: Outbox,
  change: {
    readonly leader: Leader;
    readonly transfer: Leader['transfer'];
    readonly reason: Refusal;
  },
): void {
  const before = { role: roleName(change.leader), leader: state.leader };
  change.leader.transfer = change.transfer;
  reportRole(state, out, before, change.reason);
}

function reportRole(
  state: RaftState,
  out: Outbox,
  before: { readonly role: Role; readonly leader: PeerId | undefined },
  reason: Refusal,
): void {
  const role = roleName(state.role);
  if (role === before.role && state.leader === before.leader) return;
  out.add({
    type: 'roleChanged',
    role,
    previousRole: before.role,
    term: state.hardState.term,
    leader: state.leader,
    previousLeader: before.leader,
    reason,
    ...(state.role.type === 'leader' && { startIndex: state.role.startIndex }),
  });
}

function failLeaderRequests(leader: Leader, out: Outbox): void {
  const steppedDown = reasonOf('EPERM', 'leader stepped down');
  const reads = [...leader.waitingReads, ...leader.rounds.flatMap((round) => round.tickets)];
  for (const ticket of reads) out.refuse(ticket, steppedDown);
  const { change } = leader;
  if (change === undefined) return;
  // Before the first entry of the change nothing was written; after it a successor may finish it.
  const outcome = change.stage === 'catchingUp' ? 'notProposed' : 'unknown';
  for (const ticket of change.tickets) out.refuse(ticket, { ...steppedDown, outcome });
}

const NEVER = Number.NEGATIVE_INFINITY as MonotonicMs;
