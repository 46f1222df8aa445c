import { assert } from './assert.ts';
import type { RaftState } from './state.ts';

/**
 * What holds after every step whatever happened (Raft paper, figures 2 and 3:
 * the parts one node can see).
 * Asserted in tests and in the simulation.
 *
 * @throws InvariantError naming the rule that is broken.
 */
export function checkState(state: RaftState): void {
  const { log, commitIndex, appliedIndex, role, hardState } = state;
  assert(commitIndex <= log.lastIndex(), 'the commit index lies beyond the log');
  assert(log.firstIndex() <= log.lastIndex() + 1, 'the log ends before it starts');
  assert(appliedIndex <= commitIndex, 'an entry was applied before it was committed');
  assert(log.lastId().term <= hardState.term, 'an entry has a term above the current one');
  assert(state.durableHardState.term <= hardState.term, 'the term on disk is ahead of memory');
  if (role.type === 'candidate' || role.type === 'leader') {
    assert(hardState.votedFor === state.options.id, 'a candidate or leader voted for another');
  }
  if (role.type !== 'leader') return;
  assert(state.leader === state.options.id, 'a leader that follows another');
  assert(
    state.durableHardState.term === hardState.term,
    'a leader whose vote for itself is not durable',
  );
  assert(log.lastIndex() >= role.startIndex, 'a leader without an entry of its term');
  assert(role.selfMatch <= log.lastIndex(), 'the own match index lies beyond the log');
  for (const progress of role.progress.values()) {
    assert(progress.matchIndex < progress.nextIndex, 'next index at or below match index');
    assert(progress.matchIndex <= log.lastIndex(), 'a follower matches beyond the log');
  }
  const latest = state.configurations.latest();
  assert(latest.index <= log.lastIndex(), 'a configuration beyond the log');
}
