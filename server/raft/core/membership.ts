import type { Incarnation, LogIndex, PeerId } from './ids.ts';

/**
 * Who belongs to the group, as written in one CONFIGURATION entry (§6; dissertation §4).
 * In force on a node from the moment it is appended there, and no longer when truncated (§6).
 */
export type Configuration = {
  readonly voters: ReadonlySet<PeerId>;
  /** The voters of the configuration being left; present only in joint consensus (§6). */
  readonly outgoing?: ReadonlySet<PeerId>;
  /** Members that receive the log but are never counted (dissertation §4.2.1). */
  readonly learners: ReadonlySet<PeerId>;
  /**
   * The disk each member is bound to. A response counts only if it comes from that disk; a member
   * absent here is not bound yet and counts with the first disk heard in the leader's term.
   */
  readonly incarnations: ReadonlyMap<PeerId, Incarnation>;
};

/** A configuration and the fields that travel with it through the log and snapshots. */
export type ConfigurationRecord = {
  readonly configuration: Configuration;
  /** The highest fencing token accepted so far; a change with a lower one is refused. 0: none. */
  readonly fence: number;
  /** The last operations (at most 64, oldest first), so that a repeat returns the first result. */
  readonly operations: readonly ConfigurationOperation[];
  /** The active format version: the newest layout that may be written (never falls). */
  readonly formatVersion: number;
};

/** One finished or running membership operation, remembered by its id. */
export type ConfigurationOperation = {
  readonly id: string;
  /** The voters before and after, as the caller was or will be told. */
  readonly oldVoters: readonly PeerId[];
  readonly newVoters: readonly PeerId[];
};

/** How many operation ids a ConfigurationRecord keeps. */
export const CONFIGURATION_OPERATIONS_MAX = 64;

/** A configuration with the index of the entry (or snapshot) that brought it. 0: initial_conf. */
export type IndexedConfiguration = ConfigurationRecord & { readonly index: LogIndex };

/** What a caller asks of the group's membership (braft: add_peer, remove_peer, change_peers). */
export type MembershipChange = {
  readonly target:
    | { readonly type: 'addVoter'; readonly peer: PeerId }
    | { readonly type: 'removeVoter'; readonly peer: PeerId }
    | { readonly type: 'changeVoters'; readonly voters: ReadonlySet<PeerId> }
    | { readonly type: 'addLearner'; readonly peer: PeerId }
    | { readonly type: 'removeLearner'; readonly peer: PeerId }
    | { readonly type: 'promoteLearner'; readonly peer: PeerId }
    /** Same members, a new fencing token: an operator takes over. */
    | { readonly type: 'claimOperator' };
  /** Refuse unless this is the index of the last committed, stable configuration. */
  readonly expectedConfigurationIndex?: LogIndex;
  /** Refuse if lower than the highest fence accepted so far. */
  readonly fence?: number;
  /** Makes the call idempotent: a repeat returns the first result and writes nothing. */
  readonly operationId?: string;
};
