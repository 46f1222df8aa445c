import type { LogEntry, LogWrite } from '../core/entry.ts';
import type { LogIndex } from '../core/ids.ts';
import type { RecoveredLog } from '../core/recovered.ts';

/**
 * The durable log (braft LogStorage). All writes go through one FIFO: `write` calls take effect in
 * order, and a promise resolves only when that write and all before it are durable.
 */
export type LogStorage = AsyncDisposable & {
  readonly recovered: RecoveredLog;
  /**
   * Cuts, then appends; group-committed: whatever arrives while one sync runs is covered by the
   * next. An empty write resolves with the last write before it.
   *
   * @throws RaftError EIO (or ENOSPC before anything was written): after the first EIO every later
   *   write fails too, since a failed fsync may have dropped pages that a retry would report clean.
   */
  write(write: LogWrite): Promise<void>;
  /**
   * Entries from `from` up to `to` inclusive, at most about `bytesMax` payload bytes but at least
   * one entry. Sees every write handed in so far. Undefined when `from` is not in the log.
   *
   * @throws RaftError EIO when a record's checksum does not match.
   */
  read(range: {
    readonly from: LogIndex;
    readonly to: LogIndex;
    readonly bytesMax: number;
  }): Promise<readonly LogEntry[] | undefined>;
  /** Deletes whole segments below `firstKept` (braft truncate_prefix). In the FIFO. */
  truncatePrefix(firstKept: LogIndex): Promise<void>;
  /** Drops everything; the log continues at `next` (braft reset). In the FIFO. */
  reset(next: LogIndex): Promise<void>;
  /** False while the disk is so full that new proposals must be refused (reserve in use). */
  readonly hasSpace: () => boolean;
  /** Last index known durable (braft disk_index). */
  readonly durableIndex: () => LogIndex;
  /** Waits for writes under way, syncs and closes. */
  close(): Promise<void>;
};
