import { assert } from '../core/assert.ts';
import type { LogEntry } from '../core/entry.ts';
import { LogIndex } from '../core/ids.ts';
import { decodeRecords, recordOf } from '../encoding/record.ts';
import { RaftError } from '../error.ts';
import type { FileHandle } from './file-system.ts';

/** braft's name of a closed segment. */
export function closedName(first: LogIndex, last: LogIndex): string {
  return `log_${padded(first)}_${padded(last)}`;
}

/** braft's name of the open segment. */
export function openName(first: LogIndex): string {
  return `log_inprogress_${padded(first)}`;
}

/** First and, if closed, last index of a segment file; undefined for any other name. */
export function parseSegmentName(
  name: string,
): { readonly first: LogIndex; readonly last: LogIndex | undefined } | undefined {
  const open = /^log_inprogress_(\d{20})$/.exec(name);
  if (open !== null) return { first: LogIndex(Number(open[1])), last: undefined };
  const closed = /^log_(\d{20})_(\d{20})$/.exec(name);
  if (closed === null) return undefined;
  return { first: LogIndex(Number(closed[1])), last: LogIndex(Number(closed[2])) };
}

/** One file of the log: consecutive records from `first` on (braft Segment). */
export class Segment {
  readonly first: LogIndex;
  readonly file: FileHandle;
  /** Where each record starts, in order. */
  readonly #offsets: number[];
  /** Where the next record goes. */
  #end: number;

  constructor(first: LogIndex, file: FileHandle, found: { offsets: number[]; end: number }) {
    this.first = first;
    this.file = file;
    this.#offsets = found.offsets;
    this.#end = found.end;
  }

  lastIndex(): LogIndex {
    return LogIndex(this.first + this.#offsets.length - 1);
  }

  bytes(): number {
    return this.#end;
  }

  /** Writes records into the page cache; durable after the next sync of the file. */
  append(entries: readonly LogEntry[]): void {
    let total = 0;
    for (const entry of entries) total += recordOf(entry).length;
    const block = new Uint8Array(total);
    let at = 0;
    for (const entry of entries) {
      assert(entry.id.index === this.lastIndex() + 1, 'an entry does not follow the segment');
      const record = recordOf(entry);
      block.set(record, at);
      this.#offsets.push(this.#end + at);
      at += record.length;
    }
    this.file.writeNow(block, this.#end);
    this.#end += total;
  }

  /** Entries from..to within this segment, about `bytesMax` of them, at least one. */
  read(from: LogIndex, to: LogIndex, bytesMax: number): LogEntry[] {
    const start = this.#offsetOf(from);
    let last = from;
    while (last < to && this.#offsetOf(LogIndex(last + 2)) - start <= bytesMax) {
      last = LogIndex(last + 1);
    }
    const bytes = new Uint8Array(this.#offsetOf(LogIndex(last + 1)) - start);
    const count = this.file.readNow(bytes, start);
    const entries = decodeRecords(bytes, from);
    if (count === bytes.length && entries.length === last - from + 1) return entries;
    const text = `the log does not hold entries ${String(from)} to ${String(last)} where they were written`;
    throw new RaftError('EIO', text);
  }

  /** Forgets records from `index` on and overwrites them with zeros; durable after a sync. */
  cutFrom(index: LogIndex): void {
    const offset = this.#offsetOf(index);
    this.file.writeNow(new Uint8Array(this.#end - offset), offset);
    this.#offsets.length = index - this.first;
    this.#end = offset;
  }

  #offsetOf(index: LogIndex): number {
    if (index > this.lastIndex()) return this.#end;
    const offset = this.#offsets[index - this.first];
    assert(offset !== undefined, 'an index outside the segment');
    return offset;
  }
}

function padded(index: LogIndex): string {
  return String(index).padStart(20, '0');
}
