import { resetRecord } from './configuration.ts';
import type { Event } from './event.ts';
import type { Outbox } from './outbox.ts';
import type { RaftState } from './state.ts';
import { becomeFollower, reasonOf } from './step-down.ts';

/** braft reset_peers: this node alone adopts the new voters, in a new term. */
export function handleResetPeers(
  state: RaftState,
  out: Outbox,
  event: Extract<Event, { type: 'resetPeers' }>,
): void {
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

const RESET = reasonOf('ESETPEER', 'the peers were reset');
