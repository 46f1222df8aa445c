import type { LogIndex } from '../core/ids.ts';
import type { FileSystem } from './file-system.ts';
import { openName, Segment } from './segment.ts';

const ZEROS = new Uint8Array(1_048_576);

/**
 * Makes segments ahead of need: zero-filled and synced before they get their name, so that writes
 * into them need no new blocks and no stale bytes can be taken for records. The one kept in reserve
 * is also how a full disk is noticed while there is still room.
 */
export class SegmentFactory {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #bytes: number;
  #spare: Promise<string | undefined> | undefined;
  #diskIsFull = false;
  #counter = 0;

  constructor(fileSystem: FileSystem, directory: string, bytes: number) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#bytes = bytes;
  }

  /** False while no reserve could be made; asking tries again in the background. */
  hasSpace(): boolean {
    if (this.#diskIsFull) this.prepare();
    return !this.#diskIsFull;
  }

  /** Makes the spare segment in the background. */
  prepare(): void {
    this.#spare ??= this.#make().then(
      (path) => {
        this.#diskIsFull = false;
        return path;
      },
      () => {
        // No space, or a disk that fails: the log itself reports the latter when it writes.
        this.#diskIsFull = true;
        this.#spare = undefined;
        return undefined;
      },
    );
  }

  /** An empty segment under its name, durably. @throws the file system's error. */
  async create(first: LogIndex): Promise<Segment> {
    const ready = await this.#spare;
    this.#spare = undefined;
    const source = ready ?? (await this.#make());
    const path = `${this.#directory}/${openName(first)}`;
    await this.#fileSystem.rename(source, path);
    await this.#fileSystem.syncDirectory(this.#directory);
    const file = await this.#fileSystem.open(path, 'write');
    this.prepare();
    return new Segment(first, file, { offsets: [], end: 0 });
  }

  /** Waits for the background work and removes the spare. */
  async close(): Promise<void> {
    const path = await this.#spare;
    this.#spare = undefined;
    if (path !== undefined) await this.#fileSystem.remove(path);
  }

  async #make(): Promise<string> {
    const path = `${this.#directory}/spare_${String(++this.#counter)}.tmp`;
    try {
      await this.#fill(path);
      return path;
    } catch (error) {
      // What was written of it would keep the disk full.
      await this.#fileSystem.remove(path).catch(() => undefined);
      throw error;
    }
  }

  async #fill(path: string): Promise<void> {
    const file = await this.#fileSystem.open(path, 'create');
    try {
      for (let at = 0; at < this.#bytes; at += ZEROS.length) {
        file.writeNow(ZEROS.subarray(0, Math.min(ZEROS.length, this.#bytes - at)), at);
      }
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
