import type { LogEntry } from '../core/entry.ts';
import type { LogId, LogIndex, Term } from '../core/ids.ts';
import { assert } from '../core/assert.ts';
import type { ApplyIterator } from './state-machine.ts';

type DataEntry = Extract<LogEntry, { kind: 'data' }>;

/** Walks one run of DATA entries (braft IteratorImpl). */
export class EntryIterator<Context> implements ApplyIterator<Context> {
  readonly #entries: readonly DataEntry[];
  readonly #contextAt: (id: LogId) => Context | undefined;
  #position = 0;
  #rollback: { readonly first: LogIndex; readonly reason: string } | undefined;

  constructor(entries: readonly DataEntry[], contextAt: (id: LogId) => Context | undefined) {
    this.#entries = entries;
    this.#contextAt = contextAt;
  }

  valid(): boolean {
    return this.#position < this.#entries.length && this.#rollback === undefined;
  }

  next(): void {
    if (this.valid()) this.#position++;
  }

  index(): LogIndex {
    return this.#current().id.index;
  }

  term(): Term {
    return this.#current().id.term;
  }

  data(): Uint8Array {
    return this.#current().data;
  }

  context(): Context | undefined {
    return this.#contextAt(this.#current().id);
  }

  setErrorAndRollback(entries: number, reason: string): void {
    assert(entries > 0, 'a rollback of no entries');
    // Past the end the current entry is the one after the last, which does not count.
    const first = Math.max(0, Math.min(this.#position + 1, this.#entries.length) - entries);
    const entry = this.#entries[first];
    assert(entry !== undefined, 'a rollback of an empty run');
    this.#rollback = { first: entry.id.index, reason };
  }

  /** The first entry that counts as not applied, when the state machine gave up. */
  rollback(): { readonly first: LogIndex; readonly reason: string } | undefined {
    return this.#rollback;
  }

  #current(): DataEntry {
    const entry = this.#entries[this.#position];
    assert(entry !== undefined, 'the iterator is not valid');
    return entry;
  }
}
