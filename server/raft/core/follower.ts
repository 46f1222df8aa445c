import { commitTo } from './commit.ts';
import type { LogEntry, LogWrite } from './entry.ts';
import { LogIndex, type LogId } from './ids.ts';
import type {
  AppendOutcome,
  AppendRequest,
  HeartbeatRequest,
  InstallSnapshotRequest,
  Message,
  SnapshotMeta,
} from './message.ts';
import { replyEnvelope, type Outbox } from './outbox.ts';
import { resetElectionDeadline, TRANSFER_FORGOTTEN, type RaftState } from './state.ts';
import { becomeFollower, reasonOf } from './step-down.ts';

/** AppendEntries, receiver side (figure 2). */
export function handleAppendRequest(state: RaftState, out: Outbox, request: AppendRequest): void {
  if (!followLeader(state, out, request)) {
    return answer(state, out, request, refusal(state, request));
  }
  if (request.previous.index < state.commitIndex) {
    // What is committed is never compared or rewritten: accept it as it stands here.
    const matchIndex = state.commitIndex;
    return answer(state, out, request, { accepted: true, matchIndex });
  }
  if (!state.log.holds(request.previous)) {
    return answer(state, out, request, refusal(state, request));
  }
  const write = reconcile(state, request.entries);
  appendAsFollower(state, out, write);
  const matchIndex = LogIndex(request.previous.index + request.entries.length);
  answer(state, out, request, { accepted: true, matchIndex });
  // Only up to matchIndex: what lies beyond it may still belong to a deposed leader (§5.3).
  commitTo(state, out, LogIndex(Math.min(request.commitIndex, matchIndex)));
}

/** A heartbeat: the leader is alive, a round wants an echo, the commit index may have moved. */
export function handleHeartbeatRequest(
  state: RaftState,
  out: Outbox,
  request: HeartbeatRequest,
): void {
  const followed = followLeader(state, out, request);
  if (followed) {
    noteTransferId(state, request);
    commitTo(state, out, LogIndex(Math.min(request.commitIndex, state.log.lastIndex())));
  }
  out.send({
    ...replyEnvelope(state, request),
    type: 'heartbeatResponse',
    // Round 0 was never asked: an answer from another term confirms nothing.
    round: followed ? request.round : 0,
    transferId: followed ? request.transferId : 0,
    readonly: state.readonly,
    installing: state.downloading !== undefined,
  });
}

/** InstallSnapshot, receiver side (figure 13): fetch the files first, then replace the log. */
export function handleInstallSnapshotRequest(
  state: RaftState,
  out: Outbox,
  request: InstallSnapshotRequest,
): void {
  const { lastIncluded } = request.meta;
  const followed = followLeader(state, out, request);
  if (!followed || lastIncluded.index <= state.commitIndex) {
    return out.sendDurably({
      ...replyEnvelope(state, request),
      type: 'installSnapshotResponse',
      accepted: followed,
      matchIndex: state.commitIndex,
    });
  }
  if (state.downloading?.lastIncluded.index === lastIncluded.index) return;
  state.downloading = request.meta;
  const { meta, from, copyId } = request;
  out.add({ type: 'downloadSnapshot', meta, from, copyId });
}

/** The files have arrived: replace the log by the snapshot unless the log overtook it (§7). */
export function handleSnapshotDownloaded(state: RaftState, out: Outbox, meta: SnapshotMeta): void {
  if (state.downloading?.lastIncluded.index !== meta.lastIncluded.index) return;
  state.downloading = undefined;
  resetElectionDeadline(state);
  if (meta.lastIncluded.index <= state.commitIndex || state.role.type === 'leader') return;
  // An entry that matches the snapshot's last proves that the rest of the log follows it (§7).
  const resetLog = !state.log.holds(meta.lastIncluded);
  const base = { ...meta.configuration, index: meta.configurationIndex };
  if (resetLog) {
    state.log.reset(meta.lastIncluded);
    state.durableIndex = meta.lastIncluded.index;
  } else {
    state.log.compactTo(LogIndex(meta.lastIncluded.index + 1));
  }
  const keepAfter = resetLog ? LogIndex(Number.MAX_SAFE_INTEGER) : meta.lastIncluded.index;
  state.configurations.restart(base, meta.lastIncluded.term, keepAfter);
  state.snapshot = meta;
  state.commitIndex = meta.lastIncluded.index;
  out.install(meta, resetLog);
  answerInstalled(state, out, meta);
}

