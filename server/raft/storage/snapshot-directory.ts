import { makeDurableDirectory } from './durable-directory.ts';
import { FileSource, LocalSnapshotPbMeta } from '../../../proto/gen/braft/storage.ts';
import { LogIndex } from '../core/ids.ts';
import type { SnapshotMeta } from '../core/message.ts';
import {
  snapshotMetaFromMessage,
  snapshotMetaToMessage,
} from '../encoding/configuration-payload.ts';
import { RaftError } from '../error.ts';
import type { FileSystem } from './file-system.ts';
import { loadMetaFile, saveMetaFile } from './meta-file.ts';
import { snapshotChecksum } from './snapshot-checksum.ts';
import { checkFileName } from './snapshot-file-name.ts';
import { SnapshotIntake } from './snapshot-intake.ts';
import type {
  SnapshotFile,
  SnapshotReader,
  SnapshotReceiver,
  SnapshotStorage,
  SnapshotWriter,
} from './snapshot-storage.ts';
import { damagedFile, storageError } from './storage-error.ts';

const META_NAME = '__raft_snapshot_meta';

type Saved = {
  readonly meta: SnapshotMeta;
  readonly path: string;
  readonly files: readonly SnapshotFile[];
  /** One for being the newest, one for each open reader. */
  references: number;
};

/**
 * Snapshots in DIR/snapshot_<index> with braft's layout; the newest is kept, an older one until its
 * last reader closes (braft LocalSnapshotStorage). Files, meta and names are synced in that order.
 */
export class SnapshotDirectory implements SnapshotStorage {
  readonly recovered: SnapshotMeta | undefined;
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  #newest: Saved | undefined;
  /** The latest one; what it has sealed is what may be installed. */
  #intake: SnapshotIntake | undefined;

  private constructor(fileSystem: FileSystem, directory: string, newest: Saved | undefined) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#newest = newest;
    this.recovered = newest?.meta;
  }

  /** Opens or creates the folder; older snapshots and half-written ones go. @throws RaftError EIO. */
  static async open(fileSystem: FileSystem, directory: string): Promise<SnapshotDirectory> {
    try {
      await makeDurableDirectory(fileSystem, directory);
      const found = (await fileSystem.list(directory))
        .filter((name) => /^snapshot_\d{20}$/.test(name))
        .sort();
      const name = found.pop();
      for (const older of found) await fileSystem.remove(`${directory}/${older}`);
      await fileSystem.remove(`${directory}/temp`);
      const saved = name === undefined ? undefined : await load(fileSystem, `${directory}/${name}`);
      await removeDeadIntakes(fileSystem, directory, saved?.meta.lastIncluded.index ?? 0);
      return new SnapshotDirectory(fileSystem, directory, saved);
    } catch (error) {
      throw storageError(`cannot open the snapshots in ${directory}`, error);
    }
  }

  lastIndex(): LogIndex {
    return this.#newest?.meta.lastIncluded.index ?? LogIndex(0);
  }

  open(): Promise<SnapshotReader | undefined> {
    const saved = this.#newest;
    if (saved === undefined) return Promise.resolve(undefined);
    saved.references++;
    let open = true;
    return Promise.resolve({
      meta: saved.meta,
      path: saved.path,
      files: saved.files,
      read: (name, offset, bytesMax) => this.#readFile(saved, name, { offset, bytesMax }),
      close: async () => {
        if (open) await this.#release(saved);
        open = false;
      },
    });
  }

  async save(meta: SnapshotMeta, fill: (writer: SnapshotWriter) => Promise<void>): Promise<void> {
    const path = `${this.#directory}/temp`;
    const names = new Set<string>();
    try {
      await this.#fileSystem.remove(path);
      await this.#fileSystem.makeDirectory(path);
      await fill({
        path,
        addFile: (name) => {
          checkFileName(name);
          if (names.has(name)) throw new RaftError('EEXIST', `${name} was added before`);
          names.add(name);
        },
      });
      const files: SnapshotFile[] = [];
      for (const name of [...names].sort()) files.push(await this.#sealFile(path, name));
      await this.#publish(path, meta, files);
    } catch (error) {
      await this.#fileSystem.remove(path).catch(() => undefined);
      throw storageError('cannot save a snapshot', error);
    }
  }

  async receive(meta: SnapshotMeta, files: readonly SnapshotFile[]): Promise<SnapshotReceiver> {
    const path = this.#intakePath(meta);
    this.#intake = undefined;
    try {
      const others = (await intakes(this.#fileSystem, this.#directory)).filter(
        (other) => other.path !== path,
      );
      for (const other of others) await this.#fileSystem.remove(other.path);
    } catch (error) {
      throw storageError(`cannot receive a snapshot in ${path}`, error);
    }
    this.#intake = await SnapshotIntake.open(this.#fileSystem, { path, files });
    return this.#intake;
  }

  async commitReceived(meta: SnapshotMeta): Promise<void> {
    const path = this.#intakePath(meta);
    const files = this.#intake?.path === path ? this.#intake.sealed() : undefined;
    try {
      if (files === undefined) throw new RaftError('EIO', `${path} was not received completely`);
      await this.#publish(path, meta, files);
    } catch (error) {
      throw storageError('cannot install a snapshot', error);
    }
  }

  #intakePath({ lastIncluded }: SnapshotMeta): string {
    return `${this.#directory}/incoming_${String(lastIncluded.index)}_${String(lastIncluded.term)}`;
  }

  async #sealFile(path: string, name: string): Promise<SnapshotFile> {
    const file = await this.#fileSystem.open(`${path}/${name}`, 'write');
    try {
      const found = await snapshotChecksum(file);
      await file.sync();
      return { name, ...found };
    } finally {
      await file.close();
    }
  }

  async #publish(from: string, meta: SnapshotMeta, files: readonly SnapshotFile[]): Promise<void> {
    const { index } = meta.lastIncluded;
    if (index <= this.lastIndex()) {
      await this.#fileSystem.remove(from);
      throw new RaftError('ESTALE', `a snapshot at ${String(this.lastIndex())} is here already`);
    }
    await saveMetaFile(this.#fileSystem, `${from}/${META_NAME}`, encodeMeta(meta, files));
    const path = `${this.#directory}/snapshot_${String(index).padStart(20, '0')}`;
    await this.#fileSystem.remove(path);
    await this.#fileSystem.syncDirectory(from);
    await this.#fileSystem.rename(from, path);
    await this.#fileSystem.syncDirectory(this.#directory);
    const before = this.#newest;
    this.#newest = { meta, path, files, references: 1 };
    if (before !== undefined) await this.#release(before);
  }

  async #release(saved: Saved): Promise<void> {
    saved.references--;
    if (saved.references === 0) await this.#fileSystem.remove(saved.path);
  }

  async #readFile(
    saved: Saved,
    name: string,
    range: { readonly offset: number; readonly bytesMax: number },
  ): Promise<Uint8Array> {
    if (!saved.files.some((file) => file.name === name)) {
      throw new RaftError('EPERM', `${name} is no file of this snapshot`);
    }
    try {
      const file = await this.#fileSystem.open(`${saved.path}/${name}`, 'read');
      try {
        const left = Math.max(0, (await file.size()) - range.offset);
        const bytes = new Uint8Array(Math.min(left, range.bytesMax));
        const count = await file.read(bytes, range.offset);
        return bytes.subarray(0, count);
      } finally {
        await file.close();
      }
    } catch (error) {
      throw storageError(`cannot read ${saved.path}/${name}`, error);
    }
  }
}

