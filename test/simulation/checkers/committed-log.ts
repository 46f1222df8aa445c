import type { LogEntry } from '../../../server/raft/core/entry.ts';
import {
  LogIndex,
  type Incarnation,
  type LogId,
  type PeerId,
  type Term,
} from '../../../server/raft/core/ids.ts';
import type { RaftLog } from '../../../server/raft/core/log.ts';
import type { Configuration } from '../../../server/raft/core/membership.ts';
import type { DiskPromises } from './disk-promises.ts';
import { entryHash } from './entry-hash.ts';
import type { LogMatching } from './log-matching.ts';
import { check } from './violation.ts';

/** Finds a server's disk; the one that is there now when no incarnation is given. */
export type DiskLookup = (peer: PeerId, incarnation?: Incarnation) => DiskPromises | undefined;

export type Committed = { readonly entry: LogEntry; readonly hash: number };

/** Who commits or leads: what its core knows. */
export type Committer = {
  readonly peer: PeerId;
  readonly isLeader: boolean;
  readonly term: Term;
  readonly configuration: Configuration;
  readonly log: Pick<RaftLog, 'termAt' | 'firstIndex'>;
};

/**
 * The one sequence of committed entries of the group. An entry enters it when its leader says so,
 * and must then survive on a quorum (§5.4); whoever else commits that index has the same entry,
 * and every later leader holds it (leader completeness, §5.4.3).
 */
export class CommittedLog {
  readonly #entries: Committed[] = [];
  /** The term of the leader that committed each entry. */
  readonly #terms: Term[] = [];
  readonly #written: LogMatching;
  readonly #diskOf: DiskLookup;
  /** Called once for each entry, in order. */
  readonly #onCommitted: (entry: LogEntry) => void;

  constructor(options: {
    readonly written: LogMatching;
    readonly diskOf: DiskLookup;
    readonly onCommitted: (entry: LogEntry) => void;
  }) {
    this.#written = options.written;
    this.#diskOf = options.diskOf;
    this.#onCommitted = options.onCommitted;
  }

  /** The last committed index anywhere. */
  lastIndex(): number {
    return this.#entries.length;
  }

  at(index: number): Committed | undefined {
    return this.#entries[index - 1];
  }

  /** The last committed entry with data at or below `index`; 0 when there is none. */
  lastDataIndexUpTo(index: number): number {
    let at = index;
    while (at > 0 && this.at(at)?.entry.kind !== 'data') at--;
    return at;
  }

  /** A node learned that everything up to `index` is committed. */
  committed(by: Committer, index: number): void {
    if (index > this.lastIndex()) this.#extend(by, index);
    const term = by.log.termAt(LogIndex(index));
    const expected = this.at(index)?.entry.id.term;
    check(
      term === undefined || term === expected,
      'state machine safety',
      () => `${by.peer} commits ${String(term)}/${index}, others ${String(expected)}/${index}`,
    );
  }

  /** A node became leader: nothing committed may be missing from its log. */
  leaderElected(leader: Committer): void {
    // Only what was committed in earlier terms: a paused candidate may learn late that it won one.
    const last = this.#terms.findLastIndex((term) => term < leader.term) + 1;
    if (last === 0) return;
    const expected = this.at(last)?.entry.id.term;
    const found = leader.log.termAt(LogIndex(last));
    check(
      found === expected || (found === undefined && leader.log.firstIndex() > last),
      'leader completeness',
      () => `${leader.peer} leads with term ${String(found)} at ${last}, not ${String(expected)}`,
    );
  }

  #extend(by: Committer, to: number): void {
    check(by.isLeader, 'commit', () => `${by.peer} commits up to ${to} before any leader did`);
    for (let index = this.lastIndex() + 1; index <= to; index++) {
      const entry = this.#entryOf(by, LogIndex(index));
      this.#entries.push({ entry, hash: entryHash(entry) });
      this.#terms.push(by.term);
      this.#onCommitted(entry);
    }
    const last = this.at(to)?.entry.id;
    if (last === undefined) return;
    check(
      last.term === by.term,
      'commit',
      () => `${by.peer} leads ${by.term} and commits ${last.term}/${last.index} by counting`,
    );
    const { voters, outgoing } = by.configuration;
    this.#checkQuorum(by, voters, last);
    if (outgoing !== undefined) this.#checkQuorum(by, outgoing, last);
  }

  #entryOf(by: Committer, index: LogIndex): LogEntry {
    const term = by.log.termAt(index);
    const entry = term === undefined ? undefined : this.#written.entry({ term, index });
    check(
      entry !== undefined,
      'commit',
      () => `${by.peer} commits ${index} and has no entry there`,
    );
    return entry;
  }

  /** Of each voter only the disk counts that the configuration binds it to. */
  #checkQuorum(by: Committer, voters: ReadonlySet<PeerId>, id: LogId): void {
    const { peer: leader, configuration } = by;
    const holders = [...voters].filter((voter) => {
      const disk = this.#diskOf(voter, configuration.incarnations.get(voter));
      return disk?.holdsDurably(id) === true;
    });
    check(
      holders.length > voters.size / 2,
      'commit',
      () =>
        `${leader} commits ${id.term}/${id.index}, durable on ${holders.length} of ` +
        `${voters.size} voters (${holders.join(' ')})`,
    );
  }
}
