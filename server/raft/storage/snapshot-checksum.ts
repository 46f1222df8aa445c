import { checksumText, crc32c } from '../encoding/crc32c.ts';
import type { FileHandle } from './file-system.ts';

/** As much of a file as is in memory at once. */
const CHUNK_BYTES = 262_144;

/** Size and CRC32C of a whole file as the meta of a snapshot lists them; reads it piece by piece. */
export async function snapshotChecksum(
  file: FileHandle,
): Promise<{ readonly size: number; readonly checksum: string }> {
  const size = await file.size();
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, size));
  let checksum = 0;
  for (let at = 0; at < size; at += chunk.length) {
    const count = await file.read(chunk, at);
    checksum = crc32c(chunk.subarray(0, count), checksum);
  }
  return { size, checksum: checksumText(checksum) };
}
