import { resetRecord } from './configuration.ts';
import type { Event } from './event.ts';
import type { Outbox } from './outbox.ts';
import type { RaftState } from './state.ts';
import { becomeFollower, reasonOf } from './step-down.ts';

type Reset = Extract<Event, { type: 'resetPeers' }>;
type Undo = Extract<Event, { type: 'undoReset' }>;

/** braft reset_peers, and what takes it back. */
export function handleReset(state: RaftState, out: Outbox, event: Reset | Undo): void {
  if (event.type === 'resetPeers') resetPeers(state, out, event);
  else undoReset(state, out, event);
}

/** This node alone adopts the new voters, in a new term. */
function resetPeers(state: RaftState, out: Outbox, event: Reset): void {
  const { ticket, voters, term } = event;
  const latest = state.configurations.latest();
  const { configuration } = latest;
  const busy = state.role.type === 'leader' && state.role.change !== undefined;
  if (voters.size === 0) {
    return out.refuse(ticket, reasonOf('EINVAL', 'new_peers is empty'));
  }
  if (busy) return out.refuse(ticket, reasonOf('EBUSY', 'is changing the configuration'));
  const same =
    configuration.outgoing === undefined &&
    configuration.voters.size === voters.size &&
    [...voters].every((peer) => configuration.voters.has(peer));
  if (!same) {
    if (term <= state.hardState.term) {
      const text = `the term is ${String(state.hardState.term)} by now; try again`;
      return out.refuse(ticket, reasonOf('EBUSY', text));
    }
    state.configurations.override(resetRecord(latest, voters, state.options), term);
    state.joined = true;
    becomeFollower(state, out, { term, leader: undefined, reason: RESET });
    out.configurationChanged();
  }
  out.add({ type: 'done', ticket });
}

/** Goes back to the configuration of the log; the term stays, for it may have been voted in. */
function undoReset(state: RaftState, out: Outbox, { ticket }: Undo): void {
  if (!state.configurations.isOverridden()) {
    const text = 'the log holds an entry of the new history';
    return out.refuse(ticket, reasonOf('EPERM', text));
  }
  state.configurations.endOverride();
  becomeFollower(state, out, { term: state.hardState.term, leader: undefined, reason: RESET });
  out.configurationChanged();
  out.add({ type: 'done', ticket });
}

const RESET = reasonOf('ESETPEER', 'the peers were reset');
