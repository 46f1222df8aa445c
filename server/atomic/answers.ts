import { INT64_BYTES } from './int64.ts';

/** What one operation came to, as on the wire. */
export const DONE = 1;
export const MISMATCH = 2;

/** The results of the operations of one log entry, in columns. */
export class Answers {
  /** DONE or MISMATCH; 0 while not applied. */
  readonly statuses: Uint8Array;
  /** The value before each operation: an int64 column. */
  readonly oldValues: Uint8Array;
  readonly #view: DataView;
  /** Sections whose session is unknown: none of their operations was executed. */
  readonly #expired = new Set<number>();

  constructor(operations: number) {
    this.statuses = new Uint8Array(operations);
    this.oldValues = new Uint8Array(operations * INT64_BYTES);
    this.#view = new DataView(this.oldValues.buffer);
  }

  set(at: number, status: number, oldLow: number, oldHigh: number): void {
    this.statuses[at] = status;
    this.#view.setInt32(at * INT64_BYTES, oldLow, true);
    this.#view.setInt32(at * INT64_BYTES + 4, oldHigh, true);
  }

  /** Copies answers kept from an earlier execution. */
  copyFrom(kept: AnswerColumns, from: number, to: { at: number; count: number }): void {
    const { at, count } = to;
    this.statuses.set(kept.statuses.subarray(from, from + count), at);
    const bytes = kept.oldValues.subarray(from * INT64_BYTES, (from + count) * INT64_BYTES);
    this.oldValues.set(bytes, at * INT64_BYTES);
  }

  /** A view of `count` answers; no copy. */
  columns(at: number, count: number): AnswerColumns {
    return {
      statuses: this.statuses.subarray(at, at + count),
      oldValues: this.oldValues.subarray(at * INT64_BYTES, (at + count) * INT64_BYTES),
    };
  }

  expire(section: number): void {
    this.#expired.add(section);
  }

  isExpired(section: number): boolean {
    return this.#expired.has(section);
  }
}

/** Statuses and old values of some operations in a row. */
export type AnswerColumns = { readonly statuses: Uint8Array; readonly oldValues: Uint8Array };
