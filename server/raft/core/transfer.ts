import { isVoter } from './configuration.ts';
import type { Ticket } from './event.ts';
import { MonotonicMs, type PeerId } from './ids.ts';
import { envelope, type Outbox } from './outbox.ts';
import type { Progress } from './progress.ts';
import type { RaftErrorCode, Refusal } from './refusal.ts';
import { configurationOfState, type Leader, type RaftState } from './state.ts';
import { becomeFollower, reasonOf, setTransfer } from './step-down.ts';

/**
 * Hands leadership to `target`, or to the most up-to-date follower (dissertation §3.10; braft
 * transfer_leadership_to). Answered when the transfer has started, not when it has succeeded.
 */
export function handleTransfer(
  state: RaftState,
  out: Outbox,
  request: { readonly ticket: Ticket; readonly target: PeerId | undefined },
): void {
  const { role: leader } = state;
  const { ticket } = request;
  const refuse = (code: RaftErrorCode, text: string): void => {
    out.refuse(ticket, reasonOf(code, text));
  };
  if (leader.type !== 'leader') {
    refuse('EPERM', 'is not leader');
  } else if (leader.transfer !== undefined) {
    refuse('EBUSY', 'is transferring leadership');
  } else if (leader.change !== undefined || state.commitIndex < leader.startIndex) {
    refuse('EBUSY', 'is changing the configuration');
  } else if (request.target === state.options.id) {
    out.add({ type: 'done', ticket });
  } else {
    const chosen = chooseTarget(state, leader, request.target);
    if ('code' in chosen) return refuse(chosen.code, chosen.text);
    startTransfer(state, out, leader, chosen.progress);
    out.add({ type: 'done', ticket });
  }
}

/** Sends TimeoutNow as soon as the target holds the whole log. */
export function advanceTransfer(state: RaftState, out: Outbox, leader: Leader): void {
  const { transfer } = leader;
  if (transfer === undefined || transfer.sent) return;
  const progress = leader.progress.get(transfer.target);
  if (progress?.matchIndex !== state.log.lastIndex()) return;
  transfer.sent = true;
  sendTimeoutNow(state, out, leader, transfer.target);
}

/**
 * Gives up a transfer that took too long: this node leads on in the same term. Returns whether it
 * did.
 */
export function expireTransfer(state: RaftState, out: Outbox, leader: Leader): boolean {
  const { transfer } = leader;
  if (transfer === undefined || state.now < transfer.deadline) return false;
  // A higher id voids the TimeoutNow that may still be on its way; the lease waits for that.
  leader.transferId++;
  leader.leaseBlockedBy.set(transfer.target, leader.transferId);
  leader.leaseEpoch = ++state.leaseEpochs;
  const reason = reasonOf('ERAFTTIMEDOUT', `transfer to ${transfer.target} timed out`);
  setTransfer(state, out, { leader, transfer: undefined, reason });
  return true;
}

/**
 * Steps down and lets the most up-to-date follower campaign at once (braft: wakeup_candidate), so
 * that a shutdown costs one round trip and not an election timeout.
 */
export function resign(
  state: RaftState,
  out: Outbox,
  options: { readonly wakeSuccessor: boolean; readonly reason: Refusal },
): void {
  const { role: leader } = state;
  if (leader.type === 'leader' && options.wakeSuccessor) {
    const successor = mostUpToDate(state, leader);
    if (successor !== undefined) sendTimeoutNow(state, out, leader, successor.peer);
  }
  const { term } = state.hardState;
  becomeFollower(state, out, { term, leader: undefined, reason: options.reason });
}

function startTransfer(state: RaftState, out: Outbox, leader: Leader, target: Progress): void {
  leader.transferId++;
  const deadline = MonotonicMs(state.now + state.timing.electionTimeoutMs);
  const transfer = { target: target.peer, deadline, sent: false };
  const reason = reasonOf('ETRANSFERLEADERSHIP', `transferring leadership to ${target.peer}`);
  setTransfer(state, out, { leader, transfer, reason });
  advanceTransfer(state, out, leader);
}

function sendTimeoutNow(state: RaftState, out: Outbox, leader: Leader, target: PeerId): void {
  const { transferId } = leader;
  out.send({ ...envelope(state, target), type: 'timeoutNow', transferId });
}

function chooseTarget(
  state: RaftState,
  leader: Leader,
  target: PeerId | undefined,
): { readonly progress: Progress } | { readonly code: RaftErrorCode; readonly text: string } {
  if (target === undefined) {
    const progress = mostUpToDate(state, leader);
    const text = 'no follower can take over: none has answered lately';
    return progress === undefined ? { code: 'EHOSTUNREACH', text } : { progress };
  }
  const progress = leader.progress.get(target);
  if (!isVoter(configurationOfState(state), target) || progress === undefined) {
    return { code: 'EINVAL', text: `${target} is not a voter of this group` };
  }
  const reachable = isReachable(state, progress);
  if (!reachable) return { code: 'EHOSTUNREACH', text: `${target} does not answer` };
  return { progress };
}

function mostUpToDate(state: RaftState, leader: Leader): Progress | undefined {
  const configuration = configurationOfState(state);
  let best: Progress | undefined;
  for (const progress of leader.progress.values()) {
    if (!isVoter(configuration, progress.peer) || !isReachable(state, progress)) continue;
    if (best === undefined || progress.matchIndex > best.matchIndex) best = progress;
  }
  return best;
}

function isReachable(state: RaftState, progress: Progress): boolean {
  const silent = state.now - progress.lastContact > state.timing.electionTimeoutMs;
  return progress.answered && progress.consecutiveErrors === 0 && !silent;
}
