import { LogIndex, MonotonicMs } from './ids.ts';
import type { Ticket } from './event.ts';
import { envelope, type Outbox } from './outbox.ts';
import { hasQuorum, quorumValue } from './quorum.ts';
import { configurationOfState, counts, heartbeatIntervalMs } from './state.ts';
import type { Leader, RaftState } from './state.ts';
import { reasonOf } from './step-down.ts';

/** Rounds under way above which further reads wait and share the next one. */
const READ_ROUNDS_MAX = 4;

/**
 * A linearizable or lease read (dissertation §6.4): answered by a `readReady` effect once a quorum
 * has confirmed this leader in a round that started after the read arrived.
 */
export function handleRead(
  state: RaftState,
  out: Outbox,
  request: { readonly ticket: Ticket; readonly consistency: 'linearizable' | 'lease' },
): void {
  const { role: leader } = state;
  const { ticket } = request;
  if (leader.type !== 'leader') {
    const refusal = reasonOf('EPERM', 'is not leader');
    const known = state.leader === undefined ? {} : { leader: state.leader };
    out.refuse(ticket, { ...refusal, ...known });
    return;
  }
  if (request.consistency === 'lease' && isLeaseValid(state, state.now)) {
    out.add({ type: 'readReady', ticket, index: state.commitIndex, byLease: true });
    return;
  }
  leader.waitingReads.push(ticket);
  if (leader.rounds.filter((round) => round.tickets.length > 0).length < READ_ROUNDS_MAX) {
    startRound(state, out, leader);
  }
}

/**
 * Sends a heartbeat with a fresh round id to every follower. Whatever reads wait join this round;
 * its echo by a quorum proves that nobody else led when it was sent.
 */
export function startRound(state: RaftState, out: Outbox, leader: Leader): void {
  leader.round++;
  leader.nextHeartbeatAt = MonotonicMs(state.now + heartbeatIntervalMs(state));
  // Everything committed by earlier leaders lies before the own first entry, so that index is
  // enough even before it is committed (§8).
  const readIndex = LogIndex(Math.max(state.commitIndex, leader.startIndex));
  const tickets = leader.waitingReads;
  leader.waitingReads = [];
  leader.rounds.push({ round: leader.round, sentAt: state.now, readIndex, tickets });
  if (leader.rounds.length > ROUNDS_KEPT_MAX) mergeOldestRounds(leader);
  for (const progress of leader.progress.values()) {
    out.send({
      ...envelope(state, progress.peer),
      type: 'heartbeatRequest',
      commitIndex: LogIndex(Math.min(state.commitIndex, progress.matchIndex)),
      round: leader.round,
      transferId: leader.transferId,
    });
  }
  confirmRounds(state, out, leader);
}

/** Answers the reads of every round that a quorum has echoed, and extends the lease. */
export function confirmRounds(state: RaftState, out: Outbox, leader: Leader): void {
  const { id, incarnation } = state.options;
  const confirmed = quorumValue(configurationOfState(state), (peer) => {
    if (peer === id) return counts(state, id, incarnation) ? leader.round : 0;
    return leader.progress.get(peer)?.ackedRound ?? 0;
  });
  const open = leader.rounds.findIndex((round) => round.round > confirmed);
  for (const round of leader.rounds.splice(0, open === -1 ? leader.rounds.length : open)) {
    leader.leaseStart = round.sentAt;
    for (const ticket of round.tickets) {
      out.add({ type: 'readReady', ticket, index: round.readIndex, byLease: false });
    }
  }
  if (leader.waitingReads.length > 0) startRoundForWaiting(state, out, leader);
}

/** Whether the leader lease covers `now` (dissertation §6.4.1; braft get_leader_lease_status). */
export function isLeaseValid(state: RaftState, now: MonotonicMs): boolean {
  return leaseState(state, now) === 'valid';
}

/** The lease as braft names its states. */
export function leaseState(
  state: RaftState,
  now: MonotonicMs,
): 'disabled' | 'expired' | 'notReady' | 'valid' {
  if (!state.options.leaderLease) return 'disabled';
  const { role: leader } = state;
  if (leader.type !== 'leader' || leader.transfer !== undefined) return 'expired';
  if (state.appliedIndex < leader.startIndex || isLeaseBlocked(leader)) return 'notReady';
  return now < leader.leaseStart + state.timing.electionTimeoutMs ? 'valid' : 'expired';
}

/** Whether a quorum has answered within the last election timeout (check quorum; dissertation §6.2). */
export function heardQuorum(state: RaftState, leader: Leader): boolean {
  const { id, incarnation } = state.options;
  return hasQuorum(configurationOfState(state), (peer) => {
    if (peer === id) return counts(state, id, incarnation);
    const contact = leader.progress.get(peer)?.lastContact;
    return contact !== undefined && state.now - contact <= state.timing.electionTimeoutMs;
  });
}

function startRoundForWaiting(state: RaftState, out: Outbox, leader: Leader): void {
  const underWay = leader.rounds.filter((round) => round.tickets.length > 0).length;
  if (underWay < READ_ROUNDS_MAX) startRound(state, out, leader);
}

/** While its followers are silent a leader keeps few rounds: an older one joins a younger one. */
function mergeOldestRounds(leader: Leader): void {
  const [oldest, second, ...rest] = leader.rounds;
  if (oldest === undefined || second === undefined) return;
  leader.rounds = [{ ...second, tickets: [...oldest.tickets, ...second.tickets] }, ...rest];
}

function isLeaseBlocked(leader: Leader): boolean {
  // A target that is no longer a member blocks too: nothing says that it will not campaign yet.
  return [...leader.leaseBlockedBy].some(
    ([peer, transferId]) => (leader.progress.get(peer)?.ackedTransfer ?? 0) < transferId,
  );
}

const ROUNDS_KEPT_MAX = 64;
