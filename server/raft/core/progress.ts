import { LogIndex, next, type Incarnation, type MonotonicMs, type PeerId } from './ids.ts';

/**
 * What a leader knows of one follower (figure 2: nextIndex, matchIndex) and how it sends to it
 * (dissertation §10.2.1; braft Replicator).
 *
 * - probe: the match point is unknown; one request at a time.
 * - replicate: pipelined; `nextIndex` runs ahead of the answers.
 * - snapshot: needs entries that are gone; nothing is sent until it has installed a snapshot.
 */
export type Progress = {
  readonly peer: PeerId;
  mode: 'probe' | 'replicate' | 'snapshot';
  /** The disk this leader has heard from; pinned for its term while the member is not bound. */
  incarnation: Incarnation | undefined;
  matchIndex: LogIndex;
  nextIndex: LogIndex;
  /** A probe is on its way: wait for its answer, or for a heartbeat's a while later. */
  probing: boolean;
  /** Entries are being read from disk for this follower. */
  fetching: boolean;
  readonly inFlight: InFlight;
  /** When an answer last came; leader start before the first. */
  lastContact: MonotonicMs;
  /** Whether any answer came in this leadership. */
  answered: boolean;
  /** When lost messages were last looked for, and the match index then: unchanged means a loss. */
  checkedAt: MonotonicMs;
  matchAtCheck: LogIndex;
  /** Newest read round the follower echoed. */
  ackedRound: number;
  /** Newest transfer id the follower echoed. */
  ackedTransfer: number;
  /** First index not sent to a follower in read-only mode; 0: writable (braft readonly_index). */
  readonlyIndex: number;
  consecutiveErrors: number;
  /** When the snapshot was last offered. */
  snapshotOfferedAt: MonotonicMs;
};

/** A follower that a new leader has not heard of yet: try the end of the own log first. */
export function createProgress(
  peer: PeerId,
  start: { readonly lastIndex: LogIndex; readonly now: MonotonicMs },
): Progress {
  return {
    peer,
    mode: 'probe',
    incarnation: undefined,
    matchIndex: LogIndex(0),
    nextIndex: next(start.lastIndex),
    probing: false,
    fetching: false,
    inFlight: new InFlight(),
    lastContact: start.now,
    answered: false,
    checkedAt: start.now,
    matchAtCheck: LogIndex(0),
    ackedRound: 0,
    ackedTransfer: 0,
    readonlyIndex: 0,
    consecutiveErrors: 0,
    snapshotOfferedAt: start.now,
  };
}

/** Back to probing from right after the match point (after a refusal or a broken connection). */
export function becomeProbe(progress: Progress): void {
  progress.mode = 'probe';
  progress.probing = false;
  progress.nextIndex = next(progress.matchIndex);
  progress.inFlight.clear();
}

/** The match point is known: send ahead. */
export function becomeReplicate(progress: Progress): void {
  progress.mode = 'replicate';
  progress.probing = false;
  progress.nextIndex = next(progress.matchIndex);
  progress.inFlight.clear();
}

/** Requests sent and not answered, as a window that bounds entries and bytes (braft flying). */
export class InFlight {
  #requests: { readonly last: LogIndex; readonly entries: number; readonly bytes: number }[] = [];
  #entries = 0;
  #bytes = 0;

  entries(): number {
    return this.#entries;
  }

  bytes(): number {
    return this.#bytes;
  }

  add(last: LogIndex, size: { readonly entries: number; readonly bytes: number }): void {
    this.#requests.push({ last, ...size });
    this.#entries += size.entries;
    this.#bytes += size.bytes;
  }

  /** An answer covers everything up to `index`. */
  freeTo(index: LogIndex): void {
    let freed = 0;
    for (const request of this.#requests) {
      if (request.last > index) break;
      this.#entries -= request.entries;
      this.#bytes -= request.bytes;
      freed++;
    }
    if (freed > 0) this.#requests.splice(0, freed);
  }

  clear(): void {
    this.#requests = [];
    this.#entries = 0;
    this.#bytes = 0;
  }
}
