declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A Raft term. Starts at 0 ("no leader ever seen"); never decreases on one node (§5.1). */
export type Term = Brand<number, 'Term'>;

/** A 1-based position in the Raft log. 0 means "before the first entry". */
export type LogIndex = Brand<number, 'LogIndex'>;

/** Monotonic milliseconds from the injected clock; comparable only within one process. */
export type MonotonicMs = Brand<number, 'MonotonicMs'>;

/**
 * A member address in canonical text, always four fields: `host:port:index:role` (braft PeerId).
 * Made only by `parsePeerId` (peer-id.ts), so equal members have equal text.
 */
export type PeerId = Brand<string, 'PeerId'>;

/**
 * The identity of one disk, drawn at random when the disk is first used. A member that lost its
 * disk comes back with another incarnation and cannot vote or acknowledge as its former self.
 */
export type Incarnation = Brand<string, 'Incarnation'>;

/** The identity of one history of a group; a reset of the group starts another. */
export type Lineage = Brand<string, 'Lineage'>;

export const Term = (n: number): Term => checked(n) as Term;
export const LogIndex = (n: number): LogIndex => checked(n) as LogIndex;
export const MonotonicMs = (n: number): MonotonicMs => n as MonotonicMs;
export const Incarnation = (text: string): Incarnation => text as Incarnation;
export const Lineage = (text: string): Lineage => text as Lineage;

/** The index right after `index`. */
export const next = (index: LogIndex): LogIndex => LogIndex(index + 1);

/** The index right before `index`; `index` must be at least 1. */
export const previous = (index: LogIndex): LogIndex => LogIndex(index - 1);

/** What identifies a log entry: two logs that share a LogId share all entries up to it (§5.3). */
export type LogId = { readonly term: Term; readonly index: LogIndex };

/** Orders two LogIds by how up to date a log ending there is: term first, then index (§5.4.1). */
export function compareLogIds(a: LogId, b: LogId): number {
  return a.term === b.term ? a.index - b.index : a.term - b.term;
}

function checked(n: number): number {
  // 2^53 entries at a million appends a second last 285 years: a plain number is
  // exact for every index we can reach, and far cheaper than bigint in the hot path.
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`not a term or index: ${String(n)}`);
  return n;
}
