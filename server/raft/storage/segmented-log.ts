import { makeDurableDirectory } from './durable-directory.ts';
import { assert } from '../core/assert.ts';
import { LogPBMeta } from '../../../proto/gen/braft/storage.ts';
import type { LogEntry, LogWrite } from '../core/entry.ts';
import { LogIndex } from '../core/ids.ts';
import type { RecoveredLog } from '../core/recovered.ts';
import { RaftError } from '../error.ts';
import { recordBytes } from '../encoding/record.ts';
import { DurableMark } from './durable-mark.ts';
import type { FileSystem } from './file-system.ts';
import type { LogStorage } from './log-storage.ts';
import { loadMetaFile, saveMetaFile } from './meta-file.ts';
import { recoverSegment, type Scan, type SegmentFile } from './segment-recovery.ts';
import { closedName, openName, parseSegmentName, type Segment } from './segment.ts';
import { SegmentFactory } from './segment-factory.ts';
import { storageError } from './storage-error.ts';

export type SegmentedLogOptions = {
  /** A segment is closed once it is larger (braft raft_max_segment_size). */
  readonly segmentBytesMax: number;
  /** False: nothing is synced; a power failure may lose acknowledged entries (braft raft_sync). */
  readonly sync: boolean;
};

/** The durable mark is renewed after this many bytes. */
const MARK_BYTES = 262_144;

type Operation =
  | { readonly type: 'write'; readonly write: LogWrite }
  | { readonly type: 'truncatePrefix'; readonly firstKept: LogIndex }
  | { readonly type: 'reset'; readonly next: LogIndex };
type Waiter = Operation & { readonly resolve: () => void; readonly reject: (e: RaftError) => void };

/**
 * The log in segment files with braft's names and bytes (braft SegmentLogStorage). One loop owns
 * the files: whatever arrives while it syncs becomes the next batch, so latency stays one sync and
 * throughput grows with load.
 */
export class SegmentedLog implements LogStorage {
  readonly recovered: RecoveredLog;
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #options: SegmentedLogOptions;
  readonly #factory: SegmentFactory;
  readonly #mark: DurableMark;
  /** Closed ones, oldest first, then the open one if there is one. */
  #segments: Segment[];
  #open: Segment | undefined;
  #firstIndex: LogIndex;
  #lastIndex: LogIndex;
  #durableIndex: LogIndex;
  #queue: Waiter[] = [];
  #running: Promise<void> | undefined;
  #failure: RaftError | undefined;
  #unmarkedBytes = 0;
  #unsynced = false;

  private constructor(parts: {
    fileSystem: FileSystem;
    directory: string;
    options: SegmentedLogOptions;
    mark: DurableMark;
    segments: Segment[];
    open: Segment | undefined;
    recovered: RecoveredLog;
  }) {
    this.#fileSystem = parts.fileSystem;
    this.#directory = parts.directory;
    this.#options = parts.options;
    this.#mark = parts.mark;
    this.#segments = parts.segments;
    this.#open = parts.open;
    this.recovered = parts.recovered;
    this.#firstIndex = parts.recovered.firstIndex;
    this.#lastIndex = parts.recovered.lastIndex;
    this.#durableIndex = this.#lastIndex;
    const { segmentBytesMax } = parts.options;
    this.#factory = new SegmentFactory(parts.fileSystem, parts.directory, segmentBytesMax);
    this.#factory.prepare();
  }

  /**
   * Opens or creates the log in `directory`.
   *
   * @throws RaftError EIO when something that was durable is missing or damaged; nothing is changed
   *   then.
   */
  static async open(
    fileSystem: FileSystem,
    directory: string,
    options: SegmentedLogOptions,
  ): Promise<SegmentedLog> {
    try {
      await makeDurableDirectory(fileSystem, directory);
      const mark = await DurableMark.open(fileSystem, directory);
      const { segments, open, recovered } = await recover(fileSystem, directory, mark);
      return new SegmentedLog({ fileSystem, directory, options, mark, segments, open, recovered });
    } catch (error) {
      throw storageError(`cannot open the log in ${directory}`, error);
    }
  }

  write(write: LogWrite): Promise<void> {
    return this.#enqueue({ type: 'write', write });
  }

