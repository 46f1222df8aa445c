import { isBoundTo, membersOf } from './configuration.ts';
import { entryBytes, type LogEntry } from './entry.ts';
import { LogIndex, next, previous, type Incarnation, type Term } from './ids.ts';
import { envelope, type Outbox } from './outbox.ts';
import { becomeProbe, createProgress, type Progress } from './progress.ts';
import { hasQuorum } from './quorum.ts';
import { configurationOfState, type Leader, type RaftState } from './state.ts';

/** Gives every member but this node a progress, and forgets those who are no longer wanted. */
export function syncProgress(state: RaftState, leader: Leader): void {
  const wanted = new Set(membersOf(configurationOfState(state)));
  for (const peer of leader.change?.added ?? []) wanted.add(peer);
  wanted.delete(state.options.id);
  for (const peer of leader.progress.keys()) if (!wanted.has(peer)) leader.progress.delete(peer);
  const start = { lastIndex: state.log.lastIndex(), now: state.now };
  for (const peer of wanted) {
    if (!leader.progress.has(peer)) leader.progress.set(peer, createProgress(peer, start));
  }
}

/** Appends entries to the leader's own log and sends them on (§5.3). */
export function appendAsLeader(
  state: RaftState,
  out: Outbox,
  leader: Leader,
  entries: readonly LogEntry[],
): void {
  state.log.append(entries);
  out.append(entries);
  for (const entry of entries) {
    if (entry.kind !== 'configuration') continue;
    const { index, term } = entry.id;
    state.configurations.append({ ...entry.configuration, index }, term);
    raiseReadonlyIndexes(leader, index);
    syncProgress(state, leader);
    evaluateReadonly(state, leader);
  }
  replicateToAll(state, out, leader);
}

/** Re-evaluates whether enough members are writable (braft majority read-only mode). */
export function evaluateReadonly(state: RaftState, leader: Leader): void {
  const writable = hasQuorum(configurationOfState(state), (peer) => {
    if (peer === state.options.id) return !state.readonly;
    return leader.progress.get(peer)?.readonlyIndex === 0;
  });
  leader.majorityReadonly = !writable;
}

/** Sends whatever each follower lacks and its window allows. */
export function replicateToAll(state: RaftState, out: Outbox, leader: Leader): void {
  for (const progress of leader.progress.values()) replicate(state, out, progress);
}

/**
 * Sends to one follower what it lacks: pipelined once the match point is known, one probe at a time
 * before, a snapshot when the entries are gone (§5.3, §7; dissertation §10.2.1).
 */
export function replicate(state: RaftState, out: Outbox, progress: Progress): void {
  if (progress.mode === 'snapshot' || progress.fetching || progress.probing) return;
  if (progress.mode === 'probe') {
    sendNext(state, out, progress, { evenEmpty: true });
    return;
  }
  while (windowOpen(state, progress) && progress.nextIndex <= sendableEnd(state, progress)) {
    if (!sendNext(state, out, progress, { evenEmpty: false })) return;
  }
}

/** Asks for the match point again with an empty append: some message may have been lost. */
export function probeAgain(state: RaftState, out: Outbox, progress: Progress): void {
  const before = previous(progress.nextIndex);
  const term = state.log.termAt(before);
  if (term !== undefined) {
    sendAppend(state, out, progress, { term, index: before, entries: [] });
    return;
  }
  // What was in flight has been compacted meanwhile: start over, which may take a snapshot.
  becomeProbe(progress);
  replicate(state, out, progress);
}

/** Sends entries that were read from disk; false when they are not what this follower needs. */
export function sendFetched(
  state: RaftState,
  out: Outbox,
  progress: Progress,
  entries: readonly LogEntry[],
): boolean {
  const before = previous(progress.nextIndex);
  const term = state.log.termAt(before);
  const first = entries[0];
  const current =
    first?.id.index === progress.nextIndex &&
    term !== undefined &&
    entries.every(({ id }) => state.log.holds(id));
  return current && sendAppend(state, out, progress, { term, index: before, entries });
}