/** Folders of downloads that were not installed, oldest snapshot first. */
async function intakes(
  fileSystem: FileSystem,
  directory: string,
): Promise<readonly { readonly path: string; readonly index: number }[]> {
  return (await fileSystem.list(directory))
    .filter((name) => /^incoming_\d+_\d+$/.test(name))
    .map((name) => ({ path: `${directory}/${name}`, index: Number(name.split('_')[1]) }))
    .sort((a, b) => a.index - b.index);
}

/** The newest download may be resumed, if it goes beyond the snapshot that is here: others go. */
async function removeDeadIntakes(
  fileSystem: FileSystem,
  directory: string,
  lastIndex: number,
): Promise<void> {
  const found = await intakes(fileSystem, directory);
  const newest = found.findLast(({ index }) => index > lastIndex);
  for (const { path } of found) if (path !== newest?.path) await fileSystem.remove(path);
}

async function load(fileSystem: FileSystem, path: string): Promise<Saved> {
  const message = await loadMetaFile(fileSystem, `${path}/${META_NAME}`);
  if (message === undefined) throw new RaftError('EIO', `${path}/${META_NAME} is missing`);
  const { meta, files } = decodeMeta(path, message);
  const listed: SnapshotFile[] = [];
  for (const { name, size, checksum } of files) {
    checkFileName(name);
    const found = await fileSystem.stat(`${path}/${name}`);
    if (found === undefined) throw new RaftError('EIO', `${path}/${name} is missing`);
    if (size !== undefined && size !== found.size) {
      throw damagedFile(`${path}/${name}`, 'its size is not as recorded');
    }
    if (checksum !== '') await verify(fileSystem, `${path}/${name}`, checksum);
    listed.push({ name, size: found.size, checksum });
  }
  return { meta, path, files: listed, references: 1 };
}

async function verify(fileSystem: FileSystem, path: string, checksum: string): Promise<void> {
  const file = await fileSystem.open(path, 'read');
  try {
    if ((await snapshotChecksum(file)).checksum === checksum) return;
  } finally {
    await file.close();
  }
  throw damagedFile(path, 'its checksum does not match');
}

function encodeMeta(meta: SnapshotMeta, files: readonly SnapshotFile[]): Uint8Array {
  return LocalSnapshotPbMeta.encode({
    meta: snapshotMetaToMessage(meta),
    files: files.map(({ name, size, checksum }) => ({
      name,
      meta: { source: FileSource.FILE_SOURCE_LOCAL, checksum, size, userMeta: undefined },
    })),
  }).finish();
}

function decodeMeta(
  path: string,
  message: Uint8Array,
): {
  readonly meta: SnapshotMeta;
  readonly files: readonly { name: string; size: number | undefined; checksum: string }[];
} {
  const decoded = decodeMessage(path, message);
  if (decoded.meta === undefined) {
    throw damagedFile(`${path}/${META_NAME}`, 'the meta is missing');
  }
  const files = decoded.files.map(({ name = '', meta }) => ({
    name,
    size: meta?.size,
    checksum: meta?.checksum ?? '',
  }));
  return { meta: snapshotMetaFromMessage(decoded.meta), files };
}

function decodeMessage(path: string, message: Uint8Array): LocalSnapshotPbMeta {
  try {
    return LocalSnapshotPbMeta.decode(message);
  } catch (cause) {
    throw damagedFile(`${path}/${META_NAME}`, 'it cannot be decoded', cause);
  }
}
