import type { FileHandle, FileSystem } from '../../server/raft/storage/file-system.ts';
import { SimulatedFile } from './simulated-file.ts';
import type { Random } from './simulated-file.ts';

export type { Random } from './simulated-file.ts';

/** An operation on the disk, as faults and delays see it. */
export type DiskOperation = {
  readonly type:
    | 'open'
    | 'create'
    | 'makeDirectory'
    | 'list'
    | 'stat'
    | 'read'
    | 'write'
    | 'sync'
    | 'truncate'
    | 'rename'
    | 'remove'
    | 'syncDirectory';
  readonly path: string;
  /** Counts all operations on this disk from 1. */
  readonly ordinal: number;
};

export type DiskOptions = {
  /** Writes that would take more fail with ENOSPC, after filling what is left. Default: no end. */
  readonly capacityBytes?: number;
  /** An asynchronous operation takes effect when this resolves. Default: at once. */
  readonly delay?: (operation: DiskOperation) => Promise<void>;
  /** Asked before each operation; the code of an error makes it fail. Default: none. */
  readonly fault?: (operation: DiskOperation) => string | undefined;
};

type Folder = {
  readonly directory: true;
  readonly entries: Map<string, Inode>;
  readonly durable: Map<string, Inode>;
};
type Inode = Folder | SimulatedFile;

/** One change of names that survives a crash as a whole or not at all. */
type Change = { readonly folder: Folder; readonly name: string; readonly inode: Inode | undefined };

/**
 * A disk in memory that forgets what was not synced. Per file it keeps a durable image and unsynced
 * sectors, per folder durable names and pending changes; `crash` lets any part of what was not
 * synced survive. Deterministic: whatever is left to chance comes from the `random` handed in.
 *
 * Operations begun before a crash never settle: the program that waits for them is gone.
 */
export class SimulatedDisk implements FileSystem {
  capacityBytes: number;
  delay: DiskOptions['delay'];
  fault: DiskOptions['fault'];
  #root: Folder = newFolder();
  #pending: (readonly Change[])[] = [];
  /** Raised by a crash: operations of an older life have no effect. */
  #life = 0;
  #ordinal = 0;
  #usedBytes = 0;

  constructor(options: DiskOptions = {}) {
    this.capacityBytes = options.capacityBytes ?? Number.MAX_SAFE_INTEGER;
    this.delay = options.delay;
    this.fault = options.fault;
  }

  /** How many operations the disk has seen. */
  get operations(): number {
    return this.#ordinal;
  }

