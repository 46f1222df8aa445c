import type { PeerId } from '../core/ids.ts';
import type { step } from '../core/step.ts';
import type { IdentityStorage } from '../storage/identity-storage.ts';
import type { LogStorage } from '../storage/log-storage.ts';
import type { MetaStorage } from '../storage/meta-storage.ts';
import type { SnapshotStorage } from '../storage/snapshot-storage.ts';
import type { Transport } from '../transport/transport.ts';
import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';
import type { CopySnapshot } from './snapshot-executor.ts';
import type { StateMachine } from './state-machine.ts';

/** Everything a node keeps on disk, opened by the caller; the node closes it on shutdown. */
export type NodeStorage = {
  readonly log: LogStorage;
  readonly meta: MetaStorage;
  /** Absent: no snapshots (braft: no snapshot_uri). */
  readonly snapshots?: SnapshotStorage;
  readonly identity: IdentityStorage;
  /** Releases the directory lock and whatever else was opened; called last. */
  close(): Promise<void>;
};

/** How one node behaves (braft NodeOptions). Durations are milliseconds and end in `Ms`. */
export type NodeOptions<Context> = {
  readonly stateMachine: StateMachine<Context>;
  readonly storage: NodeStorage;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Seed of the election timer's random part. */
  readonly seed: number;
  /** Voters of a group that starts for the first time (braft initial_conf); may be empty. */
  readonly initialVoters: ReadonlySet<PeerId>;
  /**
   * `new`: an empty disk named in initialVoters may vote at once, because the whole group starts for
   * the first time. `existing` (the default): an empty disk waits until a leader addresses it.
   */
  readonly initialState?: 'new' | 'existing';
  /** Fetches snapshots from other nodes; absent: this node cannot install any. */
  readonly copySnapshot?: CopySnapshot;
  /** Draws ids that nobody can guess; random by default. */
  readonly newCopyId?: () => string;
  /** The core's step, replaced by tests that plant faults. */
  readonly step?: typeof step;
  /** An election starts after this long without a leader, up to half as much more at random. */
  readonly electionTimeoutMs?: number; // 1000
  /** How far clocks may drift apart within one lease. Counts only where leases are on. */
  readonly clockDriftMaxMs?: number; // 1000
  /** Allows reads under the leader lease (braft raft_enable_leader_lease). */
  readonly leaderLease?: boolean; // false
  /** How long adding a peer waits without an answer from it; 0: the election timeout. */
  readonly catchUpTimeoutMs?: number; // 0
  /** Gives up adding a peer after this long even if it answers. */
  readonly catchUpTotalTimeoutMs?: number; // 600_000
  /** A peer counts as caught up when this close to the end of the log, in entries. */
  readonly catchUpMarginEntries?: number; // 1000
  /** Saves a snapshot this often, when something was applied; 0: never by time. */
  readonly snapshotIntervalMs?: number; // 3_600_000
  /** Saves a snapshot when the log since the last one reaches this many bytes; 0: never by size. */
  readonly snapshotLogBytes?: number; // 64 MiB
  /** Tasks proposed but not yet applied, above which `apply` fails with EBUSY. */
  readonly pendingTasksMax?: number; // 100_000
  /** Payload bytes proposed but not yet applied, above which `apply` fails with EBUSY. */
  readonly pendingBytesMax?: number; // 64 MiB
  /** Bytes in one append request (braft raft_max_body_size). */
  readonly appendBytesMax?: number; // 512 KiB
  /** Entries in flight to one peer. */
  readonly inFlightEntriesMax?: number; // 4096
  /** Bytes in flight to one peer. */
  readonly inFlightBytesMax?: number; // 8 MiB
  /** Newest entries kept in memory for followers, in bytes. */
  readonly recentBytesMax?: number; // 16 MiB
};

/** One task to replicate (braft Task). The node owns `data` from then on. */
export type Task<Context> = {
  readonly data: Uint8Array;
  /** Handed back by the iterator on this node. */
  readonly context?: Context;
  /** Refused with EPERM unless the leader is in this term. */
  readonly expectedTerm?: number;
};
