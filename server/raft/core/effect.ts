import type { LogWrite } from './entry.ts';
import type { HardState, Ticket } from './event.ts';
import type { Incarnation, LogId, LogIndex, PeerId, Term } from './ids.ts';
import type { IndexedConfiguration } from './membership.ts';
import type { Message, SnapshotMeta } from './message.ts';
import type { Refusal } from './refusal.ts';

/**
 * What the driver must do, in order. The core itself never touches disk, network or clock.
 *
 * All `persist` and `install` effects of a node form one FIFO; each is answered by a `persisted`
 * event once durable. One with nothing new completes with the last write before it.
 */
export type Effect =
  | {
      readonly type: 'persist';
      /** To be saved first, when present. */
      readonly hardState?: HardState;
      /** Then cut, then append. */
      readonly write: LogWrite;
      /** Sent only once all of the above is durable: a reply is a promise (figure 2). */
      readonly thenSend: readonly Message[];
    }
  /**
   * Make the downloaded snapshot the newest, then drop the log up to it (all of the log when
   * `resetLog`), then send; the state machine loads it before any later entry is applied (§7).
   */
  | {
      readonly type: 'install';
      readonly meta: SnapshotMeta;
      readonly resetLog: boolean;
      readonly hardState?: HardState;
      readonly thenSend: readonly Message[];
    }
  /** Entries before `firstKept` may be deleted from the log, when convenient. */
  | { readonly type: 'compact'; readonly firstKept: LogIndex }
  | { readonly type: 'send'; readonly message: Message }
  /** Entries up to `index` are committed: apply them in order. */
  | { readonly type: 'commit'; readonly index: LogIndex }
  /** Read entries from disk for a follower that is behind the in-memory tail. */
  | {
      readonly type: 'fetch';
      readonly peer: PeerId;
      readonly from: LogIndex;
      readonly to: LogIndex;
      readonly bytesMax: number;
    }
  /** Offer the newest snapshot to a follower that needs entries we no longer have. */
  | {
      readonly type: 'sendSnapshot';
      readonly to: PeerId;
      readonly toIncarnation: Incarnation | undefined;
      readonly term: Term;
    }
  /** Fetch the files of an offered snapshot from its leader. A newer offer replaces an older. */
  | {
      readonly type: 'downloadSnapshot';
      readonly meta: SnapshotMeta;
      readonly from: PeerId;
      readonly copyId: string;
    }
  | { readonly type: 'proposed'; readonly ticket: Ticket; readonly id: LogId }
  /** The read may be answered once `index` is applied (dissertation §6.4). */
  | {
      readonly type: 'readReady';
      readonly ticket: Ticket;
      readonly index: LogIndex;
      /** Confirmed by the lease: check the lease again after apply, just before the answer. */
      readonly byLease: boolean;
    }
  /** A ticket's request was refused. Nothing of it was or will be done unless `refusal` says so. */
  | { readonly type: 'refused'; readonly ticket: Ticket; readonly refusal: Refusal }
  /** An admin request is done (membership change committed, transfer started, reset done...). */
  | {
      readonly type: 'done';
      readonly ticket: Ticket;
      /** For membership changes: the voters before and after. */
      readonly oldVoters?: readonly PeerId[];
      readonly newVoters?: readonly PeerId[];
    }
  | RoleChanged
  /** The configuration in force changed (appended, truncated, reset, installed). */
  | { readonly type: 'configurationChanged'; readonly configuration: IndexedConfiguration }
  /** Something a person may want to read in the log of the server. */
  | {
      readonly type: 'note';
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly fields: Readonly<Record<string, string | number | boolean>>;
    };

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader' | 'transferring';

/** The node's role, term or known leader changed. */
export type RoleChanged = {
  readonly type: 'roleChanged';
  readonly role: Role;
  readonly previousRole: Role;
  readonly term: Term;
  readonly leader: PeerId | undefined;
  readonly previousLeader: PeerId | undefined;
  readonly reason: Refusal;
  /** On becoming leader: the entry of its own term that must be applied before it serves. */
  readonly startIndex?: LogIndex;
};
