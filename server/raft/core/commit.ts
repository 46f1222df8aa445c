import { advanceChange } from './change.ts';
import { LogIndex, type LogId } from './ids.ts';
import type { Outbox } from './outbox.ts';
import { quorumValue } from './quorum.ts';
import { configurationOfState, matchIndexOf, type Leader, type RaftState } from './state.ts';

/**
 * Commits what a quorum holds, but only up to an entry of the leader's own term: older entries are
 * committed by the ones after them, never by counting (§5.4.2, figure 8).
 */
export function advanceCommitAsLeader(state: RaftState, out: Outbox, leader: Leader): void {
  const held = quorumValue(configurationOfState(state), (peer) =>
    matchIndexOf(state, leader, peer),
  );
  const index = LogIndex(held);
  if (index <= state.commitIndex || state.log.termAt(index) !== state.hardState.term) return;
  commitTo(state, out, index);
  advanceChange(state, out, leader);
}

/** Raises the commit index, which never falls (figure 2). */
export function commitTo(state: RaftState, out: Outbox, index: LogIndex): void {
  if (index <= state.commitIndex) return;
  state.commitIndex = index;
  out.add({ type: 'commit', index });
}

/** This node's own disk has everything up to `lastLog`: its share of the quorum (§5.3). */
export function handleOwnLogDurable(state: RaftState, out: Outbox, lastLog: LogId): void {
  // A suffix that was overwritten since says nothing about what stands there now.
  if (!state.log.holds(lastLog)) return;
  if (lastLog.index > state.durableIndex) state.durableIndex = lastLog.index;
  const { role: leader } = state;
  if (leader.type !== 'leader') return;
  if (lastLog.index > leader.selfMatch) leader.selfMatch = lastLog.index;
  advanceCommitAsLeader(state, out, leader);
}
