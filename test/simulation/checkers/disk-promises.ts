import type { LogEntry, LogWrite } from '../../../server/raft/core/entry.ts';
import type { HardState } from '../../../server/raft/core/event.ts';
import { LogIndex, Term, type LogId } from '../../../server/raft/core/ids.ts';
import type { Message } from '../../../server/raft/core/message.ts';
import type { RecoveredLog } from '../../../server/raft/core/recovered.ts';
import { check } from './violation.ts';

const RULE = 'durability';

const LOG_START: LogId = { term: Term(0), index: LogIndex(0) };

/** One place of the log; the entry is unknown when it was only found there after a restart. */
type Slot = { readonly term: Term; readonly entry: LogEntry | undefined };

/**
 * What the storage of one disk has promised to remember, noted at its interface as calls resolve.
 * Messages may claim no more than that, and whatever a crash does, no less may come back.
 */
export class DiskPromises {
  readonly #name: string;
  /** Every entry handed to the log and not cut since, by index. */
  readonly #slots: (Slot | undefined)[] = [];
  #lastIndex = 0;
  #durableIndex = 0;
  /** Entries up to here are known by a snapshot only. */
  #snapshot: LogId = LOG_START;
  #hardState: HardState | undefined;
  readonly #votes = new Map<Term, string>();

  constructor(name: string) {
    this.#name = name;
  }

  /** The last index that survives any crash, in the log or in a snapshot. */
  durableIndex(): number {
    return Math.max(this.#durableIndex, this.#snapshot.index);
  }

  /** Whether the entry `id` survives any crash here. */
  holdsDurably(id: LogId): boolean {
    if (id.index <= this.#snapshot.index) return true;
    return id.index <= this.#durableIndex && this.#slots[id.index]?.term === id.term;
  }

  /** A write was handed in: what it cuts may vanish from now on. */
  writeStarted(write: LogWrite): void {
    if (write.truncateFrom !== undefined) this.#cutFrom(write.truncateFrom);
    for (const entry of write.entries) {
      this.#slots[entry.id.index] = { term: entry.id.term, entry };
      this.#lastIndex = entry.id.index;
    }
  }

  /** That write resolved. Entries overwritten since are not promised. */
  writeDurable(write: LogWrite): void {
    for (const entry of write.entries) {
      if (this.#slots[entry.id.index]?.entry !== entry) break;
      this.#durableIndex = Math.max(this.#durableIndex, entry.id.index);
    }
  }

  /** The log was emptied to go on at `next`. */
  logReset(next: LogIndex): void {
    this.#cutFrom(0);
    this.#lastIndex = next - 1;
    this.#durableIndex = 0;
  }

  snapshotDurable(lastIncluded: LogId): void {
    if (lastIncluded.index > this.#snapshot.index) this.#snapshot = lastIncluded;
  }

  /** Term and vote are durable. In one term a vote never changes (§5.2). */
  hardStateDurable(hardState: HardState): void {
    const { term, votedFor } = hardState;
    const previous = this.#hardState;
    check(
      previous === undefined || term >= previous.term,
      RULE,
      () => `${this.#name} went back from term ${String(previous?.term)} to ${term}`,
    );
    this.#hardState = hardState;
    if (votedFor === undefined) return;
    const voted = this.#votes.get(term);
    check(
      voted === undefined || voted === votedFor,
      'one vote a term',
      () => `${this.#name} voted for ${String(voted)} and ${votedFor} in term ${term}`,
    );
    this.#votes.set(term, votedFor);
  }

  /** A message leaves: what it promises must be durable already (figure 2). */
  messageSent(message: Message): void {
    if (message.type === 'voteResponse') {
      if (message.preVote || !message.granted) return;
      this.#checkVote(message.requestTerm, message.to, 'grants a vote');
    } else if (message.type === 'voteRequest') {
      if (!message.preVote) this.#checkVote(message.term, message.from, 'asks for votes');
    } else if (message.type === 'appendResponse') {
      if (message.outcome.accepted) this.#checkHolds(message.outcome.matchIndex);
    } else if (message.type === 'installSnapshotResponse') {
      if (message.accepted) this.#checkHolds(message.matchIndex);
    }
  }

  /** The server started again: everything promised must be there. What else survived counts now. */
  recovered(found: {
    readonly log: RecoveredLog;
    readonly snapshot: LogId | undefined;
    readonly hardState: HardState;
  }): void {
    const snapshot = found.snapshot ?? LOG_START;
    check(
      snapshot.index >= this.#snapshot.index,
      RULE,
      () => `${this.#name} lost its snapshot at ${this.#snapshot.index}`,
    );
    this.#snapshot = snapshot;
    this.#checkRecoveredLog(found.log);
    this.#adopt(found.log);
    this.#checkRecoveredVote(found.hardState);
    this.hardStateDurable(found.hardState);
  }

  #cutFrom(index: number): void {
    for (let i = index; i <= this.#lastIndex; i++) this.#slots[i] = undefined;
    this.#lastIndex = Math.min(this.#lastIndex, index - 1);
    this.#durableIndex = Math.min(this.#durableIndex, index - 1);
  }

  #checkVote(term: Term, candidate: string, what: string): void {
    check(
      this.#votes.get(term) === candidate,
      'persist before send',
      () => `${this.#name} ${what} in term ${term} before its vote for ${candidate} is durable`,
    );
  }

  #checkHolds(matchIndex: LogIndex): void {
    check(
      this.durableIndex() >= matchIndex,
      'persist before send',
      () => `${this.#name} acknowledges up to ${matchIndex}, and ${this.durableIndex()} is durable`,
    );
  }

  #checkRecoveredLog(log: RecoveredLog): void {
    const from = Math.max(log.firstIndex, this.#snapshot.index + 1);
    check(
      log.firstIndex <= this.#snapshot.index + 1 || log.lastIndex < log.firstIndex,
      RULE,
      () =>
        `${this.#name} has a gap between snapshot ${this.#snapshot.index} and ${log.firstIndex}`,
    );
    for (let index = from; index <= this.#durableIndex; index++) {
      const promised = this.#slots[index]?.term;
      const found = termInRuns(log, index);
      check(
        found === promised,
        RULE,
        () =>
          `${this.#name} promised entry ${String(promised)}/${index} and came back with ` +
          (found === undefined ? 'nothing there' : `term ${found}`),
      );
    }
  }

  #adopt(log: RecoveredLog): void {
    this.#cutFrom(Math.min(log.firstIndex, this.#lastIndex + 1));
    for (let index: number = log.firstIndex; index <= log.lastIndex; index++) {
      const term = termInRuns(log, index);
      if (term !== undefined) this.#slots[index] = { term, entry: undefined };
    }
    this.#lastIndex = log.lastIndex;
    this.#durableIndex = log.lastIndex;
  }

  #checkRecoveredVote(found: HardState): void {
    const promised = this.#hardState;
    if (promised === undefined || found.term > promised.term) return;
    check(
      found.term === promised.term && found.votedFor === promised.votedFor,
      'one vote a term',
      () =>
        `${this.#name} promised term ${promised.term} with a vote for ` +
        `${promised.votedFor ?? 'nobody'} and came back with term ${found.term} and ` +
        (found.votedFor ?? 'nobody'),
    );
  }
}

function termInRuns(log: RecoveredLog, index: number): Term | undefined {
  if (index < log.firstIndex || index > log.lastIndex) return undefined;
  return log.termRuns.findLast((run) => run.first <= index)?.term;
}
