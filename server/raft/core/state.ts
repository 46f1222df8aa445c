import { assert } from './assert.ts';
import {
  ConfigurationHistory,
  initialRecord,
  resetRecord,
  isBoundTo,
  isVoter,
  membersOf,
} from './configuration.ts';
import type { HardState, Ticket } from './event.ts';
import { LogIndex, MonotonicMs, type Incarnation, type PeerId, type Term } from './ids.ts';
import { RaftLog } from './log.ts';
import type { Configuration, ConfigurationOperation, IndexedConfiguration } from './membership.ts';
import type { DisruptedLeader, SnapshotMeta } from './message.ts';
import { createPrng, type Prng } from './prng.ts';
import type { Progress } from './progress.ts';
import type { Recovered } from './recovered.ts';

/** How a node behaves. Durations are milliseconds. */
export type CoreOptions = {
  readonly id: PeerId;
  readonly incarnation: Incarnation;
  /** Seed of the randomised election timeouts (§5.2). */
  readonly seed: number;
  readonly electionTimeoutMs: number;
  /** Counts only where leases are on. */
  readonly clockDriftMaxMs: number;
  readonly leaderLease: boolean;
  /** Silence after which catching up a new peer fails; 0: the election timeout. */
  readonly catchUpTimeoutMs: number;
  readonly catchUpTotalTimeoutMs: number;
  readonly catchUpMarginEntries: number;
  readonly appendBytesMax: number;
  readonly inFlightEntriesMax: number;
  readonly inFlightBytesMax: number;
  /** Entries kept in memory for followers beyond what must be there, in bytes. */
  readonly recentBytesMax: number;
  /** Newest format version this program can read. */
  readonly formatVersionMax: number;
};

/** Votes for one campaign: who granted it and from which disk. */
export type Tally = {
  readonly granted: Map<PeerId, Incarnation>;
  /** Refused only for hearing a leader; these count once that leader has given up. */
  readonly leaseRejected: Map<PeerId, Incarnation>;
};

export type PreCandidate = {
  readonly type: 'preCandidate';
  readonly tally: Tally;
  /** A person asked for it: vote(). */
  readonly triggered: boolean;
  /** When to ask again those who have not granted. */
  retryAt: MonotonicMs;
  disrupted: DisruptedLeader | undefined;
};

export type Candidate = { readonly type: 'candidate'; readonly tally: Tally };

/** A read round under way (dissertation §6.4). */
export type ReadRound = {
  readonly round: number;
  readonly sentAt: MonotonicMs;
  /** What a read answered by this round must see applied. */
  readonly readIndex: LogIndex;
  readonly tickets: readonly Ticket[];
};

/** A leadership transfer under way (dissertation §3.10). */
export type Transfer = {
  readonly target: PeerId;
  readonly deadline: MonotonicMs;
  sent: boolean;
};

/** A membership change under way (braft's stages). */
export type Change = {
  stage: 'catchingUp' | 'joint' | 'stable';
  /** Callers to be told; empty when a new leader finishes what an old one began. */
  readonly tickets: Ticket[];
  readonly target: Pick<Configuration, 'voters' | 'learners'>;
  /** Members to be caught up before anything is written to the log. */
  readonly added: ReadonlySet<PeerId>;
  readonly fence: number;
  readonly operation: ConfigurationOperation | undefined;
  readonly oldVoters: readonly PeerId[];
  readonly startedAt: MonotonicMs;
};

export type Leader = {
  readonly type: 'leader';
  /** The entry of the leader's own term; nothing is served before it is committed (§8). */
  readonly startIndex: LogIndex;
  readonly progress: Map<PeerId, Progress>;
  /** What this node's own disk holds. */
  selfMatch: LogIndex;
  nextHeartbeatAt: MonotonicMs;
  /** Id of the newest round; never reused within the term. */
  round: number;
  rounds: ReadRound[];
  /** Reads that wait for a place among the rounds under way. */
  waitingReads: Ticket[];
  /** Send time of the newest confirmed round: the lease runs from here. */
  leaseStart: MonotonicMs;
  leaseEpoch: number;
  /** After failed transfers the lease needs these peers to void their old TimeoutNow first. */
  readonly leaseBlockedBy: Map<PeerId, number>;
  transferId: number;
  transfer: Transfer | undefined;
  change: Change | undefined;
  majorityReadonly: boolean;
};

