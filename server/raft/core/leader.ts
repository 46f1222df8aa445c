import { advanceCatchUp, keepHouse } from './change.ts';
import { advanceCommitAsLeader } from './commit.ts';
import type { LogEntry } from './entry.ts';
import type { Proposal } from './event.ts';
import { LogIndex, next, MonotonicMs, type PeerId } from './ids.ts';
import type {
  AppendResponse,
  HeartbeatResponse,
  InstallSnapshotResponse,
  Message,
} from './message.ts';
import type { Outbox } from './outbox.ts';
import { becomeProbe, becomeReplicate, type Progress } from './progress.ts';
import { confirmRounds, heardQuorum, startRound } from './reads.ts';
import type { RaftErrorCode, Refusal } from './refusal.ts';
import {
  acceptsAnswerFrom,
  appendAsLeader,
  evaluateReadonly,
  offerSnapshot,
  probeAgain,
  replicate,
  sendFetched,
  snapshotOfferExpired,
} from './replication.ts';
import { heartbeatIntervalMs, type Leader, type RaftState } from './state.ts';
import { becomeFollower, reasonOf } from './step-down.ts';
import { advanceTransfer, expireTransfer } from './transfer.ts';

/** Appends the accepted tasks as one run of entries (§5.3; braft apply). */
export function handlePropose(state: RaftState, out: Outbox, proposals: readonly Proposal[]): void {
  const refusal = refusalToPropose(state);
  const { role: leader } = state;
  const entries: LogEntry[] = [];
  const { term } = state.hardState;
  let index = state.log.lastIndex();
  for (const { ticket, data, expectedTerm } of proposals) {
    if (refusal !== undefined) {
      out.refuse(ticket, refusal);
    } else if (expectedTerm !== undefined && expectedTerm !== term) {
      const text = `expected term ${String(expectedTerm)}, but it is ${String(term)}`;
      out.refuse(ticket, reasonOf('EPERM', text));
    } else {
      index = next(index);
      const id = { term, index };
      entries.push({ kind: 'data', id, data });
      out.add({ type: 'proposed', ticket, id });
    }
  }
  if (leader.type === 'leader' && entries.length > 0) appendAsLeader(state, out, leader, entries);
}

/** A follower answered an append (figure 2, leader rules; §5.3). */
export function handleAppendResponse(
  state: RaftState,
  out: Outbox,
  response: AppendResponse,
): void {
  const heard = hear(state, out, response);
  if (heard === undefined) return;
  const { leader, progress } = heard;
  updateReadonly(state, leader, progress, response.readonly);
  const { outcome } = response;
  if (outcome.accepted) {
    accept(state, out, heard, outcome.matchIndex);
  } else {
    handleRefusal(state, progress, outcome);
    replicate(state, out, progress);
  }
}

/** A follower echoed a round (dissertation §6.4); also the moment to notice lost messages. */
export function handleHeartbeatResponse(
  state: RaftState,
  out: Outbox,
  response: HeartbeatResponse,
): void {
  const heard = hear(state, out, response);
  if (heard === undefined) return;
  const { leader, progress } = heard;
  progress.ackedRound = Math.max(progress.ackedRound, response.round);
  progress.ackedTransfer = Math.max(progress.ackedTransfer, response.transferId);
  updateReadonly(state, leader, progress, response.readonly);
  confirmRounds(state, out, leader);
  resumeSending(state, out, progress, response.installing);
}

/** A follower installed the offered snapshot, or did not need it (§7). */
export function handleInstallSnapshotResponse(
  state: RaftState,
  out: Outbox,
  response: InstallSnapshotResponse,
): void {
  const heard = hear(state, out, response);
  if (heard !== undefined && response.accepted) accept(state, out, heard, response.matchIndex);
}

/** Entries read from disk for a follower that is behind the memory of this leader. */
export function handleFetched(
  state: RaftState,
  out: Outbox,
  fetched: { readonly peer: PeerId; readonly entries: readonly LogEntry[] | undefined },
): void {
  const { role: leader } = state;
  const progress = leader.type === 'leader' ? leader.progress.get(fetched.peer) : undefined;
  if (progress?.fetching !== true) return;
  progress.fetching = false;
  if (progress.mode === 'snapshot') return;
  if (sendFetched(state, out, progress, fetched.entries ?? [])) {
    replicate(state, out, progress);
    return;
  }
  // The read came to nothing (compacted, overwritten, damaged): look again at the next heartbeat.
  becomeProbe(progress);
  progress.probing = true;
}

/** The connection to a follower broke: what was in flight may be lost. */
export function handlePeerUnreachable(state: RaftState, peer: PeerId): void {
  const { role: leader } = state;
  const progress = leader.type === 'leader' ? leader.progress.get(peer) : undefined;
  if (progress === undefined) return;
  progress.consecutiveErrors++;
  if (progress.mode === 'replicate') becomeProbe(progress);
  // Do not knock at every broken connection: the next heartbeat's answer reopens the probe.
  if (progress.mode === 'probe') progress.probing = true;
}

/** The snapshot could not be offered: try again from the log or with the next heartbeat. */
export function handleSnapshotSendFailed(state: RaftState, peer: PeerId): void {
  const { role: leader } = state;
  const progress = leader.type === 'leader' ? leader.progress.get(peer) : undefined;
  if (progress?.mode !== 'snapshot') return;
  becomeProbe(progress);
  progress.probing = true;
}

