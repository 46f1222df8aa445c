import { crc32c } from '../encoding/crc32c.ts';
import type { FileSystem } from './file-system.ts';
import { damagedFile, storageError } from './storage-error.ts';

/**
 * Replaces a small file atomically (braft ProtoBufFile: a big-endian length, then the message):
 * written beside it, synced, renamed, and the folder synced, so that a crash leaves the old one or
 * the new one. A field of our own behind the message carries its CRC32C.
 *
 * @throws RaftError EIO or ENOSPC; the old file is untouched then.
 */
export async function saveMetaFile(
  fileSystem: FileSystem,
  path: string,
  message: Uint8Array,
): Promise<void> {
  const bytes = new Uint8Array(LENGTH_BYTES + message.length + SEAL_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, message.length + SEAL_BYTES);
  bytes.set(message, LENGTH_BYTES);
  bytes.set(SEAL_TAG, LENGTH_BYTES + message.length);
  view.setUint32(bytes.length - CHECKSUM_BYTES, crc32c(message), true);
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
  if (bytes.length < LENGTH_BYTES || view.getUint32(0) !== bytes.length - LENGTH_BYTES) {
    throw damagedFile(path, 'its length does not match');
  }
  const sealAt = bytes.length - SEAL_BYTES;
  const isSealed =
    sealAt >= LENGTH_BYTES && SEAL_TAG.every((byte, at) => bytes[sealAt + at] === byte);
  // braft's own files carry no checksum.
  if (!isSealed) return bytes.subarray(LENGTH_BYTES);
  const message = bytes.subarray(LENGTH_BYTES, sealAt);
  if (view.getUint32(bytes.length - CHECKSUM_BYTES, true) !== crc32c(message)) {
    throw damagedFile(path, 'its checksum does not match');
  }
  return message;
}

const LENGTH_BYTES = 4;
const CHECKSUM_BYTES = 4;
/** Key of field 1000, fixed32: one that braft does not know and skips. */
const SEAL_TAG = [0xc5, 0x3e];
const SEAL_BYTES = SEAL_TAG.length + CHECKSUM_BYTES;
