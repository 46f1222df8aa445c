import { access, constants, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import type { DatabaseSync } from 'node:sqlite';
import { RaftError } from '../error.ts';
import { storageError } from './storage-error.ts';

/** Result codes of the database engine. */
const BUSY = 5;
const NOT_A_DATABASE = 26;

/**
 * Keeps a second server out of a data directory. The lock is the kernel's: an exclusive lock on the
 * file `lock`, taken through the database engine that comes with Node, which has no other way to
 * one. It ends with the process, however that ends. The process id stands in `lock.pid` for people.
 *
 * @returns what releases the lock.
 * @throws RaftError EBUSY naming the holder; EIO.
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  const path = `${directory}/lock`;
  const pidPath = `${directory}/lock.pid`;
  let lock: DatabaseSync;
  try {
    lock = await take(path);
  } catch (error) {
    if (resultOf(error) === BUSY) throw await inUse(directory, pidPath);
    // The engine names no reason; the system does when the folder cannot be written.
    const reason: unknown = await access(directory, constants.W_OK).then(
      () => error,
      (cause: unknown) => cause,
    );
    throw storageError(`cannot lock the data directory ${directory}`, reason);
  }
  // Without its text a refusal names no process, on a full disk for one; the lock stands.
  await writeFile(pidPath, `${String(process.pid)}\n`).catch(() => undefined);
  return async () => {
    await rm(pidPath, { force: true });
    lock.close();
  };
}

/** The file under an exclusive lock. @throws the engine's error. */
async function take(path: string): Promise<DatabaseSync> {
  try {
    return await openExclusively(path);
  } catch (error) {
    if (resultOf(error) !== NOT_A_DATABASE) throw error;
    // An earlier layout kept text here, which holds nothing: the file itself stays the same one.
    await truncate(path);
    return openExclusively(path);
  }
}

async function openExclusively(path: string): Promise<DatabaseSync> {
  // Not at the top: a Node too old for this program is to say so itself, and has no such module.
  const { DatabaseSync } = await import('node:sqlite');
  const lock = new DatabaseSync(path);
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
}

async function inUse(directory: string, pidPath: string): Promise<RaftError> {
  const pid = (await readFile(pidPath, 'utf8').catch(() => '')).trim();
  const holder = pid === '' ? 'another process' : `process ${pid}`;
  const text = `the data directory ${directory} is in use by ${holder}`;
  return new RaftError('EBUSY', `${text}; stop that server or use another directory`);
}

function resultOf(error: unknown): number | undefined {
  const coded = error instanceof Error && 'errcode' in error;
  return coded && typeof error.errcode === 'number' ? error.errcode : undefined;
}
