import { RaftError } from '../error.ts';
import type { FileSystem } from './file-system.ts';
import { storageError } from './storage-error.ts';

/**
 * Replaces a small file atomically (braft ProtoBufFile: a big-endian length, then the message):
 * written beside it, synced, renamed, and the folder synced, so that a crash leaves the old one or
 * the new one.
 *
 * @throws RaftError EIO or ENOSPC; the old file is untouched then.
 */
export async function saveMetaFile(
  fileSystem: FileSystem,
  path: string,
  message: Uint8Array,
): Promise<void> {
  const bytes = new Uint8Array(4 + message.length);
  new DataView(bytes.buffer).setUint32(0, message.length);
  bytes.set(message, 4);
  await replaceFile(fileSystem, path, bytes);
}

/** Replaces any small file atomically and durably. @throws RaftError EIO or ENOSPC. */
export async function replaceFile(
  fileSystem: FileSystem,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    const file = await fileSystem.open(temporary, 'create');
    try {
      file.writeNow(bytes, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await fileSystem.rename(temporary, path);
    await fileSystem.syncDirectory(path.slice(0, path.lastIndexOf('/')));
  } catch (error) {
    throw storageError(`cannot save ${path}`, error);
  }
}

/**
 * The message in such a file; undefined when there is no file.
 *
 * @throws RaftError EIO when it is not as long as it says.
 */
export async function loadMetaFile(
  fileSystem: FileSystem,
  path: string,
): Promise<Uint8Array | undefined> {
  if ((await fileSystem.stat(path)) === undefined) return undefined;
  const bytes = await fileSystem.readFile(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint32(0) !== bytes.length - 4) {
    const remedy = 'restore it from a backup, or wipe this member and add it to the group again';
    throw new RaftError('EIO', `${path} is damaged: its length does not match; ${remedy}`);
  }
  return bytes.subarray(4);
}
