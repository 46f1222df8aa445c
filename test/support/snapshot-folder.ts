import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  LogIndex,
  Term,
  type SnapshotReader,
  type SnapshotWriter,
} from '../../server/raft/index.ts';

/** A folder that is written as a snapshot and read as one. */
export class SnapshotFolder implements SnapshotWriter, AsyncDisposable {
  readonly path: string;
  readonly added: string[] = [];

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<SnapshotFolder> {
    return new SnapshotFolder(await mkdtemp(join(tmpdir(), 'atomic-snapshot-')));
  }

  addFile(name: string): void {
    this.added.push(name);
  }

  /** Reads this folder, or another one. */
  async reader(index = 1, path = this.path): Promise<SnapshotReader> {
    const names = (await readdir(path)).filter((name) => !name.startsWith('__'));
    const files = await Promise.all(
      names.map(async (name) => {
        const { size } = await stat(join(path, name));
        return { name, size, checksum: '' };
      }),
    );
    const configuration = { voters: new Set<never>(), learners: new Set<never>() };
    return {
      path,
      files,
      meta: {
        lastIncluded: { index: LogIndex(index), term: Term(1) },
        configurationIndex: LogIndex(1),
        configuration: { configuration, incarnations: new Map(), formatVersion: 1 } as never,
      },
      read: async (name, offset, bytesMax) => {
        const file = await open(join(path, name));
        const { buffer, bytesRead } = await file.read(
          new Uint8Array(bytesMax),
          0,
          bytesMax,
          offset,
        );
        await file.close();
        return buffer.subarray(0, bytesRead);
      },
      close: () => Promise.resolve(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true });
  }
}
