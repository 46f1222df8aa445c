import { unreachable } from './assert.ts';
import { handleChange, keepHouse } from './change.ts';
import { handleOwnLogDurable } from './commit.ts';
import type { Effect } from './effect.ts';
import {
  askForPreVotes,
  handleOwnVoteDurable,
  handleTimeoutNow,
  handleVoteRequest,
  handleVoteResponse,
  startPreVote,
} from './election.ts';
import type { Event } from './event.ts';
import {
  handleAppendRequest,
  handleHeartbeatRequest,
  handleInstallSnapshotRequest,
  handleSnapshotDownloaded,
  handleSnapshotDownloadFailed,
} from './follower.ts';
import { LogIndex, MonotonicMs, type LogIndex as Index } from './ids.ts';
import {
  handleAppendResponse,
  handleFetched,
  handleHeartbeatResponse,
  handleInstallSnapshotResponse,
  handlePeerUnreachable,
  handlePropose,
  handleSnapshotSendFailed,
  tickLeader,
} from './leader.ts';
import type { Message, SnapshotMeta } from './message.ts';
import { Outbox } from './outbox.ts';
import { handleRead } from './reads.ts';
import { evaluateReadonly } from './replication.ts';
import { handleReset } from './reset.ts';
import { resetElectionDeadline, type RaftState } from './state.ts';
import { reasonOf } from './step-down.ts';
import { handleTransfer, resign } from './transfer.ts';

/**
 * Takes one event and returns what must be done about it, in order. Synchronous and deterministic:
 * the same state and events give the same effects, bit for bit (§5, figure 2).
 */
export function step(state: RaftState, event: Event): Effect[] {
  const out = new Outbox();
  if ('now' in event && event.now > state.now) state.now = event.now;
  handleEvent(state, out, event);
  return out.finish(state);
}

function handleEvent(state: RaftState, out: Outbox, event: Event): void {
  switch (event.type) {
    case 'tick':
      return handleTick(state, out, event.lateByMs);
    case 'message':
      return handleMessage(state, out, event.message);
    case 'propose':
      return handlePropose(state, out, event.proposals);
    case 'read':
      return handleRead(state, out, event);
    case 'persisted':
      state.durableHardState = event.hardState;
      handleOwnVoteDurable(state, out);
      return handleOwnLogDurable(state, out, event.lastLog);
    case 'applied':
      return handleApplied(state, event.index);
    case 'fetched':
      return handleFetched(state, out, event);
    case 'peerUnreachable':
      return handlePeerUnreachable(state, event.peer);
    case 'peerAnnounced':
      return handleAnnounced(state, out, event);
    default:
      return handleRequestOrSnapshot(state, out, event);
  }
}

type Unhandled = Exclude<
  Event,
  {
    type:
      | 'tick'
      | 'message'
      | 'propose'
      | 'read'
      | 'persisted'
      | 'applied'
      | 'fetched'
      | 'peerUnreachable'
      | 'peerAnnounced';
  }
>;

function handleRequestOrSnapshot(state: RaftState, out: Outbox, event: Unhandled): void {
  switch (event.type) {
    case 'snapshotSaved':
      return handleSnapshotSaved(state, out, event.meta);
    case 'snapshotDownloaded':
      return handleSnapshotDownloaded(state, out, event.meta);
    case 'snapshotDownloadFailed':
      return handleSnapshotDownloadFailed(state, event.meta);
    case 'snapshotSendFailed':
      return handleSnapshotSendFailed(state, event.peer);
    case 'changeMembership':
      return handleChange(state, out, event);
    case 'transferLeadership':
      return handleTransfer(state, out, event);
    case 'campaign':
      return handleCampaign(state, out, event);
    case 'resign':
      return resign(state, out, { wakeSuccessor: event.wakeSuccessor, reason: QUITTING });
    default:
      return handleOrder(state, out, event);
  }
}

/** What a person decides for this node alone. */
function handleOrder(
  state: RaftState,
  out: Outbox,
  event: Extract<
    Event,
    { readonly type: 'resetPeers' | 'undoReset' | 'setTiming' | 'setReadonly' }
  >,
): void {
  switch (event.type) {
    case 'resetPeers':
    case 'undoReset':
      return handleReset(state, out, event);
    case 'setTiming':
      return handleTiming(state, event);
    case 'setReadonly':
      return handleReadonly(state, event.readonly);
    default:
      return unreachable(event);
  }
}