/** Offers the newest snapshot and sends nothing else until it is installed (§7). */
export function offerSnapshot(state: RaftState, out: Outbox, progress: Progress): void {
  progress.mode = 'snapshot';
  progress.inFlight.clear();
  progress.snapshotOfferedAt = state.now;
  const { to, toIncarnation, term } = envelope(state, progress.peer);
  out.add({ type: 'sendSnapshot', to, toIncarnation, term });
}

/** Whether an answer comes from the disk this leader counts for that member; pins the first. */
export function acceptsAnswerFrom(
  state: RaftState,
  progress: Progress,
  incarnation: Incarnation,
): boolean {
  if (!isBoundTo(configurationOfState(state), progress.peer, incarnation)) return false;
  if (progress.incarnation === undefined) progress.incarnation = incarnation;
  if (progress.incarnation === incarnation) return true;
  // Bound to the new disk by a configuration that replaced the old one: start over with it.
  const bound = configurationOfState(state).incarnations.get(progress.peer);
  if (bound !== incarnation) return false;
  const { peer, lastContact } = progress;
  const start = { lastIndex: state.log.lastIndex(), now: lastContact };
  Object.assign(progress, createProgress(peer, start), { incarnation });
  return true;
}

function sendNext(
  state: RaftState,
  out: Outbox,
  progress: Progress,
  options: { readonly evenEmpty: boolean },
): boolean {
  const before = previous(progress.nextIndex);
  const term = state.log.termAt(before);
  if (term === undefined || progress.nextIndex < state.log.firstIndex()) {
    offerSnapshot(state, out, progress);
    return false;
  }
  const end = sendableEnd(state, progress);
  if (progress.nextIndex > end) {
    if (!options.evenEmpty) return false;
    return sendAppend(state, out, progress, { term, index: before, entries: [] });
  }
  const bytesMax = state.options.appendBytesMax;
  const entries = state.log.batchFrom(progress.nextIndex, { to: end, bytesMax });
  if (entries === undefined) {
    progress.fetching = true;
    const { peer, nextIndex: from } = progress;
    out.add({ type: 'fetch', peer, from, to: end, bytesMax });
    return false;
  }
  return sendAppend(state, out, progress, { term, index: before, entries });
}

function sendAppend(
  state: RaftState,
  out: Outbox,
  progress: Progress,
  append: {
    readonly term: Term;
    readonly index: LogIndex;
    readonly entries: readonly LogEntry[];
  },
): true {
  const { term, index, entries } = append;
  out.send({
    ...envelope(state, progress.peer),
    type: 'appendRequest',
    previous: { term, index },
    entries,
    commitIndex: state.commitIndex,
  });
  if (progress.mode === 'probe') {
    progress.probing = true;
    return true;
  }
  const last = entries.at(-1)?.id.index;
  if (last === undefined) return true;
  progress.nextIndex = next(last);
  const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
  progress.inFlight.add(last, { entries: entries.length, bytes });
  return true;
}

function windowOpen(state: RaftState, progress: Progress): boolean {
  const { inFlightEntriesMax, inFlightBytesMax } = state.options;
  const { inFlight } = progress;
  return inFlight.entries() < inFlightEntriesMax && inFlight.bytes() < inFlightBytesMax;
}

/** The last entry that may go to this follower: a read-only one gets no further DATA. */
function sendableEnd(state: RaftState, progress: Progress): LogIndex {
  const last = state.log.lastIndex();
  return progress.readonlyIndex === 0 ? last : LogIndex(Math.min(last, progress.readonlyIndex - 1));
}

/** Configurations reach read-only followers too, with the DATA before them: logs have no holes. */
function raiseReadonlyIndexes(leader: Leader, index: LogIndex): void {
  for (const progress of leader.progress.values()) {
    if (progress.readonlyIndex > 0) progress.readonlyIndex = index + 1;
  }
}

/** The time an offered snapshot has to show a sign of life before it is offered again. */
export function snapshotOfferExpired(state: RaftState, progress: Progress): boolean {
  return state.now >= progress.snapshotOfferedAt + state.timing.electionTimeoutMs;
}