export type RoleState = { readonly type: 'follower' } | PreCandidate | Candidate | Leader;

/** Everything one node knows, grouped as in the paper's figure 2. Mutated in place by `step`. */
export type RaftState = {
  readonly options: CoreOptions;
  readonly prng: Prng;
  timing: { electionTimeoutMs: number; clockDriftMaxMs: number };
  now: MonotonicMs;
  hardState: HardState;
  /** What `persisted` events have reported: the vote on disk counts, the one in memory does not. */
  durableHardState: HardState;
  durableIndex: LogIndex;
  readonly log: RaftLog;
  readonly configurations: ConfigurationHistory;
  commitIndex: LogIndex;
  appliedIndex: LogIndex;
  snapshot: SnapshotMeta | undefined;
  /** False: an empty disk that no leader has addressed yet. */
  joined: boolean;
  readonly: boolean;
  role: RoleState;
  leader: PeerId | undefined;
  /** When a leader was last heard; -Infinity: never. Carries stickiness (dissertation §4.2.3). */
  lastLeaderContact: MonotonicMs;
  electionDeadline: MonotonicMs;
  /** Highest transfer id seen in heartbeats, and the term of that leader. */
  transferSeen: { term: Term; id: number };
  /** The snapshot whose files are being fetched. */
  downloading: SnapshotMeta | undefined;
  /** Newest format version each peer has announced, by disk. */
  readonly announcedFormats: Map<PeerId, number>;
  leaseEpochs: number;
};

/** A node as it starts: always a follower (§5.2). */
export function createState(options: CoreOptions, recovered: Recovered): RaftState {
  const { now, hardState, log, snapshot } = recovered;
  const base: IndexedConfiguration =
    snapshot === undefined
      ? { ...initialRecord(recovered.initialVoters), index: LogIndex(0) }
      : { ...snapshot.configuration, index: snapshot.configurationIndex };
  const applied = snapshot?.lastIncluded.index ?? LogIndex(log.firstIndex - 1);
  assert(log.lastIndex >= applied, 'the snapshot lies beyond the log');
  const prng = createPrng(options.seed);
  const { electionTimeoutMs, clockDriftMaxMs } = options;
  const never = MonotonicMs(Number.NEGATIVE_INFINITY);
  // After a restart a node counts as having just heard a leader, so that it cannot help to depose
  // one it promised to follow. A node that never stored anything has promised nothing.
  const firstWait = recovered.firstStart ? 0 : electionTimeoutMs;
  return {
    options,
    prng,
    timing: { electionTimeoutMs, clockDriftMaxMs },
    now,
    hardState,
    durableHardState: hardState,
    durableIndex: log.lastIndex,
    log: new RaftLog(log, snapshot?.lastIncluded),
    configurations: configurationsOf(options, recovered, base),
    commitIndex: applied,
    appliedIndex: applied,
    snapshot,
    joined: recovered.joined,
    readonly: false,
    role: { type: 'follower' },
    leader: undefined,
    lastLeaderContact: recovered.firstStart ? never : now,
    electionDeadline: MonotonicMs(now + firstWait + prng.next() * (electionTimeoutMs / 2)),
    transferSeen: { term: hardState.term, id: TRANSFER_FORGOTTEN },
    downloading: undefined,
    announcedFormats: new Map(),
    leaseEpochs: 0,
  };
}