  truncatePrefix(firstKept: LogIndex): Promise<void> {
    return this.#enqueue({ type: 'truncatePrefix', firstKept });
  }

  reset(next: LogIndex): Promise<void> {
    return this.#enqueue({ type: 'reset', next });
  }

  async read(range: {
    readonly from: LogIndex;
    readonly to: LogIndex;
    readonly bytesMax: number;
  }): Promise<readonly LogEntry[] | undefined> {
    // Writes handed in before are in the page cache once the loop has taken them.
    while (range.from > this.#lastIndex && this.#running !== undefined) await this.#running;
    const segment = this.#segments.findLast(({ first }) => first <= range.from);
    const inside = range.from >= this.#firstIndex && range.from <= this.#lastIndex;
    if (segment === undefined || !inside) return undefined;
    const to = LogIndex(Math.min(range.to, segment.lastIndex()));
    return segment.read(range.from, to, range.bytesMax);
  }

  hasSpace(): boolean {
    return this.#factory.hasSpace();
  }

  durableIndex(): LogIndex {
    return this.#durableIndex;
  }

  async close(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    if (this.#failure === undefined && this.#options.sync) {
      await this.#mark.save(this.#durableIndex);
    }
    this.#failure ??= new RaftError('EPERM', 'the log is closed');
    await this.#factory.close();
    await Promise.all(this.#segments.map(({ file }) => file.close()));
    this.#segments = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #enqueue(operation: Operation): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#queue.push({ ...operation, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      try {
        await this.#performAll(batch);
      } catch (error) {
        this.#failAll(batch, storageError(`cannot write the log in ${this.#directory}`, error));
        break;
      }
      for (const { resolve } of batch) resolve();
    }
    this.#running = undefined;
  }