export function handleSnapshotDownloadFailed(state: RaftState, meta: SnapshotMeta): void {
  if (state.downloading?.lastIncluded.index === meta.lastIncluded.index) {
    state.downloading = undefined;
  }
}

/**
 * Accepts the sender as leader of its term. False when it is not: an older term, or a second leader
 * in this one, which is reported and never obeyed (braft ELEADERCONFLICT).
 */
function followLeader(
  state: RaftState,
  out: Outbox,
  request: AppendRequest | HeartbeatRequest | InstallSnapshotRequest,
): boolean {
  const { term, from } = request;
  if (term < state.hardState.term) return false;
  const sameTerm = term === state.hardState.term;
  const ledByAnother = state.leader !== undefined && state.leader !== from;
  if (sameTerm && ledByAnother) {
    const fields = { term, leader: state.leader ?? '', other: from };
    out.note('error', 'two leaders in one term: the second one is refused', fields);
    return false;
  }
  if (!sameTerm || state.leader === undefined || state.role.type !== 'follower') {
    const reason = reasonOf('ENEWLEADER', `following ${from} in term ${String(term)}`);
    becomeFollower(state, out, { term, leader: from, reason });
  }
  if (request.toIncarnation === state.options.incarnation) state.joined = true;
  state.lastLeaderContact = state.now;
  resetElectionDeadline(state);
  return true;
}

/** Splits `entries` at the first one the log lacks or disagrees with (figure 2, steps 3 and 4). */
function reconcile(state: RaftState, entries: readonly LogEntry[]): LogWrite {
  for (const [position, entry] of entries.entries()) {
    const ours = state.log.termAt(entry.id.index);
    if (ours === entry.id.term) continue;
    const rest = entries.slice(position);
    return ours === undefined ? { entries: rest } : { entries: rest, truncateFrom: entry.id.index };
  }
  return { entries: [] };
}

function appendAsFollower(state: RaftState, out: Outbox, write: LogWrite): void {
  const { truncateFrom, entries } = write;
  if (truncateFrom !== undefined) {
    state.log.truncateFrom(truncateFrom);
    state.durableIndex = LogIndex(Math.min(state.durableIndex, truncateFrom - 1));
    if (state.configurations.truncateFrom(truncateFrom)) out.configurationChanged();
    out.truncate(truncateFrom);
  }
  state.log.append(entries);
  out.append(entries);
  for (const entry of entries) {
    if (entry.kind !== 'configuration') continue;
    const { index, term } = entry.id;
    state.configurations.append({ ...entry.configuration, index }, term);
  }
}

function answer(
  state: RaftState,
  out: Outbox,
  request: AppendRequest,
  outcome: AppendOutcome,
): void {
  const reply: Message = {
    ...replyEnvelope(state, request),
    type: 'appendResponse',
    outcome,
    readonly: state.readonly,
  };
  // Acceptance promises that the entries are on disk; a refusal promises nothing.
  if (outcome.accepted) out.sendDurably(reply);
  else out.send(reply);
}

function refusal(state: RaftState, request: AppendRequest): AppendOutcome {
  const { index, term } = request.previous;
  const hint: LogId = state.log.lastIdNotAbove(index, term);
  return { accepted: false, previousIndex: index, hint };
}

function answerInstalled(state: RaftState, out: Outbox, meta: SnapshotMeta): void {
  const { leader } = state;
  if (leader === undefined) return;
  const { term } = state.hardState;
  const { id, incarnation } = state.options;
  out.sendDurably({
    type: 'installSnapshotResponse',
    term,
    from: id,
    fromIncarnation: incarnation,
    to: leader,
    toIncarnation: meta.configuration.configuration.incarnations.get(leader),
    accepted: true,
    matchIndex: meta.lastIncluded.index,
  });
}

function noteTransferId(state: RaftState, request: HeartbeatRequest): void {
  const { term, transferId } = request;
  const { transferSeen: seen } = state;
  const known = seen.term === term && seen.id !== TRANSFER_FORGOTTEN;
  if (!known || seen.id < transferId) state.transferSeen = { term, id: transferId };
}
