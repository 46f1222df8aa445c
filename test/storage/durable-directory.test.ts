import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeDurableDirectory } from '../../server/raft/storage/durable-directory.ts';
import { nodeFileSystem } from '../../server/raft/storage/node-file-system.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atomicraft-directory-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('a folder that is to survive a crash', () => {
  it('is made with its parents, or found', async () => {
    const path = join(folder, 'a/b/c');
    await makeDurableDirectory(nodeFileSystem, path);
    await makeDurableDirectory(nodeFileSystem, path);
    expect(statSync(path).isDirectory()).toBe(true);
  });

  it('is refused, not waited for, where none can be made', async () => {
    await expect(makeDurableDirectory(nodeFileSystem, '/proc/x/y')).rejects.toThrow(/ENOENT/);
  });

  it('is refused where a pipe stands', async () => {
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    await expect(makeDurableDirectory(nodeFileSystem, path)).rejects.toThrow(
      `${path} is not a folder`,
    );
  });
});
