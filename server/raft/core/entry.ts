import type { LogId, LogIndex } from './ids.ts';
import type { ConfigurationRecord } from './membership.ts';

/**
 * One entry of the replicated log (§5.3). braft numbers the kinds NO_OP 1, DATA 2, CONFIGURATION 3.
 *
 * `record` caches the entry's encoded bytes (encoding/record.ts): they carry no index, so the same
 * bytes go to the leader's log, to every follower and into their logs. Ports set it once.
 */
export type LogEntry =
  | { readonly kind: 'noOp'; readonly id: LogId; record?: Uint8Array }
  | { readonly kind: 'data'; readonly id: LogId; readonly data: Uint8Array; record?: Uint8Array }
  | {
      readonly kind: 'configuration';
      readonly id: LogId;
      readonly configuration: ConfigurationRecord;
      record?: Uint8Array;
    };

/** Bytes an entry counts for in flight and batch limits: its payload plus a fixed overhead. */
export function entryBytes(entry: LogEntry): number {
  return ENTRY_OVERHEAD_BYTES + (entry.kind === 'data' ? entry.data.length : 0);
}

const ENTRY_OVERHEAD_BYTES = 24;

/** A change to the log: first cut everything from `truncateFrom` on, then append `entries`. */
export type LogWrite = {
  readonly truncateFrom?: LogIndex;
  readonly entries: readonly LogEntry[];
};
