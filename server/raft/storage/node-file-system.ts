import { fdatasync, fstat, ftruncate, readSync, writeSync } from 'node:fs';
import { read as readCallback } from 'node:fs';
import * as fs from 'node:fs/promises';
import { promisify } from 'node:util';
import type { FileHandle, FileSystem } from './file-system.ts';

const readAt = promisify(readCallback);
const syncData = promisify(fdatasync);
const statOf = promisify(fstat);
const truncateTo = promisify(ftruncate);

/** The disks of this machine. */
export const nodeFileSystem: FileSystem = {
  async open(path, mode) {
    const flags = { read: 'r', write: 'r+', create: 'w+' }[mode];
    const handle = await fs.open(path, flags, 0o644);
    return new NodeFile(handle);
  },
  async makeDirectory(path) {
    // Not `recursive`: where nothing can be made, as in /proc, that one tries for ever.
    await fs.mkdir(path).catch((error: unknown) => {
      if (!hasCode(error, 'EEXIST')) throw error;
    });
  },
  async list(path) {
    return (await fs.readdir(path)).sort();
  },
  async stat(path) {
    try {
      const found = await fs.stat(path);
      return { size: found.size, directory: found.isDirectory() };
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  },
  readFile: (path) => fs.readFile(path),
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.rm(path, { recursive: true, force: true }),
  async syncDirectory(path) {
    const handle = await fs.open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async freeBytes(path) {
    const { bavail, bsize } = await fs.statfs(path);
    return bavail * bsize;
  },
};

/** A file by its descriptor: reads and writes of the page cache at once, syncs in the background. */
class NodeFile implements FileHandle {
  readonly #handle: fs.FileHandle;

  constructor(handle: fs.FileHandle) {
    this.#handle = handle;
  }

  async size(): Promise<number> {
    return (await statOf(this.#handle.fd)).size;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < target.length) {
      const rest = target.length - done;
      const { bytesRead } = await readAt(this.#handle.fd, target, done, rest, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  readNow(target: Uint8Array, position: number): number {
    let done = 0;
    while (done < target.length) {
      const count = readSync(this.#handle.fd, target, done, target.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  writeNow(bytes: Uint8Array, position: number): void {
    let done = 0;
    while (done < bytes.length) {
      done += writeSync(this.#handle.fd, bytes, done, bytes.length - done, position + done);
    }
  }

  sync(): Promise<void> {
    return syncData(this.#handle.fd);
  }

  truncate(size: number): Promise<void> {
    return truncateTo(this.#handle.fd, size);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function hasCode(error: unknown, code: string): boolean {
  // Not `instanceof Error`: the file system's errors may come from another realm (tests).
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
