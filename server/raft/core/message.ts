import type { LogEntry } from './entry.ts';
import type { Incarnation, LogId, LogIndex, PeerId, Term } from './ids.ts';
import type { ConfigurationRecord } from './membership.ts';

/**
 * What every message says about its two ends. `term` is the sender's current term, except in a
 * pre-vote request, where it is the term the sender would campaign in (dissertation §9.6).
 */
type Envelope = {
  readonly term: Term;
  readonly from: PeerId;
  readonly fromIncarnation: Incarnation;
  readonly to: PeerId;
  /** The disk the sender means; undefined while the sender does not know one. */
  readonly toIncarnation: Incarnation | undefined;
};

/**
 * Why a voter may answer although it hears a leader: that leader gave up, by a transfer or because
 * it was asked to vote (braft: DisruptedLeader; dissertation §3.10).
 */
export type DisruptedLeader = { readonly leader: PeerId; readonly term: Term };

/** What a snapshot stands for (§7, figure 13). */
export type SnapshotMeta = {
  readonly lastIncluded: LogId;
  readonly configuration: ConfigurationRecord;
  /** Index of the entry that brought the configuration; 0 for initial_conf. */
  readonly configurationIndex: LogIndex;
};

/** RequestVote and its pre-vote form (figure 2; dissertation §9.6). */
export type VoteRequest = Envelope & {
  readonly type: 'voteRequest';
  readonly preVote: boolean;
  readonly lastLog: LogId;
  /** A person asked for this campaign by `vote()`: the leader itself may grant and step down. */
  readonly triggered: boolean;
  readonly disrupted?: DisruptedLeader;
};

export type VoteResponse = Envelope & {
  readonly type: 'voteResponse';
  readonly preVote: boolean;
  /** The term of the request answered; tells apart answers to older campaigns. */
  readonly requestTerm: Term;
  readonly granted: boolean;
  /** Refused only because the voter hears a leader (leader stickiness, dissertation §4.2.3). */
  readonly rejectedByLease: boolean;
  /** The voter was that leader and has just given up. */
  readonly disrupted?: DisruptedLeader;
};

/** AppendEntries with a log position to match (figure 2). May carry no entries: a probe. */
export type AppendRequest = Envelope & {
  readonly type: 'appendRequest';
  readonly previous: LogId;
  readonly entries: readonly LogEntry[];
  readonly commitIndex: LogIndex;
};

export type AppendResponse = Envelope & {
  readonly type: 'appendResponse';
  readonly outcome: AppendOutcome;
  /** This follower is in read-only mode: send it no further DATA entries. */
  readonly readonly: boolean;
};

/** A refusal carries the hint that lets the leader skip back in one round trip (§5.3). */
export type AppendOutcome =
  | { readonly accepted: true; readonly matchIndex: LogIndex }
  | {
      readonly accepted: false;
      /** The refused request's previous index: names which probe is answered. */
      readonly previousIndex: LogIndex;
      /** Where to try next: the follower's last entry whose term is not above the request's. */
      readonly hint: LogId;
    };

/** Keeps authority, confirms reads and carries the commit index; promises nothing about logs. */
export type HeartbeatRequest = Envelope & {
  readonly type: 'heartbeatRequest';
  /** Never beyond what this follower is known to hold. */
  readonly commitIndex: LogIndex;
  /** Id of the newest read round, never reused within a term (dissertation §6.4). */
  readonly round: number;
  /** Voids every TimeoutNow of this term with a lower id. */
  readonly transferId: number;
};

export type HeartbeatResponse = Envelope & {
  readonly type: 'heartbeatResponse';
  readonly round: number;
  readonly transferId: number;
  readonly readonly: boolean;
  /** The follower is fetching or loading a snapshot; the leader need not offer it again. */
  readonly installing: boolean;
};

/** Offers a snapshot; the follower fetches its files by `copyId` (§7; braft's uri). */
export type InstallSnapshotRequest = Envelope & {
  readonly type: 'installSnapshotRequest';
  readonly meta: SnapshotMeta;
  /** Unguessable id under which the sender serves the snapshot's files for a while. */
  readonly copyId: string;
};

export type InstallSnapshotResponse = Envelope & {
  readonly type: 'installSnapshotResponse';
  readonly accepted: boolean;
  /** Everything up to here is durable on the follower; meaningful when accepted. */
  readonly matchIndex: LogIndex;
};

/** Tells the target of a transfer to campaign at once (dissertation §3.10). */
export type TimeoutNow = Envelope & {
  readonly type: 'timeoutNow';
  readonly transferId: number;
};

/** What one peer says to another (§5). */
export type Message =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | HeartbeatRequest
  | HeartbeatResponse
  | InstallSnapshotRequest
  | InstallSnapshotResponse
  | TimeoutNow;
