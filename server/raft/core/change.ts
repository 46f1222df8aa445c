import { assert } from './assert.ts';
import { bindMembers, membersOf, votersChanged } from './configuration.ts';
import type { Ticket } from './event.ts';
import { next, type Incarnation, type PeerId } from './ids.ts';
import { CONFIGURATION_OPERATIONS_MAX } from './membership.ts';
import type { Configuration, ConfigurationRecord, MembershipChange } from './membership.ts';
import { checkChange, sameSet, targetOf } from './change-rules.ts';
import type { Outbox } from './outbox.ts';
import type { RaftErrorCode } from './refusal.ts';
import { appendAsLeader, replicate, syncProgress } from './replication.ts';
import type { Change, Leader, RaftState } from './state.ts';
import { reasonOf } from './step-down.ts';
import { resign } from './transfer.ts';

/**
 * Starts a membership change (§6; dissertation §4.3; braft's stages): first the added voters catch
 * up by replication from this leader alone, then one joint entry if more than one voter differs,
 * then the stable entry.
 */
export function handleChange(
  state: RaftState,
  out: Outbox,
  request: { readonly ticket: Ticket; readonly change: MembershipChange },
): void {
  const { ticket, change } = request;
  const verdict = checkChange(state, change);
  if (verdict.type === 'refuse') return out.refuse(ticket, verdict.refusal);
  if (verdict.type === 'done') {
    const { oldVoters, newVoters } = verdict;
    return out.add({ type: 'done', ticket, oldVoters, newVoters });
  }
  const { leader } = verdict;
  if (verdict.type === 'join') {
    verdict.running.tickets.push(ticket);
    return;
  }
  beginChange(state, out, leader, request);
}

/** Moves a change on when its peers have caught up, or ends it when one of them does not. */
export function advanceCatchUp(state: RaftState, out: Outbox, leader: Leader): void {
  const { change } = leader;
  if (change?.stage !== 'catchingUp') return;
  for (const peer of change.added) {
    const verdict = catchUpVerdict(state, leader, change, peer);
    if (verdict === 'failed') return failCatchUp(state, out, leader, peer);
    if (verdict === 'waiting') return;
  }
  writeFirstEntry(state, out, leader, change);
}

/** A configuration entry of this leader was committed: go to the next stage. */
export function advanceChange(state: RaftState, out: Outbox, leader: Leader): void {
  const latest = state.configurations.latest();
  if (latest.index > state.commitIndex || leader.change?.stage === 'catchingUp') return;
  if (latest.configuration.outgoing !== undefined) {
    const change = leader.change ?? resumedChange(state);
    leader.change = change;
    change.stage = 'stable';
    const { voters, learners, incarnations } = latest.configuration;
    const configuration = { voters, learners, incarnations };
    appendConfiguration(state, out, leader, { ...latest, configuration });
    return;
  }
  if (leader.change !== undefined) finishChange(state, out, leader, leader.change);
  if (latest.configuration.voters.has(state.options.id)) return keepHouse(state, out, leader);
  // Also a leader that finds its own removal in the log and has only now committed it.
  const reason = reasonOf('ELEADERREMOVED', 'this node was removed from the group');
  resign(state, out, { wakeSuccessor: true, reason });
}

/**
 * What a leader owes its configuration between changes: bind members it has heard of to their
 * disks, and raise the format version once every member can read it.
 */
export function keepHouse(state: RaftState, out: Outbox, leader: Leader): void {
  const latest = state.configurations.latest();
  const quiet = leader.change === undefined && leader.transfer === undefined;
  const settled = state.commitIndex >= leader.startIndex && latest.index <= state.commitIndex;
  if (!quiet || !settled || latest.configuration.outgoing !== undefined) return;
  const configuration = bindMembers(latest.configuration, incarnationLookup(state, leader));
  const formatVersion = Math.max(latest.formatVersion, commonFormat(state, latest.configuration));
  const bound = configuration.incarnations.size > latest.configuration.incarnations.size;
  if (!bound && formatVersion === latest.formatVersion) return;
  appendConfiguration(state, out, leader, { ...latest, configuration, formatVersion });
}

/** The configuration a new leader writes as the first entry of its term, binding who voted. */
export function firstConfiguration(
  state: RaftState,
  voters: ReadonlyMap<PeerId, Incarnation>,
): ConfigurationRecord {
  const latest = state.configurations.latest();
  const configuration = bindMembers(latest.configuration, (peer) =>
    peer === state.options.id ? state.options.incarnation : voters.get(peer),
  );
  return recordOf({ ...latest, configuration });
}