  /** Loses power; of what was not synced any part survives. Faults and delays stay as they are. */
  crash(random: Random): void {
    this.#life++;
    const mood = random();
    const share = mood < 0.2 ? 0 : mood < 0.4 ? 1 : random();
    for (const changes of this.#pending) if (random() < share) applyDurably(changes);
    this.#restart((file) => {
      file.crash(random);
    });
  }

  /** Loses power and everything that was not synced. */
  crashLosingAll(): void {
    this.#life++;
    this.#restart((file) => {
      file.becomeDurable();
    });
  }

  /** A disk of its own that holds what is certainly durable on this one. */
  durableCopy(): SimulatedDisk {
    const copy = new SimulatedDisk({ capacityBytes: this.capacityBytes });
    copy.#root = durableCopyOf(this.#root);
    copy.#recount();
    return copy;
  }

  /** Flips one bit of a file on disk. */
  flipBit(path: string, bit: number): void {
    this.#file(path).flipBit(bit);
  }

  /** What a program would read from a file now; no operation, never fails by a fault. */
  contents(path: string): Uint8Array {
    const file = this.#file(path);
    const bytes = new Uint8Array(file.size);
    file.read(bytes, 0);
    return bytes;
  }

  /** Puts a file there, durable at once, with its folders. */
  plant(path: string, bytes: Uint8Array): void {
    const parts = partsOf(path);
    const name = parts.pop() ?? '';
    let folder = this.#root;
    for (const part of parts) {
      const found = folder.entries.get(part);
      const child = found?.directory === true ? found : newFolder();
      plantIn(folder, part, child);
      folder = child;
    }
    const file = new SimulatedFile();
    file.write(bytes, 0);
    file.endSync(file.beginSync(), true);
    plantIn(folder, name, file);
    this.#recount();
  }

  /** Paths of all files, sorted. */
  paths(): readonly string[] {
    return filesUnder(this.#root, '')
      .map(([path]) => path)
      .sort();
  }

  async open(path: string, mode: 'read' | 'write' | 'create'): Promise<FileHandle> {
    await this.#begin(mode === 'create' ? 'create' : 'open', path);
    const file = mode === 'create' ? this.#create(path) : this.#file(path);
    return this.#handle(file, path, mode !== 'read');
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#begin('makeDirectory', path);
    let folder = this.#root;
    for (const part of partsOf(path)) {
      let child = folder.entries.get(part);
      if (child === undefined) {
        child = newFolder();
        this.#change(link(folder, part, child));
      }
      if (!child.directory) throw failure('ENOTDIR', 'makeDirectory', path);
      folder = child;
    }
  }

  async list(path: string): Promise<readonly string[]> {
    await this.#begin('list', path);
    return [...this.#folder(path).entries.keys()].sort();
  }

  async stat(
    path: string,
  ): Promise<{ readonly size: number; readonly directory: boolean } | undefined> {
    await this.#begin('stat', path);
    const inode = this.#find(path);
    if (inode === undefined) return undefined;
    return { size: inode.directory ? 0 : inode.size, directory: inode.directory };
  }

  async readFile(path: string): Promise<Uint8Array> {
    await this.#begin('read', path);
    return this.contents(path);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#begin('rename', from);
    const inode = this.#find(from);
    if (inode === undefined) throw failure('ENOENT', 'rename', from);
    const replaced = this.#find(to);
    if (replaced?.directory === true && replaced.entries.size > 0) {
      throw failure('ENOTEMPTY', 'rename', to);
    }
    const [source, sourceName] = this.#parent(from);
    const [target, targetName] = this.#parent(to);
    this.#usedBytes -= sizeOf(replaced);
    this.#change([...link(source, sourceName, undefined), ...link(target, targetName, inode)]);
  }

  async remove(path: string): Promise<void> {
    await this.#begin('remove', path);
    const inode = this.#find(path);
    if (inode === undefined) return;
    const [folder, name] = this.#parent(path);
    this.#removeInside(folder, name, inode);
  }

  async syncDirectory(path: string): Promise<void> {
    const folder = this.#folder(path);
    // Only what was done before the call is covered.
    const covered = this.#pending.filter((changes) => changes.some((it) => it.folder === folder));
    await this.#begin('syncDirectory', path);
    for (const changes of covered) {
      const at = this.#pending.indexOf(changes);
      if (at < 0) continue;
      this.#pending.splice(at, 1);
      applyDurably(changes);
    }
  }

  freeBytes(): Promise<number> {
    return Promise.resolve(Math.max(0, this.capacityBytes - this.#usedBytes));
  }

  #handle(file: SimulatedFile, path: string, writable: boolean): FileHandle {
    const life = this.#life;
    const write = (bytes: Uint8Array, position: number): void => {
      if (!writable) throw failure('EBADF', 'write', path);
      if (life === this.#life) this.#write({ file, path, bytes, position });
    };
    const guarded = async <T>(type: DiskOperation['type'], act: () => T): Promise<T> => {
      if (life !== this.#life) return never();
      await this.#begin(type, path);
      return act();
    };
    return {
      size: () => guarded('stat', () => file.size),
      read: (target, position) => guarded('read', () => file.read(target, position)),
      readNow: (target, position) => {
        this.#count('read', path);
        return file.read(target, position);
      },
      writeNow: write,
      sync: async () => {
        if (life !== this.#life) return never();
        await this.#sync(file, path);
      },
      truncate: (size) =>
        guarded('truncate', () => {
          this.#usedBytes += size - file.size;
          file.truncate(size);
        }),
      close: () => (life === this.#life ? Promise.resolve() : never()),
    };
  }

  #write(request: {
    readonly file: SimulatedFile;
    readonly path: string;
    readonly bytes: Uint8Array;
    readonly position: number;
  }): void {
    const { file, path, bytes, position } = request;
    this.#count('write', path);
    const growth = Math.max(0, position + bytes.length - file.size);
    const free = Math.max(0, this.capacityBytes - this.#usedBytes);
    const excess = Math.max(0, growth - free);
    const fitting = bytes.subarray(0, Math.max(0, bytes.length - excess));
    const before = file.size;
    if (fitting.length > 0) file.write(fitting, position);
    this.#usedBytes += file.size - before;
    if (excess > 0) throw failure('ENOSPC', 'write', path);
  }

  async #sync(file: SimulatedFile, path: string): Promise<void> {
    const life = this.#life;
    const sync = file.beginSync();
    try {
      await this.#begin('sync', path);
    } catch (error) {
      if (life === this.#life) file.endSync(sync, false);
      throw error;
    }
    file.endSync(sync, true);
  }

  /** Counts, fails or delays an asynchronous operation; never returns across a crash. */
  async #begin(type: DiskOperation['type'], path: string): Promise<void> {
    const life = this.#life;
    const operation: DiskOperation = { type, path, ordinal: ++this.#ordinal };
    const code = this.fault?.(operation);
    if (this.delay !== undefined) await this.delay(operation);
    if (life !== this.#life) return never();
    if (code !== undefined) throw failure(code, type, path);
  }

  #count(type: DiskOperation['type'], path: string): void {
    const code = this.fault?.({ type, path, ordinal: ++this.#ordinal });
    if (code !== undefined) throw failure(code, type, path);
  }

  #create(path: string): SimulatedFile {
    const found = this.#find(path);
    if (found?.directory === true) throw failure('EISDIR', 'create', path);
    if (found !== undefined) {
      this.#usedBytes -= found.size;
      found.truncate(0);
      return found;
    }
    const file = new SimulatedFile();
    this.#change(link(...this.#parent(path), file));
    return file;
  }

  #removeInside(folder: Folder, name: string, inode: Inode): void {
    // As `rm -r` does: name by name, so that a crash may leave any part of a folder.
    if (inode.directory) {
      for (const [child, childInode] of inode.entries) this.#removeInside(inode, child, childInode);
    }
    this.#usedBytes -= sizeOf(inode);
    this.#change(link(folder, name, undefined));
  }

  #change(changes: readonly Change[]): void {
    for (const { folder, name, inode } of changes) set(folder.entries, name, inode);
    this.#pending.push(changes);
  }

  #restart(settle: (file: SimulatedFile) => void): void {
    this.#pending = [];
    forget(this.#root);
    for (const [, file] of filesUnder(this.#root, '')) settle(file);
    this.#recount();
  }

  #recount(): void {
    this.#usedBytes = filesUnder(this.#root, '').reduce((sum, [, file]) => sum + file.size, 0);
  }

  #find(path: string): Inode | undefined {
    let inode: Inode | undefined = this.#root;
    for (const part of partsOf(path))
      inode = inode?.directory ? inode.entries.get(part) : undefined;
    return inode;
  }

  #folder(path: string): Folder {
    const inode = this.#find(path);
    if (inode === undefined) throw failure('ENOENT', 'open', path);
    if (!inode.directory) throw failure('ENOTDIR', 'open', path);
    return inode;
  }

  #file(path: string): SimulatedFile {
    const inode = this.#find(path);
    if (inode === undefined) throw failure('ENOENT', 'open', path);
    if (inode.directory) throw failure('EISDIR', 'open', path);
    return inode;
  }

  #parent(path: string): [Folder, string] {
    const at = path.lastIndexOf('/');
    return [this.#folder(path.slice(0, at)), path.slice(at + 1)];
  }
}

function newFolder(): Folder {
  return { directory: true, entries: new Map(), durable: new Map() };
}

function link(folder: Folder, name: string, inode: Inode | undefined): readonly Change[] {
  return [{ folder, name, inode }];
}

function applyDurably(changes: readonly Change[]): void {
  for (const { folder, name, inode } of changes) set(folder.durable, name, inode);
}

/** Adds a name that is visible and durable at once. */
function plantIn(folder: Folder, name: string, inode: Inode): void {
  folder.entries.set(name, inode);
  folder.durable.set(name, inode);
}

function set(entries: Map<string, Inode>, name: string, inode: Inode | undefined): void {
  if (inode === undefined) entries.delete(name);
  else entries.set(name, inode);
}

/** Makes every folder show its durable names only. */
function forget(folder: Folder): void {
  folder.entries.clear();
  for (const [name, inode] of folder.durable) {
    folder.entries.set(name, inode);
    if (inode.directory) forget(inode);
  }
}

function durableCopyOf(folder: Folder): Folder {
  const copy = newFolder();
  for (const [name, inode] of folder.durable) {
    plantIn(copy, name, inode.directory ? durableCopyOf(inode) : inode.durableCopy());
  }
  return copy;
}

function filesUnder(folder: Folder, path: string): (readonly [string, SimulatedFile])[] {
  return [...folder.entries].flatMap(([name, inode]) => {
    const child = `${path}/${name}`;
    return inode.directory ? filesUnder(inode, child) : [[child, inode] as const];
  });
}

function sizeOf(inode: Inode | undefined): number {
  return inode === undefined || inode.directory ? 0 : inode.size;
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}

function failure(code: string, type: DiskOperation['type'], path: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${type} '${path}'`), { code });
}

function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}