function handleMessage(state: RaftState, out: Outbox, message: Message): void {
  switch (message.type) {
    case 'voteRequest':
      return handleVoteRequest(state, out, message);
    case 'voteResponse':
      return handleVoteResponse(state, out, message);
    case 'appendRequest':
      return handleAppendRequest(state, out, message);
    case 'appendResponse':
      return handleAppendResponse(state, out, message);
    case 'heartbeatRequest':
      return handleHeartbeatRequest(state, out, message);
    case 'heartbeatResponse':
      return handleHeartbeatResponse(state, out, message);
    case 'installSnapshotRequest':
      return handleInstallSnapshotRequest(state, out, message);
    case 'installSnapshotResponse':
      return handleInstallSnapshotResponse(state, out, message);
    case 'timeoutNow':
      return handleTimeoutNow(state, out, message);
    default:
      return unreachable(message);
  }
}

function handleTick(state: RaftState, out: Outbox, lateByMs: number): void {
  const { role } = state;
  if (role.type === 'leader') return tickLeader(state, out, role, lateByMs);
  // Time this node slept through does not count as silence of its leader.
  state.electionDeadline = MonotonicMs(state.electionDeadline + lateByMs);
  if (state.now >= state.electionDeadline) {
    const text =
      state.leader === undefined
        ? 'no leader is known'
        : `lost connection to leader ${state.leader}`;
    startPreVote(state, out, { triggered: false, reason: reasonOf('ERAFTTIMEDOUT', text) });
  } else if (role.type === 'preCandidate' && state.now >= role.retryAt) {
    askForPreVotes(state, out, role);
  }
}

function handleApplied(state: RaftState, index: Index): void {
  if (index > state.appliedIndex) state.appliedIndex = index;
  const safe = LogIndex(Math.min(state.appliedIndex, state.durableIndex));
  state.log.evict(safe, state.options.recentBytesMax);
}

/** A snapshot of our own: keep one interval of log behind it for slow followers (§7; braft). */
function handleSnapshotSaved(state: RaftState, out: Outbox, meta: SnapshotMeta): void {
  const previous = state.snapshot?.lastIncluded.index ?? LogIndex(0);
  if (meta.lastIncluded.index <= previous) return;
  state.snapshot = meta;
  const firstKept = LogIndex(previous + 1);
  if (firstKept <= state.log.firstIndex()) return;
  state.log.compactTo(firstKept);
  state.configurations.compactTo(previous);
  out.add({ type: 'compact', firstKept });
}

function handleAnnounced(
  state: RaftState,
  out: Outbox,
  event: Extract<Event, { type: 'peerAnnounced' }>,
): void {
  state.announcedFormats.set(event.peer, event.formatVersionMax);
  if (state.role.type === 'leader') keepHouse(state, out, state.role);
}

/** braft vote(): campaign at the next tick, in spite of a leader that is heard. */
function handleCampaign(
  state: RaftState,
  out: Outbox,
  event: Extract<Event, { type: 'campaign' }>,
): void {
  const { ticket, electionTimeoutMs } = event;
  // A node that asks for pre-votes is a follower still, to its users as in braft.
  if (state.role.type !== 'follower' && state.role.type !== 'preCandidate') {
    return out.refuse(ticket, reasonOf('EPERM', 'is not follower'));
  }
  const sum = state.timing.electionTimeoutMs + state.timing.clockDriftMaxMs;
  if (electionTimeoutMs > sum) {
    return out.refuse(ticket, reasonOf('EINVAL', 'the election timeout is too long'));
  }
  state.timing = { electionTimeoutMs, clockDriftMaxMs: sum - electionTimeoutMs };
  out.add({ type: 'done', ticket });
  startPreVote(state, out, {
    triggered: true,
    reason: reasonOf('ERAFTTIMEDOUT', 'a vote was asked for'),
  });
}

function handleTiming(
  state: RaftState,
  timing: { readonly electionTimeoutMs: number; readonly clockDriftMaxMs: number },
): void {
  const { electionTimeoutMs, clockDriftMaxMs } = timing;
  state.timing = { electionTimeoutMs, clockDriftMaxMs };
  resetElectionDeadline(state);
}

function handleReadonly(state: RaftState, readonly: boolean): void {
  state.readonly = readonly;
  if (state.role.type === 'leader') evaluateReadonly(state, state.role);
}

const QUITTING = reasonOf('ESHUTDOWN', 'this node is going to quit');
