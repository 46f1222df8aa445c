import type { LogEntry } from './entry.ts';
import type { Incarnation, LogId, LogIndex, MonotonicMs, PeerId, Term } from './ids.ts';
import type { MembershipChange } from './membership.ts';
import type { Message, SnapshotMeta } from './message.ts';

/** Names a caller's request; the answering effect carries it back. Never reused by a driver. */
export type Ticket = number;

/** One task to replicate (braft Task). */
export type Proposal = {
  readonly ticket: Ticket;
  readonly data: Uint8Array;
  /** Refuse unless the leader is still in this term (braft expected_term). */
  readonly expectedTerm?: Term;
};

/**
 * What may happen to a node. `now` is when the driver saw it; only `tick` makes timers fire, so a
 * stalled loop that first drains its inbox hears its leader before it doubts it.
 */
export type Event =
  | {
      readonly type: 'tick';
      readonly now: MonotonicMs;
      /** How much later than planned this tick comes; added to deadlines, never to a lease. */
      readonly lateByMs: number;
    }
  | { readonly type: 'message'; readonly now: MonotonicMs; readonly message: Message }
  | { readonly type: 'propose'; readonly now: MonotonicMs; readonly proposals: readonly Proposal[] }
  | {
      readonly type: 'read';
      readonly now: MonotonicMs;
      readonly ticket: Ticket;
      /** `lease` answers without a round while the leader lease is valid; else as linearizable. */
      readonly consistency: 'linearizable' | 'lease';
    }
  /** Everything handed to `persist` up to this entry is durable; `hardState` names what is saved. */
  | { readonly type: 'persisted'; readonly lastLog: LogId; readonly hardState: HardState }
  | { readonly type: 'applied'; readonly index: LogIndex }
  /** Entries asked for by a `fetch` effect; undefined when they could not be read any more. */
  | {
      readonly type: 'fetched';
      readonly peer: PeerId;
      readonly entries: readonly LogEntry[] | undefined;
    }
  /** A snapshot of our own was saved and is durable: the log before it may go. */
  | { readonly type: 'snapshotSaved'; readonly meta: SnapshotMeta }
  /** The files of an offered snapshot have arrived in the temporary folder, checked and synced. */
  | { readonly type: 'snapshotDownloaded'; readonly meta: SnapshotMeta }
  | { readonly type: 'snapshotDownloadFailed'; readonly meta: SnapshotMeta }
  /** The snapshot a `sendSnapshot` effect asked for could not be offered. */
  | { readonly type: 'snapshotSendFailed'; readonly peer: PeerId }
  /** The transport lost its connection to a peer; messages in flight may be lost. */
  | { readonly type: 'peerUnreachable'; readonly peer: PeerId }
  /** A peer announced which format versions it can read. */
  | {
      readonly type: 'peerAnnounced';
      readonly peer: PeerId;
      readonly incarnation: Incarnation;
      readonly formatVersionMax: number;
    }
  | {
      readonly type: 'changeMembership';
      readonly now: MonotonicMs;
      readonly ticket: Ticket;
      readonly change: MembershipChange;
    }
  /**
   * braft reset_peers: this node alone adopts `voters` and `term`, without consensus. Everything
   * that is written from then on is of a later term.
   */
  | {
      readonly type: 'resetPeers';
      readonly now: MonotonicMs;
      readonly ticket: Ticket;
      readonly voters: ReadonlySet<PeerId>;
      readonly term: Term;
    }
  /** Takes a reset back of which the log holds nothing yet: the log's configuration is in force. */
  | { readonly type: 'undoReset'; readonly now: MonotonicMs; readonly ticket: Ticket }
  /** braft transfer_leadership_to; undefined target: the most up-to-date follower (ANY_PEER). */
  | {
      readonly type: 'transferLeadership';
      readonly now: MonotonicMs;
      readonly ticket: Ticket;
      readonly target: PeerId | undefined;
    }
  /** braft vote(): campaign soon, in spite of a healthy leader. */
  | {
      readonly type: 'campaign';
      readonly now: MonotonicMs;
      readonly ticket: Ticket;
      readonly electionTimeoutMs: number;
    }
  /** braft reset_election_timeout_ms, both forms (the caller has computed the drift). */
  | {
      readonly type: 'setTiming';
      readonly now: MonotonicMs;
      readonly electionTimeoutMs: number;
      readonly clockDriftMaxMs: number;
    }
  | { readonly type: 'setReadonly'; readonly now: MonotonicMs; readonly readonly: boolean }
  /** Leave leadership for good (shutdown, error), waking the best successor when asked to. */
  | { readonly type: 'resign'; readonly now: MonotonicMs; readonly wakeSuccessor: boolean };

/** What must survive a crash besides the log: forgetting it lets a node vote twice (figure 2). */
export type HardState = {
  readonly term: Term;
  readonly votedFor: PeerId | undefined;
  /** The disk of the candidate voted for. */
  readonly votedIncarnation: Incarnation | undefined;
};
