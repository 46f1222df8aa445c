/**
 * The disk as the storage code sees it. `node-file-system.ts` is the real one; the simulator's disk
 * is another, with crashes, torn writes and failing syncs. Paths are absolute, '/'-separated.
 *
 * Errors carry a Node-style `code` ('ENOENT', 'ENOSPC', 'EIO', ...).
 */
export type FileSystem = {
  /** `create` makes a new empty file or truncates an existing one; `write` opens an existing one. */
  open(path: string, mode: 'read' | 'write' | 'create'): Promise<FileHandle>;
  /** Creates a folder in one that is there; an existing one is fine. */
  makeDirectory(path: string): Promise<void>;
  /** Names in a folder, sorted. */
  list(path: string): Promise<readonly string[]>;
  /** Size and kind, or undefined when nothing is there. */
  stat(path: string): Promise<{ readonly size: number; readonly directory: boolean } | undefined>;
  readFile(path: string): Promise<Uint8Array>;
  /** Replaces a file or a folder atomically; durable only after `syncDirectory` of its parent. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a whole folder; a missing one is fine. */
  remove(path: string): Promise<void>;
  /** Makes creations, renames and removals in this folder durable. */
  syncDirectory(path: string): Promise<void>;
  /** Free bytes on the disk that holds `path`. */
  freeBytes(path: string): Promise<number>;
};

export type FileHandle = {
  readonly size: () => Promise<number>;
  /** Fills `target` from `position`; returns how many bytes were read (fewer at the end). */
  read(target: Uint8Array, position: number): Promise<number>;
  /** As `read`, at once: for short reads that are almost always in the page cache. */
  readNow(target: Uint8Array, position: number): number;
  /** Writes all of `bytes` at `position` into the page cache, at once. */
  writeNow(bytes: Uint8Array, position: number): void;
  /** Makes everything written before this call durable (fdatasync). Never retried on failure. */
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
};
