import { RaftError } from '../error.ts';
import type { FileHandle, FileSystem } from './file-system.ts';
import { snapshotChecksum } from './snapshot-checksum.ts';
import { checkFileName } from './snapshot-file-name.ts';
import type { SnapshotFile, SnapshotReceiver } from './snapshot-storage.ts';
import { storageError } from './storage-error.ts';

/** Where a copied snapshot arrives; its folder survives a broken copy, so that it can be resumed. */
export class SnapshotIntake implements SnapshotReceiver {
  readonly path: string;
  readonly #files: readonly SnapshotFile[];
  readonly #handles: ReadonlyMap<string, FileHandle>;
  #sealed: readonly SnapshotFile[] | undefined;

  private constructor(
    path: string,
    files: readonly SnapshotFile[],
    handles: ReadonlyMap<string, FileHandle>,
  ) {
    this.path = path;
    this.#files = files;
    this.#handles = handles;
  }

  static async open(
    fileSystem: FileSystem,
    intake: { readonly path: string; readonly files: readonly SnapshotFile[] },
  ): Promise<SnapshotIntake> {
    const { path, files } = intake;
    for (const { name } of files) checkFileName(name);
    try {
      await fileSystem.makeDirectory(path);
      await removeOthers(fileSystem, path, new Set(files.map(({ name }) => name)));
      const handles = new Map<string, FileHandle>();
      for (const { name, size } of files) {
        const found = await fileSystem.stat(`${path}/${name}`);
        const mode = found === undefined || found.size > size ? 'create' : 'write';
        handles.set(name, await fileSystem.open(`${path}/${name}`, mode));
      }
      return new SnapshotIntake(path, files, handles);
    } catch (error) {
      throw storageError(`cannot receive a snapshot in ${path}`, error);
    }
  }

  receivedBytes({ name }: SnapshotFile): Promise<number> {
    return this.#handle(name).size();
  }

  write({ name }: SnapshotFile, offset: number, bytes: Uint8Array): Promise<void> {
    try {
      if (this.#sealed !== undefined) throw new RaftError('EPERM', `${this.path} is complete`);
      this.#handle(name).writeNow(bytes, offset);
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(storageError(`cannot write ${this.path}/${name}`, error));
    }
  }

  async finish(): Promise<void> {
    const sealed: SnapshotFile[] = [];
    for (const file of this.#files) sealed.push(await this.#seal(file));
    await this.#close();
    this.#sealed = sealed;
  }

  /** The files as they were checked and synced; undefined until `finish` is through. */
  sealed(): readonly SnapshotFile[] | undefined {
    return this.#sealed;
  }

  async abandon(): Promise<void> {
    await this.#close();
  }

  async #seal({ name, size, checksum }: SnapshotFile): Promise<SnapshotFile> {
    const handle = this.#handle(name);
    const found = await snapshotChecksum(handle);
    if (found.size === size && (checksum === '' || checksum === found.checksum)) {
      await handle.sync();
      return { name, ...found };
    }
    // What is here cannot be resumed: the next attempt starts over.
    await handle.truncate(0);
    throw new RaftError('EIO', `${this.path}/${name} arrived damaged; it will be fetched again`);
  }

  #handle(name: string): FileHandle {
    const handle = this.#handles.get(name);
    if (handle === undefined) throw new RaftError('EINVAL', `${name} is no file of this snapshot`);
    return handle;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#handles.values()].map((handle) => handle.close()));
  }
}

async function removeOthers(
  fileSystem: FileSystem,
  path: string,
  wanted: ReadonlySet<string>,
): Promise<void> {
  for (const name of await fileSystem.list(path)) {
    if (!wanted.has(name)) await fileSystem.remove(`${path}/${name}`);
  }
}
