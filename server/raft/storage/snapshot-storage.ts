import type { LogIndex } from '../core/ids.ts';
import type { SnapshotMeta } from '../core/message.ts';

/** One file of a snapshot as its meta lists it. */
export type SnapshotFile = {
  /** Relative name; no '..', no leading '/', no NUL. */
  readonly name: string;
  readonly size: number;
  /** CRC32C of the whole file in lower-case hex (in braft's LocalFileMeta.checksum). */
  readonly checksum: string;
};

/** Writes one snapshot into the temporary folder (braft SnapshotWriter). */
export type SnapshotWriter = {
  /** The folder to write files into. */
  readonly path: string;
  /** Registers a file written under `path`. @throws RaftError EEXIST or EINVAL (bad name). */
  addFile(name: string): void;
};

/** Reads one finished snapshot (braft SnapshotReader); it is not deleted while open. */
export type SnapshotReader = {
  readonly meta: SnapshotMeta;
  readonly path: string;
  readonly files: readonly SnapshotFile[];
  /** Reads up to `bytesMax` bytes of a listed file; empty at its end. @throws RaftError. */
  read(name: string, offset: number, bytesMax: number): Promise<Uint8Array>;
  close(): Promise<void>;
};

/** Receives a copied snapshot; complete files left by a broken copy are kept and resumed. */
export type SnapshotReceiver = {
  /** Bytes of a file already here from an earlier attempt; the copy goes on from there. */
  receivedBytes(file: SnapshotFile): Promise<number>;
  write(file: SnapshotFile, offset: number, bytes: Uint8Array): Promise<void>;
  /** Checks size and checksum of every file and syncs them. @throws RaftError EIO on mismatch. */
  finish(): Promise<void>;
  /** Gives up for now; what has arrived stays for a resumed copy of the same snapshot. */
  abandon(): Promise<void>;
};

/** The newest snapshot on disk (braft SnapshotStorage): written to temp, synced, renamed. */
export type SnapshotStorage = {
  /** Meta of the newest snapshot when opened. */
  readonly recovered: SnapshotMeta | undefined;
  /** Opens the newest snapshot, or undefined when there is none. */
  open(): Promise<SnapshotReader | undefined>;
  /**
   * Saves a snapshot: calls `fill` with a writer, then syncs the files, writes the meta and renames
   * the folder into place. Nothing remains of it when `fill` or a write fails.
   *
   * @throws RaftError ESTALE when a newer one was installed meanwhile; EIO; whatever `fill` throws.
   */
  save(meta: SnapshotMeta, fill: (writer: SnapshotWriter) => Promise<void>): Promise<void>;
  /**
   * Starts or resumes receiving the snapshot described. One at a time: what came of any other, or
   * was received and not committed, goes.
   */
  receive(meta: SnapshotMeta, files: readonly SnapshotFile[]): Promise<SnapshotReceiver>;
  /**
   * Makes the received snapshot the newest, with the files that `finish` checked and synced; durable
   * when resolved. @throws RaftError EIO when it was not finished; ESTALE as `save`.
   */
  commitReceived(meta: SnapshotMeta): Promise<void>;
  /** Index of the newest snapshot; 0 when none. */
  readonly lastIndex: () => LogIndex;
};