/** Heartbeats, check quorum, expiry of transfers and catch-ups (§5.2; dissertation §6.2). */
export function tickLeader(state: RaftState, out: Outbox, leader: Leader, lateByMs: number): void {
  if (lateByMs > 0) forgiveSilence(leader, lateByMs);
  if (!heardQuorum(state, leader)) {
    const { term } = state.hardState;
    const reason = reasonOf('ERAFTTIMEDOUT', 'a majority of the group has been silent too long');
    return becomeFollower(state, out, { term, leader: undefined, reason });
  }
  if (state.now >= leader.nextHeartbeatAt) startRound(state, out, leader);
  if (expireTransfer(state, out, leader)) keepHouse(state, out, leader);
  advanceCatchUp(state, out, leader);
}

type Heard = { readonly leader: Leader; readonly progress: Progress };

/** Checks who answers and in which term; an answer of a higher term ends this leadership (§5.1). */
function hear(state: RaftState, out: Outbox, response: Message): Heard | undefined {
  if (response.term > state.hardState.term) {
    const reason = reasonOf('EHIGHERTERMRESPONSE', `${response.from} is in a higher term`);
    becomeFollower(state, out, { term: response.term, leader: undefined, reason });
    return undefined;
  }
  const { role: leader } = state;
  if (leader.type !== 'leader' || response.term < state.hardState.term) return undefined;
  const progress = leader.progress.get(response.from);
  if (progress === undefined) return undefined;
  const firstHeard = progress.incarnation === undefined;
  if (!acceptsAnswerFrom(state, progress, response.fromIncarnation)) return undefined;
  progress.lastContact = state.now;
  progress.answered = true;
  progress.consecutiveErrors = 0;
  if (firstHeard) keepHouse(state, out, leader);
  return { leader, progress };
}

function accept(state: RaftState, out: Outbox, heard: Heard, matchIndex: LogIndex): void {
  const { leader, progress } = heard;
  const advanced = matchIndex > progress.matchIndex;
  if (advanced) progress.matchIndex = matchIndex;
  progress.inFlight.freeTo(progress.matchIndex);
  const caughtUpWithSnapshot = progress.mode === 'snapshot' && advanced;
  if (progress.mode === 'probe' || caughtUpWithSnapshot) becomeReplicate(progress);
  if (progress.nextIndex <= progress.matchIndex) progress.nextIndex = next(progress.matchIndex);
  if (advanced) advanceCommitAsLeader(state, out, leader);
  if (state.role !== leader) return;
  // What was committed may have been the last entry that this member had a part in.
  if (leader.progress.has(progress.peer)) replicate(state, out, progress);
  advanceTransfer(state, out, leader);
  advanceCatchUp(state, out, leader);
}

function handleRefusal(
  state: RaftState,
  progress: Progress,
  outcome: Extract<AppendResponse['outcome'], { accepted: false }>,
): void {
  const { previousIndex, hint } = outcome;
  if (progress.mode === 'snapshot' || previousIndex <= progress.matchIndex) return;
  if (progress.mode === 'replicate') {
    becomeProbe(progress);
    return;
  }
  if (previousIndex !== progress.nextIndex - 1) return;
  // Skip in one step over everything that cannot match: entries the follower lacks, and those of
  // ours whose term is above what it can hold there (§5.3).
  const candidate = state.log.lastIdNotAbove(hint.index, hint.term).index;
  const nextIndex = Math.min(previousIndex, candidate + 1);
  progress.nextIndex = LogIndex(Math.max(nextIndex, progress.matchIndex + 1));
  progress.probing = false;
}

function resumeSending(
  state: RaftState,
  out: Outbox,
  progress: Progress,
  installing: boolean,
): void {
  if (progress.mode === 'snapshot') {
    if (!installing && snapshotOfferExpired(state, progress)) offerSnapshot(state, out, progress);
    return;
  }
  if (timeToCheck(state, progress)) lookForLosses(state, out, progress);
  replicate(state, out, progress);
}

/** Reads cause rounds far more often than the answers to appends can come: not each is a check. */
function timeToCheck(state: RaftState, progress: Progress): boolean {
  return state.now >= progress.checkedAt + heartbeatIntervalMs(state) / 2;
}

function lookForLosses(state: RaftState, out: Outbox, progress: Progress): void {
  const { matchIndex, matchAtCheck } = progress;
  const stuck = progress.inFlight.entries() > 0 && matchIndex === matchAtCheck;
  progress.checkedAt = state.now;
  progress.matchAtCheck = matchIndex;
  if (progress.mode === 'probe') progress.probing = false;
  else if (stuck) probeAgain(state, out, progress);
}

function updateReadonly(
  state: RaftState,
  leader: Leader,
  progress: Progress,
  readonly: boolean,
): void {
  if (readonly === progress.readonlyIndex > 0) return;
  progress.readonlyIndex = readonly ? state.log.lastIndex() + 1 : 0;
  evaluateReadonly(state, leader);
}

function refusalToPropose(state: RaftState): Refusal | undefined {
  const { role } = state;
  const known = state.leader === undefined ? {} : { leader: state.leader };
  const refuse = (code: RaftErrorCode, text: string): Refusal => ({
    ...reasonOf(code, text),
    ...known,
  });
  if (role.type !== 'leader') return refuse('EPERM', 'is not leader');
  if (role.transfer !== undefined) return refuse('EBUSY', 'is transferring leadership');
  if (state.readonly) return refuse('EREADONLY', 'this node is in read-only mode');
  if (role.majorityReadonly) return refuse('EREADONLY', 'a majority is in read-only mode');
  return undefined;
}

/** Time this node itself slept through is no silence of its followers. */
function forgiveSilence(leader: Leader, lateByMs: number): void {
  for (const progress of leader.progress.values()) {
    progress.lastContact = MonotonicMs(progress.lastContact + lateByMs);
  }
}
