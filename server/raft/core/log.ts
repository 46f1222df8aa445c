import { assert } from './assert.ts';
import { entryBytes, type LogEntry } from './entry.ts';
import { LogIndex, next, Term, type LogId } from './ids.ts';
import type { RecoveredLog, TermRun } from './recovered.ts';

/** What a recovered log knows of the entry before its first. */
type Boundary = LogId;

/** Limits of one append request. */
export type SliceLimits = { readonly to: LogIndex; readonly bytesMax: number };

/**
 * The log as the core sees it (§5.3): the term of every entry as runs, and the newest entries in
 * memory. Older ones are on disk only and are fetched by the driver when a follower needs them.
 */
export class RaftLog {
  #runs: TermRun[];
  #firstIndex: LogIndex;
  #lastIndex: LogIndex;
  /** The entry before the first one, whose term is still known (§7: lastIncluded). */
  #boundary: Boundary;
  #recent: LogEntry[] = [];
  /** Index of `#recent[0]`; lastIndex + 1 when nothing is in memory. */
  #recentFirst: LogIndex;
  #recentBytes = 0;

  constructor(recovered: RecoveredLog, snapshot: LogId | undefined) {
    this.#runs = [...recovered.termRuns];
    this.#firstIndex = recovered.firstIndex;
    this.#lastIndex = recovered.lastIndex;
    this.#recentFirst = next(recovered.lastIndex);
    const before = LogIndex(recovered.firstIndex - 1);
    const known = snapshot?.index === before ? snapshot.term : undefined;
    this.#boundary = { index: before, term: known ?? Term(0) };
  }

  firstIndex(): LogIndex {
    return this.#firstIndex;
  }

  lastIndex(): LogIndex {
    return this.#lastIndex;
  }

  /** Where this log ends: what elections compare (§5.4.1). */
  lastId(): LogId {
    const term = this.termAt(this.#lastIndex);
    assert(term !== undefined, 'the last entry has no known term');
    return { index: this.#lastIndex, term };
  }

  /** The term at `index`, or undefined when it lies outside what is known. */
  termAt(index: LogIndex): Term | undefined {
    if (index === 0) return Term(0);
    if (index === this.#boundary.index) {
      return this.#boundary.term === 0 ? undefined : this.#boundary.term;
    }
    if (index < this.#firstIndex || index > this.#lastIndex) return undefined;
    return this.#runs[this.#runPosition(index)]?.term;
  }

  /** Whether the entry `id` is here (figure 2, AppendEntries step 2). */
  holds(id: LogId): boolean {
    return this.termAt(id.index) === id.term;
  }

  /** The last entry at or before `index` whose term is at most `term`: the hint of §5.3. */
  lastIdNotAbove(index: LogIndex, term: Term): LogId {
    let at = Math.min(index, this.#lastIndex);
    let position = at >= this.#firstIndex ? this.#runPosition(LogIndex(at)) : -1;
    for (; position >= 0; position--) {
      const run = this.#runs[position];
      if (run === undefined) break;
      if (run.term <= term) return { index: LogIndex(at), term: run.term };
      at = run.first - 1;
    }
    const { index: before, term: boundaryTerm } = this.#boundary;
    const usable = before <= index && boundaryTerm <= term;
    return usable ? this.#boundary : { index: LogIndex(0), term: Term(0) };
  }

  append(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      assert(entry.id.index === this.#lastIndex + 1, 'an entry does not follow the last one');
      const lastRun = this.#runs.at(-1);
      assert(lastRun === undefined || lastRun.term <= entry.id.term, 'terms fall along the log');
      if (lastRun?.term !== entry.id.term) {
        this.#runs.push({ first: entry.id.index, term: entry.id.term });
      }
      this.#recent.push(entry);
      this.#recentBytes += entryBytes(entry);
      this.#lastIndex = entry.id.index;
    }
  }

  /** Drops every entry from `index` on (figure 2, AppendEntries step 3). */
  truncateFrom(index: LogIndex): void {
    assert(index >= this.#firstIndex && index <= this.#lastIndex, 'truncation outside the log');
    this.#lastIndex = LogIndex(index - 1);
    this.#runs = this.#runs.filter((run) => run.first < index);
    const kept = Math.max(0, index - this.#recentFirst);
    for (const entry of this.#recent.splice(kept)) this.#recentBytes -= entryBytes(entry);
    if (this.#recentFirst > index) this.#recentFirst = index;
  }

  /** Entries from..to inclusive, or undefined when not all of them are in memory. */
  slice(from: LogIndex, to: LogIndex): readonly LogEntry[] | undefined {
    if (from < this.#recentFirst || to > this.#lastIndex) return undefined;
    return this.#recent.slice(from - this.#recentFirst, to - this.#recentFirst + 1);
  }

  /** As many entries from `from` as fit, at least one; undefined when `from` is not in memory. */
  batchFrom(from: LogIndex, limits: SliceLimits): readonly LogEntry[] | undefined {
    if (from < this.#recentFirst) return undefined;
    let position = from - this.#recentFirst;
    const start = position;
    const end = Math.min(limits.to, this.#lastIndex) - this.#recentFirst;
    for (let bytes = 0; position <= end; position++) {
      const entry = this.#recent[position];
      assert(entry !== undefined, 'a hole in the recent entries');
      bytes += entryBytes(entry);
      if (bytes > limits.bytesMax && position > start) break;
    }
    return this.#recent.slice(start, position);
  }

  /** Forgets entries below `firstKept`; they are covered by a snapshot (§7). */
  compactTo(firstKept: LogIndex): void {
    if (firstKept <= this.#firstIndex) return;
    const before = LogIndex(firstKept - 1);
    const term = this.termAt(before);
    assert(term !== undefined, 'compaction beyond the log');
    this.#boundary = { index: before, term };
    const position = firstKept <= this.#lastIndex ? this.#runPosition(firstKept) : -1;
    const run = this.#runs[position];
    this.#runs = run === undefined ? [] : this.#runs.slice(position);
    if (run !== undefined) this.#runs[0] = { first: firstKept, term: run.term };
    this.#firstIndex = firstKept;
    this.#dropRecentBefore(firstKept);
  }

  /** The log is empty and continues after `boundary` (§7, InstallSnapshot step 7). */
  reset(boundary: LogId): void {
    this.#boundary = boundary;
    this.#firstIndex = next(boundary.index);
    this.#lastIndex = boundary.index;
    this.#runs = [];
    this.#recent = [];
    this.#recentBytes = 0;
    this.#recentFirst = this.#firstIndex;
  }

  /** Lets go of entries up to `index`, which are durable and applied, once they exceed `bytesMax`. */
  evict(index: LogIndex, bytesMax: number): void {
    if (this.#recentBytes <= 2 * bytesMax) return;
    let bytes = this.#recentBytes;
    let first = this.#recentFirst;
    for (const entry of this.#recent) {
      if (bytes <= bytesMax || entry.id.index > index) break;
      bytes -= entryBytes(entry);
      first = next(entry.id.index);
    }
    this.#dropRecentBefore(first);
  }

  #dropRecentBefore(index: LogIndex): void {
    if (index <= this.#recentFirst) return;
    for (const entry of this.#recent.splice(0, index - this.#recentFirst)) {
      this.#recentBytes -= entryBytes(entry);
    }
    this.#recentFirst = index;
  }

  /** Position of the run that covers `index`: the last one that starts at or before it. */
  #runPosition(index: LogIndex): number {
    let low = 0;
    let high = this.#runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#runs[middle]?.first ?? Infinity) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
