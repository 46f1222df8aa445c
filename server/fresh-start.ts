import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ServerGroup } from './flags.ts';
import { RaftError, type Incarnation, type Logger } from './raft/index.ts';
import { lockDirectory } from './raft/storage/directory-lock.ts';
import { replaceFile } from './raft/storage/meta-file.ts';
import { nodeFileSystem } from './raft/storage/node-file-system.ts';

/** The order to begin anew that a removed server leaves for its next start. */
const ORDER_FILE = 'fresh-start.json';
const QUARANTINE_FOLDER = 'quarantine';
const QUARANTINES_MAX = 2;
const IDENTITY_FILE = 'identity.json';
/** All that makes a disk a member, beside its identity. */
const DATA = ['raft_meta', 'log', 'snapshot'];

const incarnationSchema = z.string().regex(/^[A-Za-z0-9_-]{1,100}$/);
const orderSchema = z.object({ format: z.literal(1), oldIncarnation: incarnationSchema });
const identitySchema = z.object({ incarnation: z.string() });

/** Leaves the order, durably: the next start carries it out. @throws RaftError EIO or ENOSPC. */
export async function orderFreshStart(dataPath: string, old: Incarnation): Promise<void> {
  const order = { format: 1, oldIncarnation: incarnationSchema.parse(old) };
  const bytes = new TextEncoder().encode(`${JSON.stringify(order)}\n`);
  await replaceFile(nodeFileSystem, join(dataPath, ORDER_FILE), bytes);
}

/**
 * Carries out the order to begin anew: what the disk holds moves to quarantine/INCARNATION, and the
 * directory is empty.
 *
 * The identity moves first: without it the rest is nobody's, and no crash can leave a member with
 * half its log. The order is removed last, so that a crash in between goes on from there.
 *
 * @throws RaftError EIO when the order cannot be read or a file cannot be moved; EBUSY.
 */
export async function quarantineIfOrdered(
  { name, dataPath }: ServerGroup,
  logger: Logger,
): Promise<void> {
  const old = await orderedIncarnation(dataPath);
  if (old === undefined) return;
  const unlock = await lockDirectory(dataPath);
  try {
    const incarnation = await incarnationOf(dataPath);
    if (incarnation === undefined || incarnation === old) {
      await quarantine(dataPath, old);
      const folder = join(dataPath, QUARANTINE_FOLDER, old);
      logger.info('the former data was set aside; the disk starts empty', { group: name, folder });
    }
    await rm(join(dataPath, ORDER_FILE));
    await nodeFileSystem.syncDirectory(dataPath);
  } catch (cause) {
    if (cause instanceof RaftError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const advice = 'mend that and start again, which goes on from there';
    throw new RaftError('EIO', `cannot set aside ${dataPath}: ${reason}; ${advice}`, { cause });
  } finally {
    await unlock();
  }
}

async function orderedIncarnation(dataPath: string): Promise<string | undefined> {
  const path = join(dataPath, ORDER_FILE);
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return orderSchema.parse(JSON.parse(text)).oldIncarnation;
  } catch (cause) {
    const advice = 'remove it to start with the data that is there';
    throw new RaftError('EIO', `${path}: not a valid order; ${advice}`, { cause });
  }
}

/** Of the disk as it stands; undefined when it has no identity (any more). */
async function incarnationOf(dataPath: string): Promise<string | undefined> {
  const path = join(dataPath, IDENTITY_FILE);
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return identitySchema.parse(JSON.parse(text)).incarnation;
  } catch (cause) {
    throw new RaftError('EIO', `${path}: damaged; restore this directory from a copy`, { cause });
  }
}

async function quarantine(dataPath: string, incarnation: string): Promise<void> {
  const all = join(dataPath, QUARANTINE_FOLDER);
  const folder = join(all, incarnation);
  await mkdir(folder, { recursive: true });
  await nodeFileSystem.syncDirectory(dataPath);
  await nodeFileSystem.syncDirectory(all);
  await move([IDENTITY_FILE], dataPath, folder);
  await move(DATA, dataPath, folder);
  await removeOldest(all, incarnation);
}

/** Moves what is there; durable when it returns. */
async function move(names: readonly string[], from: string, to: string): Promise<void> {
  for (const name of names) {
    const source = join(from, name);
    if ((await nodeFileSystem.stat(source)) !== undefined) await rename(source, join(to, name));
  }
  await nodeFileSystem.syncDirectory(to);
  await nodeFileSystem.syncDirectory(from);
}

async function removeOldest(all: string, newest: string): Promise<void> {
  const others = (await readdir(all)).filter((name) => name !== newest);
  const aged = await Promise.all(
    others.map(async (name) => ({ name, since: (await stat(join(all, name))).mtimeMs })),
  );
  const oldestLast = aged.sort((a, b) => b.since - a.since);
  for (const { name } of oldestLast.slice(QUARANTINES_MAX - 1)) {
    await rm(join(all, name), { recursive: true });
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    if ((await nodeFileSystem.stat(path)) === undefined) return undefined;
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new RaftError('EIO', `${path}: cannot be read`, { cause });
  }
}