  async #performAll(batch: readonly Operation[]): Promise<void> {
    for (const operation of batch) {
      const pending = this.#perform(operation);
      if (pending !== undefined) await pending;
    }
    await this.#sync();
  }

  /** Plain writes happen at once; what must wait for the disk returns a promise. */
  #perform(operation: Operation): Promise<void> | undefined {
    if (operation.type === 'truncatePrefix') return this.#dropBefore(operation.firstKept);
    if (operation.type === 'reset') return this.#restart(operation.next);
    const { truncateFrom, entries } = operation.write;
    if (truncateFrom !== undefined) return this.#cutThenAppend(truncateFrom, entries);
    return this.#append(entries);
  }

  #append(entries: readonly LogEntry[]): Promise<void> | undefined {
    if (entries.length === 0) return undefined;
    const open = this.#open;
    const bytes = entries.reduce((sum, entry) => sum + recordBytes(entry), 0);
    const { segmentBytesMax } = this.#options;
    if (open === undefined || (open.bytes() > 0 && open.bytes() + bytes > segmentBytesMax)) {
      return this.#roll().then(() => {
        this.#appendTo(entries, bytes);
      });
    }
    this.#appendTo(entries, bytes);
    return undefined;
  }

  #appendTo(entries: readonly LogEntry[], bytes: number): void {
    assert(this.#open !== undefined, 'no open segment');
    this.#open.append(entries);
    this.#lastIndex = this.#open.lastIndex();
    this.#unmarkedBytes += bytes;
    this.#unsynced = true;
  }

  async #sync(): Promise<void> {
    const last = this.#lastIndex;
    if (this.#unsynced && this.#open !== undefined) {
      this.#unsynced = false;
      if (this.#options.sync) await this.#open.file.sync();
    }
    this.#durableIndex = last;
    if (this.#unmarkedBytes < MARK_BYTES || !this.#options.sync) return;
    this.#unmarkedBytes = 0;
    await this.#mark.save(last);
  }

  /** Closes the open segment and opens the next: nothing of the next counts before this is done. */
  async #roll(): Promise<void> {
    const next = LogIndex(this.#lastIndex + 1);
    if (this.#open !== undefined) await this.#closeSegment(this.#open);
    this.#open = await this.#factory.create(next);
    this.#segments.push(this.#open);
  }

  async #closeSegment(segment: Segment): Promise<void> {
    await segment.file.truncate(segment.bytes());
    if (this.#options.sync) await segment.file.sync();
    this.#unsynced = false;
    const from = `${this.#directory}/${openName(segment.first)}`;
    const to = `${this.#directory}/${closedName(segment.first, segment.lastIndex())}`;
    await this.#fileSystem.rename(from, to);
    await this.#fileSystem.syncDirectory(this.#directory);
    this.#open = undefined;
  }

  /** A cut is a barrier: it is durable before anything is written in its place. */
  async #cutThenAppend(truncateFrom: LogIndex, entries: readonly LogEntry[]): Promise<void> {
    await this.#sync();
    // The mark first: it must never claim what is about to go.
    const lastKept = LogIndex(truncateFrom - 1);
    if (this.#mark.index() > lastKept) await this.#mark.save(lastKept);
    while (this.#segments.length > 0) {
      const segment = this.#segments.at(-1);
      if (segment === undefined || segment.first < truncateFrom) break;
      await this.#removeSegment(segment);
    }
    await this.#cutLastSegment(truncateFrom);
    this.#lastIndex = lastKept;
    this.#durableIndex = LogIndex(Math.min(this.#durableIndex, lastKept));
    await this.#append(entries);
  }

  async #cutLastSegment(truncateFrom: LogIndex): Promise<void> {
    const segment = this.#segments.at(-1);
    if (segment === undefined || segment.lastIndex() < truncateFrom) return;
    if (segment !== this.#open) await this.#reopen(segment);
    segment.cutFrom(truncateFrom);
    if (this.#options.sync) await segment.file.sync();
  }

  /** A closed segment that is cut becomes the open one again (braft truncate_suffix). */
  async #reopen(segment: Segment): Promise<void> {
    const from = `${this.#directory}/${closedName(segment.first, segment.lastIndex())}`;
    await this.#fileSystem.rename(from, `${this.#directory}/${openName(segment.first)}`);
    await this.#fileSystem.syncDirectory(this.#directory);
    this.#open = segment;
  }

  async #dropBefore(firstKept: LogIndex): Promise<void> {
    if (firstKept <= this.#firstIndex) return;
    await this.#sync();
    await this.#saveFirstIndex(firstKept);
    this.#firstIndex = firstKept;
    while (this.#segments.length > 0) {
      const segment = this.#segments[0];
      if (segment === undefined || segment.lastIndex() >= firstKept) break;
      await this.#removeSegment(segment);
    }
    if (this.#lastIndex < firstKept - 1) this.#lastIndex = LogIndex(firstKept - 1);
  }

  async #restart(next: LogIndex): Promise<void> {
    await this.#mark.save(LogIndex(0));
    // Back to front, and the first index last: whatever a crash leaves of the old log is a prefix
    // of it that ends before the snapshot, which the next start drops.
    while (this.#segments.length > 0) {
      const segment = this.#segments.at(-1);
      if (segment !== undefined) await this.#removeSegment(segment);
    }
    await this.#saveFirstIndex(next);
    this.#firstIndex = next;
    this.#lastIndex = LogIndex(next - 1);
    this.#durableIndex = this.#lastIndex;
    this.#unsynced = false;
  }

  async #removeSegment(segment: Segment): Promise<void> {
    const isOpen = segment === this.#open;
    const name = isOpen ? openName(segment.first) : closedName(segment.first, segment.lastIndex());
    this.#segments = this.#segments.filter((other) => other !== segment);
    if (isOpen) this.#open = undefined;
    await segment.file.close();
    await this.#fileSystem.remove(`${this.#directory}/${name}`);
    await this.#fileSystem.syncDirectory(this.#directory);
  }

  #saveFirstIndex(firstLogIndex: LogIndex): Promise<void> {
    return saveFirstIndex(this.#fileSystem, this.#directory, firstLogIndex);
  }

  #failAll(batch: readonly Waiter[], failure: RaftError): void {
    this.#failure = failure;
    for (const { reject } of [...batch, ...this.#queue]) reject(failure);
    this.#queue = [];
  }
}

function saveFirstIndex(
  fileSystem: FileSystem,
  directory: string,
  firstLogIndex: LogIndex,
): Promise<void> {
  const message = LogPBMeta.encode({ firstLogIndex }).finish();
  return saveMetaFile(fileSystem, `${directory}/log_meta`, message);
}

async function recover(
  fileSystem: FileSystem,
  directory: string,
  mark: DurableMark,
): Promise<{ segments: Segment[]; open: Segment | undefined; recovered: RecoveredLog }> {
  const names = await fileSystem.list(directory);
  for (const name of names) {
    if (name.endsWith('.tmp')) await fileSystem.remove(`${directory}/${name}`);
  }
  const firstIndex = await loadFirstIndex(fileSystem, directory, names);
  const files = await segmentFiles(fileSystem, { directory, names, firstIndex });
  const scan: Scan = { termRuns: [], configurations: [] };
  const segments: Segment[] = [];
  let open: Segment | undefined;
  let end = LogIndex(firstIndex - 1);
  for (const file of files) {
    const segment = await recoverSegment(file, mark.index(), scan);
    segments.push(segment);
    if (file.last === undefined) open = segment;
    end = LogIndex(Math.max(end, segment.lastIndex()));
  }
  if (open !== undefined && open.lastIndex() < firstIndex - 1) {
    // Compaction took all of it and was cut short by a crash before it removed the file.
    await open.file.close();
    await fileSystem.remove(`${directory}/${openName(open.first)}`);
    segments.pop();
    open = undefined;
  }
  if (open === undefined && end < mark.index()) {
    const text = `${directory} ends at entry ${String(end)}, but ${String(mark.index())} was durable`;
    throw new RaftError('EIO', `${text}; restore this member from a backup or add it anew`);
  }
  // Recovery has made durable all it accepts: from now on none of it can pass for a torn tail.
  if (end > mark.index()) await mark.save(end);
  const kept = dropBelow(scan, firstIndex);
  return { segments, open, recovered: { firstIndex, lastIndex: end, ...kept } };
}

function dropBelow(scan: Scan, firstIndex: LogIndex): Scan {
  const covering = scan.termRuns.findLastIndex(({ first }) => first <= firstIndex);
  const termRuns = scan.termRuns
    .slice(Math.max(0, covering))
    .map(({ first, term }) => ({ first: LogIndex(Math.max(first, firstIndex)), term }));
  const configurations = scan.configurations.filter(({ index }) => index >= firstIndex);
  return { termRuns, configurations };
}

async function loadFirstIndex(
  fileSystem: FileSystem,
  directory: string,
  names: readonly string[],
): Promise<LogIndex> {
  const message = await loadMetaFile(fileSystem, `${directory}/log_meta`);
  if (message !== undefined) return LogIndex(LogPBMeta.decode(message).firstLogIndex ?? 1);
  if (names.some((name) => parseSegmentName(name) !== undefined)) {
    const remedy = 'restore log_meta, or wipe this member and add it to the group again';
    throw new RaftError('EIO', `${directory}/log_meta is missing beside log segments; ${remedy}`);
  }
  await saveFirstIndex(fileSystem, directory, LogIndex(1));
  return LogIndex(1);
}

/** The segments that hold entries from `firstIndex` on, in order and without a gap. */
async function segmentFiles(
  fileSystem: FileSystem,
  log: {
    readonly directory: string;
    readonly names: readonly string[];
    readonly firstIndex: LogIndex;
  },
): Promise<SegmentFile[]> {
  const { directory, names, firstIndex } = log;
  const found = names
    .flatMap((name) => {
      const range = parseSegmentName(name);
      return range === undefined ? [] : [{ path: `${directory}/${name}`, ...range }];
    })
    .sort((a, b) => a.first - b.first || (a.last === undefined ? 1 : -1));
  const files: SegmentFile[] = [];
  let expected: number | undefined;
  for (const { path, first, last } of found) {
    if (last !== undefined && last < firstIndex) {
      await fileSystem.remove(path);
      continue;
    }
    if (expected === undefined ? first > firstIndex : first !== expected) {
      const text = `${path} starts at ${String(first)}, expected ${String(expected ?? firstIndex)}`;
      throw new RaftError('EIO', `${text}: a segment is missing or there are two open ones`);
    }
    expected = last === undefined ? Number.NaN : last + 1;
    files.push({ path, first, last, file: await fileSystem.open(path, 'write') });
  }
  return files;
}
