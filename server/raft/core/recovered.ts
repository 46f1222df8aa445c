import type { HardState } from './event.ts';
import type { LogIndex, MonotonicMs, PeerId, Term } from './ids.ts';
import type { IndexedConfiguration } from './membership.ts';
import type { SnapshotMeta } from './message.ts';

/** Entries from `first` up to the next run's first all have this term. */
export type TermRun = { readonly first: LogIndex; readonly term: Term };

/** What a log holds when it is opened (the stable part of figure 2's log[]). */
export type RecoveredLog = {
  /** First entry present; lastIndex + 1 when the log is empty. */
  readonly firstIndex: LogIndex;
  /** Last entry present; firstIndex - 1 when the log is empty. */
  readonly lastIndex: LogIndex;
  /** Rising `first`s; empty when the log is empty. */
  readonly termRuns: readonly TermRun[];
  /** Every configuration entry in the log, in order. */
  readonly configurations: readonly IndexedConfiguration[];
};

/** Everything a core starts from: what survived, and who it is meant to be (figure 2, state). */
export type Recovered = {
  readonly now: MonotonicMs;
  readonly hardState: HardState;
  readonly log: RecoveredLog;
  readonly snapshot: SnapshotMeta | undefined;
  /** What reset_peers made of this disk: in force until the log holds a configuration since `term`. */
  readonly reset: { readonly voters: ReadonlySet<PeerId>; readonly term: Term } | undefined;
  /** Used only while neither log nor snapshot holds a configuration (braft initial_conf). */
  readonly initialVoters: ReadonlySet<PeerId>;
  /** False: an empty disk that must not vote until a leader addresses its incarnation. */
  readonly joined: boolean;
  /** Nothing was ever stored here: no leader can have been heard, campaign without waiting. */
  readonly firstStart: boolean;
};
