import type { LogIndex, PeerId, Term } from '../core/ids.ts';
import type { Configuration } from '../core/membership.ts';
import type { RaftError } from '../error.ts';
import type { SnapshotReader, SnapshotWriter } from '../storage/snapshot-storage.ts';

/**
 * What a user of the library implements (braft StateMachine). All calls of one node come one after
 * another, never concurrently; a returned promise is awaited before the next call.
 *
 * `Context` is whatever the proposer attached to its task: on the node that proposed an entry the
 * iterator hands it back, so that the entry need not be decoded again.
 */
export type StateMachine<Context> = {
  /** Applies a run of committed DATA entries (braft on_apply): loop until `valid()` is false. */
  onApply(iterator: ApplyIterator<Context>): void;
  /**
   * Saves a snapshot of the state as of now (braft on_snapshot_save). What happens before the first
   * await is atomic with respect to onApply; the rest runs beside later calls of onApply.
   */
  onSnapshotSave?(writer: SnapshotWriter): Promise<void>;
  /** Replaces the state by a snapshot (braft on_snapshot_load); never while leader. */
  onSnapshotLoad?(reader: SnapshotReader): Promise<void>;
  /** This node leads `term` and has applied everything of older terms (braft on_leader_start). */
  onLeaderStart?(term: Term): void;
  /** This node no longer leads (braft on_leader_stop). */
  onLeaderStop?(reason: RaftError): void;
  /** A stable configuration was committed (braft on_configuration_committed). */
  onConfigurationCommitted?(configuration: Configuration, index: LogIndex): void;
  onStartFollowing?(context: LeaderChangeContext): void;
  onStopFollowing?(context: LeaderChangeContext): void;
  /** The node stopped working; at most once, and nothing is applied after it (braft on_error). */
  onError?(error: NodeError): void;
  /** The last call of all (braft on_shutdown). */
  onShutdown?(): void;
};

/** braft LeaderChangeContext. */
export type LeaderChangeContext = {
  readonly leader: PeerId;
  readonly term: Term;
  readonly reason: RaftError;
};

/** braft Error: what part failed, and how. */
export type NodeError = {
  readonly type: 'log' | 'stable' | 'snapshot' | 'stateMachine';
  readonly error: RaftError;
};

/**
 * Walks a run of committed DATA entries (braft Iterator). The promise of a task proposed here
 * resolves after the call of onApply that passed its entry.
 */
export type ApplyIterator<Context> = {
  valid(): boolean;
  /** Moves on; without effect when not valid. */
  next(): void;
  index(): LogIndex;
  term(): Term;
  data(): Uint8Array;
  /** What the proposer attached, when this node proposed the entry and still owes an answer. */
  context(): Context | undefined;
  /**
   * Stops the node: the last `entries` entries (the current one included) count as not applied, and
   * their tasks fail with ESTATEMACHINE (braft set_error_and_rollback).
   */
  setErrorAndRollback(entries: number, reason: string): void;
};
