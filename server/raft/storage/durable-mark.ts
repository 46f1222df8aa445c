import { LogIndex } from '../core/ids.ts';
import { crc32c } from '../encoding/crc32c.ts';
import type { FileSystem } from './file-system.ts';
import { replaceFile } from './meta-file.ts';

/**
 * DIR/durable: an entry that was known to be on disk when this file was last written. It lags
 * behind on purpose; what is missing or damaged at or below it cannot be an unsynced tail.
 */
export class DurableMark {
  readonly #fileSystem: FileSystem;
  readonly #path: string;
  #index: LogIndex;

  private constructor(fileSystem: FileSystem, path: string, index: LogIndex) {
    this.#fileSystem = fileSystem;
    this.#path = path;
    this.#index = index;
  }

  /** A missing or damaged mark proves nothing: index 0. */
  static async open(fileSystem: FileSystem, directory: string): Promise<DurableMark> {
    const path = `${directory}/durable`;
    const found = await fileSystem.stat(path);
    const bytes = found === undefined ? undefined : await fileSystem.readFile(path);
    return new DurableMark(fileSystem, path, decode(bytes));
  }

  index(): LogIndex {
    return this.#index;
  }

  async save(index: LogIndex): Promise<void> {
    if (index === this.#index) return;
    const bytes = new Uint8Array(12);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(index));
    view.setUint32(8, crc32c(bytes.subarray(0, 8)));
    await replaceFile(this.#fileSystem, this.#path, bytes);
    this.#index = index;
  }
}

function decode(bytes: Uint8Array | undefined): LogIndex {
  if (bytes?.length !== 12) return LogIndex(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(8) !== crc32c(bytes.subarray(0, 8))) return LogIndex(0);
  return LogIndex(Number(view.getBigUint64(0)));
}