function beginChange(
  state: RaftState,
  out: Outbox,
  leader: Leader,
  request: { readonly ticket: Ticket; readonly change: MembershipChange },
): void {
  const latest = state.configurations.latest();
  const target = targetOf(latest.configuration, request.change.target);
  const { fence, operationId } = request.change;
  const oldVoters = [...latest.configuration.voters];
  const added = [...target.voters].filter((peer) => !latest.configuration.voters.has(peer));
  const newVoters = [...target.voters];
  const change: Change = {
    stage: 'catchingUp',
    tickets: [request.ticket],
    target,
    added: new Set(added),
    fence: fence ?? latest.fence,
    operation: operationId === undefined ? undefined : { id: operationId, oldVoters, newVoters },
    oldVoters,
    startedAt: state.now,
  };
  leader.change = change;
  syncProgress(state, leader);
  for (const peer of added) {
    const progress = leader.progress.get(peer);
    assert(progress !== undefined, 'a peer to catch up has no progress');
    replicate(state, out, progress);
  }
  advanceCatchUp(state, out, leader);
}

function writeFirstEntry(state: RaftState, out: Outbox, leader: Leader, change: Change): void {
  const latest = state.configurations.latest();
  const { configuration: current } = latest;
  const { voters, learners } = change.target;
  const joint = votersChanged(current.voters, voters) > 1;
  change.stage = joint ? 'joint' : 'stable';
  const configuration: Configuration = {
    voters,
    learners,
    incarnations: current.incarnations,
    ...(joint && { outgoing: current.voters }),
  };
  const operations =
    change.operation === undefined
      ? latest.operations
      : [...latest.operations, change.operation].slice(-CONFIGURATION_OPERATIONS_MAX);
  appendConfiguration(state, out, leader, {
    configuration,
    operations,
    fence: change.fence,
    formatVersion: latest.formatVersion,
  });
}

function appendConfiguration(
  state: RaftState,
  out: Outbox,
  leader: Leader,
  record: ConfigurationRecord,
): void {
  const configuration = bindMembers(record.configuration, incarnationLookup(state, leader));
  const id = { term: state.hardState.term, index: next(state.log.lastIndex()) };
  const entry = { kind: 'configuration' as const, id };
  const bound = recordOf({ ...record, configuration });
  appendAsLeader(state, out, leader, [{ ...entry, configuration: bound }]);
}

function finishChange(state: RaftState, out: Outbox, leader: Leader, change: Change): void {
  leader.change = undefined;
  const newVoters = [...change.target.voters];
  for (const ticket of change.tickets) {
    out.add({ type: 'done', ticket, oldVoters: change.oldVoters, newVoters });
  }
  syncProgress(state, leader);
}

/** A joint configuration inherited from an earlier leader, to be finished by this one. */
function resumedChange(state: RaftState): Change {
  const { configuration, fence, operations } = state.configurations.latest();
  const { voters, learners, outgoing } = configuration;
  const newest = operations.at(-1);
  const isOfThisChange = newest !== undefined && sameSet(new Set(newest.newVoters), voters);
  return {
    stage: 'joint',
    tickets: [],
    target: { voters, learners },
    added: new Set(),
    fence,
    operation: isOfThisChange ? newest : undefined,
    oldVoters: [...(outgoing ?? [])],
    startedAt: state.now,
  };
}

function catchUpVerdict(
  state: RaftState,
  leader: Leader,
  change: Change,
  peer: PeerId,
): 'caughtUp' | 'waiting' | 'failed' {
  const progress = leader.progress.get(peer);
  assert(progress !== undefined, 'a peer to catch up has no progress');
  const { catchUpMarginEntries, catchUpTimeoutMs, catchUpTotalTimeoutMs } = state.options;
  const close = progress.matchIndex + catchUpMarginEntries >= state.log.lastIndex();
  if (close && progress.mode === 'replicate') return 'caughtUp';
  const patience = catchUpTimeoutMs === 0 ? state.timing.electionTimeoutMs : catchUpTimeoutMs;
  const silent = state.now - Math.max(progress.lastContact, change.startedAt) > patience;
  const tooLong = state.now - change.startedAt > catchUpTotalTimeoutMs;
  return silent || tooLong ? 'failed' : 'waiting';
}

function failCatchUp(state: RaftState, out: Outbox, leader: Leader, peer: PeerId): void {
  const tickets = leader.change?.tickets ?? [];
  leader.change = undefined;
  syncProgress(state, leader);
  const code: RaftErrorCode = 'ECATCHUP';
  for (const ticket of tickets)
    out.refuse(ticket, reasonOf(code, `Peer ${peer} failed to catch up`));
  keepHouse(state, out, leader);
}

function incarnationLookup(
  state: RaftState,
  leader: Leader,
): (peer: PeerId) => Incarnation | undefined {
  const { id, incarnation } = state.options;
  return (peer) => (peer === id ? incarnation : leader.progress.get(peer)?.incarnation);
}

/** The newest format version that every member has announced it can read. */
function commonFormat(state: RaftState, configuration: Configuration): number {
  let common = state.options.formatVersionMax;
  for (const peer of membersOf(configuration)) {
    if (peer === state.options.id) continue;
    common = Math.min(common, state.announcedFormats.get(peer) ?? 0);
  }
  return common;
}

function recordOf(record: ConfigurationRecord): ConfigurationRecord {
  const { configuration, fence, operations, formatVersion } = record;
  return { configuration, fence, operations, formatVersion };
}
