import type { Incarnation, Lineage, LogIndex, PeerId, Term } from '../core/ids.ts';
import type { IndexedConfiguration } from '../core/membership.ts';

/** braft State; the order matters to its users: below `error` means active. */
export type NodeState =
  | 'leader'
  | 'transferring'
  | 'candidate'
  | 'follower'
  | 'error'
  | 'uninitialized'
  | 'shutting'
  | 'shutdown';

/** braft LeaderLeaseStatus. Term and epoch mean something only when valid. */
export type LeaderLeaseStatus = {
  readonly state: 'disabled' | 'expired' | 'notReady' | 'valid';
  readonly term: Term;
  /** Grows by one at each leader start, also when a failed transfer resumes. */
  readonly leaseEpoch: number;
};

/** What a leader knows of one peer (braft PeerStatus). */
export type PeerStatus = {
  /** The disk that is counted for this peer, or the first one heard of; undefined before that. */
  readonly incarnation: Incarnation | undefined;
  readonly valid: boolean;
  readonly installingSnapshot: boolean;
  /** Waiting before the next probe. */
  readonly blocking: boolean;
  readonly matchIndex: LogIndex;
  readonly nextIndex: LogIndex;
  /** Milliseconds since the peer last answered; undefined before its first answer. */
  readonly lastContactMs: number | undefined;
  readonly inFlightEntries: number;
  /** First index not sent to a read-only peer; 0 when writable. */
  readonly readonlyIndex: number;
  readonly consecutiveErrors: number;
};

/** What a node knows of itself (braft NodeStatus). Maps are filled on the leader only. */
export type NodeStatus = {
  readonly state: NodeState;
  readonly peer: PeerId;
  readonly leader: PeerId | undefined;
  readonly readonly: boolean;
  readonly term: Term;
  readonly committedIndex: LogIndex;
  readonly knownAppliedIndex: LogIndex;
  /** First task waiting to be committed; 0: none. */
  readonly pendingIndex: number;
  readonly pendingTasks: number;
  /** Entry being applied right now; 0: none. */
  readonly applyingIndex: number;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly diskIndex: LogIndex;
  readonly snapshotIndex: LogIndex;
  readonly snapshotTerm: Term;
  readonly snapshotActivity: 'idle' | 'saving' | 'downloading' | 'loading';
  readonly configuration: IndexedConfiguration;
  /** Index of the last committed, stable configuration. */
  readonly committedConfigurationIndex: LogIndex;
  readonly changeStage: 'none' | 'catchingUp' | 'joint' | 'stable';
  readonly stableFollowers: ReadonlyMap<PeerId, PeerStatus>;
  /** Peers that are being caught up and not members yet. */
  readonly unstableFollowers: ReadonlyMap<PeerId, PeerStatus>;
  readonly identity: {
    readonly clusterId: string;
    readonly incarnation: Incarnation;
    readonly lineage: Lineage | undefined;
    readonly joined: boolean;
  };
  /** Milliseconds until timers fire; undefined: stopped. */
  readonly timers: {
    readonly electionMs: number | undefined;
    readonly voteMs: number | undefined;
    readonly stepDownMs: number | undefined;
    readonly snapshotMs: number | undefined;
  };
  readonly electionTimeoutMs: number;
  /** Milliseconds since the leader was last heard, on a follower. */
  readonly lastLeaderContactMs: number | undefined;
  /** Messages refused by reason, since start. */
  readonly refusedMessages: Readonly<Record<string, number>>;
};