/** The configurations of log and snapshot, and what a reset put in their place. */
function configurationsOf(
  options: CoreOptions,
  { log, reset, snapshot }: Recovered,
  base: IndexedConfiguration,
): ConfigurationHistory {
  const history = new ConfigurationHistory(base, log.configurations);
  if (reset === undefined) return history;
  const termOf = (index: LogIndex): Term | undefined =>
    log.termRuns.findLast(({ first }) => first <= index)?.term;
  const since = (term: Term | undefined): boolean => term !== undefined && term >= reset.term;
  // Of whichever term a leader writes, its first entry is the configuration.
  const resumed =
    since(snapshot?.lastIncluded.term) ||
    log.configurations.some(({ index }) => since(termOf(index)));
  if (resumed) return history;
  history.override(resetRecord(history.latest(), reset.voters, options), reset.term);
  return history;
}

/** The configuration in force: the newest in the log, committed or not (§6). */
export function configurationOfState(state: RaftState): Configuration {
  return state.configurations.latest().configuration;
}

/**
 * Whether an answer from this disk counts. A voter whose disk is not bound yet counts with the disk
 * that was heard first in this leadership.
 */
export function counts(state: RaftState, peer: PeerId, incarnation: Incarnation): boolean {
  return isBoundTo(configurationOfState(state), peer, incarnation);
}

/** Whether this node, with the disk it has, votes in the configuration in force. */
export function selfIsVoter(state: RaftState): boolean {
  const { id, incarnation } = state.options;
  return isVoter(configurationOfState(state), id) && counts(state, id, incarnation);
}

/**
 * Whether this node is left out of a configuration that it does not know to be committed. It must
 * go on campaigning: the entry may be on no other disk, and then nobody else can be elected
 * (dissertation §4.2.2).
 */
function selfIsLeaving(state: RaftState): boolean {
  const { id, incarnation } = state.options;
  const { configurations, commitIndex } = state;
  if (membersOf(configurationOfState(state)).has(id)) return false;
  return configurations
    .since(commitIndex)
    .some((one) => isVoter(one.configuration, id) && isBoundTo(one.configuration, id, incarnation));
}

/** May this node campaign? Not as a learner, a stranger, an empty disk or half a snapshot. */
export function mayCampaign(state: RaftState): boolean {
  const eligible = selfIsVoter(state) || selfIsLeaving(state);
  return state.joined && eligible && state.downloading === undefined;
}

/** How long a voter stays loyal to a leader it has heard (dissertation §4.2.3, §6.4.1). */
export function patienceMs(state: RaftState): number {
  const { electionTimeoutMs, clockDriftMaxMs } = state.timing;
  return electionTimeoutMs + (state.options.leaderLease ? clockDriftMaxMs : 0);
}

/** Whether a leader was heard so recently that votes against it are refused. */
export function isSticky(state: RaftState): boolean {
  return state.role.type === 'leader' || state.now < state.lastLeaderContact + patienceMs(state);
}

export function heartbeatIntervalMs(state: RaftState): number {
  return Math.max(1, Math.floor(state.timing.electionTimeoutMs / HEARTBEATS_PER_ELECTION_TIMEOUT));
}

/** A new randomised election deadline: between one and one and a half patiences (§5.2). */
export function resetElectionDeadline(state: RaftState): void {
  const patience = patienceMs(state);
  const random = state.prng.next() * (state.timing.electionTimeoutMs / 2);
  state.electionDeadline = MonotonicMs(state.now + patience + random);
}

/** Everything a leader knows of its own and its followers' logs, as one lookup. */
export function matchIndexOf(state: RaftState, leader: Leader, peer: PeerId): LogIndex {
  if (peer === state.options.id) {
    return counts(state, peer, state.options.incarnation) ? leader.selfMatch : LogIndex(0);
  }
  return leader.progress.get(peer)?.matchIndex ?? LogIndex(0);
}

/**
 * After a restart nobody knows which transfers of that term were given up: none is obeyed until a
 * heartbeat says where they stand.
 */
export const TRANSFER_FORGOTTEN = Number.POSITIVE_INFINITY;

/** braft raft_election_heartbeat_factor. */
const HEARTBEATS_PER_ELECTION_TIMEOUT = 10;
