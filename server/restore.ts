import { createHash, randomUUID } from 'node:crypto';
import { copyFile, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ServerGroup, ServerOptions } from './flags.ts';
import {
  crc32c,
  Lineage,
  LogIndex,
  peersText,
  RaftError,
  Term,
  type Logger,
} from './raft/index.ts';
import { initialRecord } from './raft/core/configuration.ts';
import { lockDirectory } from './raft/storage/directory-lock.ts';
import { openIdentity } from './raft/storage/identity-file.ts';
import { nodeFileSystem } from './raft/storage/node-file-system.ts';
import { SnapshotDirectory } from './raft/storage/snapshot-directory.ts';

/** The order that `atomic admin restore` leaves in a data directory, and the files it names. */
const ORDER_FILE = 'restore.json';
const FILES_FOLDER = 'restore';
const LOCK_FILES = ['lock', 'lock.pid'];

const orderSchema = z.object({
  format: z.literal(1),
  group: z.string(),
  lastIncludedIndex: z.int().positive(),
  lastIncludedTerm: z.int().positive(),
  files: z
    .array(
      z.object({
        name: z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}$/),
        size: z.int().nonnegative(),
        crc32c: z.string(),
      }),
    )
    .min(1),
});

type Order = z.output<typeof orderSchema>;

/**
 * Carries out a restore that was ordered for this directory: the backup becomes the first snapshot
 * of a new history, whose voters are those of --conf. All members restored from one backup with one
 * --conf agree on the history; the group that the backup was taken from is refused.
 *
 * The order is removed last, so that a crash in between starts over.
 *
 * @throws RaftError EINVAL when the order does not fit the flags; EIO when a file is damaged.
 */
export async function restoreIfOrdered(
  group: ServerGroup,
  options: ServerOptions,
  logger: Logger,
): Promise<void> {
  const order = await readOrder(group.dataPath);
  if (order === undefined) return;
  checkFits(order, group, options);
  const unlock = await lockDirectory(group.dataPath);
  try {
    for (const file of order.files) await checkFile(group.dataPath, file);
    await removeHalfDone(group.dataPath);
    await writeHistory(order, group, options);
    await rename(
      join(group.dataPath, ORDER_FILE),
      join(group.dataPath, `${FILES_FOLDER}/done.json`),
    );
    await nodeFileSystem.syncDirectory(group.dataPath);
    await rm(join(group.dataPath, FILES_FOLDER), { recursive: true });
  } finally {
    await unlock();
  }
  const { lastIncludedIndex: index, lastIncludedTerm: term } = order;
  logger.info('restored from a backup as a new history', { group: group.name, index, term });
}

async function readOrder(dataPath: string): Promise<Order | undefined> {
  const path = join(dataPath, ORDER_FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new RaftError('EIO', `${path}: cannot be read (${String(code)})`, { cause: error });
  }
  try {
    return orderSchema.parse(JSON.parse(text));
  } catch (cause) {
    const advice = 'prepare an empty directory again with: atomic admin restore';
    throw new RaftError('EIO', `${path}: not a valid restore order; ${advice}`, { cause });
  }
}

function checkFits(order: Order, group: ServerGroup, options: ServerOptions): void {
  const { dataPath, name } = group;
  if (order.group !== name) {
    const text = `${dataPath} was prepared to restore group ${order.group}, not ${name}`;
    throw new RaftError('EINVAL', `${text}; correct --group`);
  }
  if (!options.conf.has(options.peer)) {
    const text = `${dataPath} is to be restored, and --conf does not name this server`;
    throw new RaftError('EINVAL', `${text} (${options.peer}); give --conf with the new voters`);
  }
}

async function checkFile(dataPath: string, file: Order['files'][number]): Promise<void> {
  const path = join(dataPath, FILES_FOLDER, file.name);
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new RaftError('EIO', `${path}: cannot be read; restore again from the backup`, { cause });
  });
  const checksum = crc32c(bytes).toString(16).padStart(8, '0');
  if (bytes.length === file.size && checksum === file.crc32c) return;
  throw new RaftError('EIO', `${path}: size or checksum differ; restore again from the backup`);
}

/** While the order stands no server has run here: whatever else there is, is half a restore. */
async function removeHalfDone(dataPath: string): Promise<void> {
  const kept = new Set([ORDER_FILE, FILES_FOLDER, ...LOCK_FILES]);
  for (const name of await readdir(dataPath)) {
    if (!kept.has(name)) await rm(join(dataPath, name), { recursive: true });
  }
}

async function writeHistory(
  order: Order,
  group: ServerGroup,
  options: ServerOptions,
): Promise<void> {
  const { dataPath, name } = group;
  const identity = await openIdentity(nodeFileSystem, dataPath, {
    group: name,
    peer: options.peer,
    clusterId: options.clusterId,
    drawIncarnation: randomUUID,
    hasData: true,
  });
  await identity.update({ lineage: lineageOf(order, options), joined: true });
  const snapshots = await SnapshotDirectory.open(nodeFileSystem, join(dataPath, 'snapshot'));
  const meta = {
    lastIncluded: { index: LogIndex(order.lastIncludedIndex), term: Term(order.lastIncludedTerm) },
    configuration: initialRecord(options.conf),
    configurationIndex: LogIndex(0),
  };
  await snapshots.save(meta, async (writer) => {
    for (const file of order.files) {
      await copyFile(join(dataPath, FILES_FOLDER, file.name), join(writer.path, file.name));
      writer.addFile(file.name);
    }
  });
}

function lineageOf(order: Order, options: ServerOptions): Lineage {
  const content = order.files.map((file) => `${file.name} ${file.crc32c}`).join('\n');
  const position = `${String(order.lastIncludedIndex)} ${String(order.lastIncludedTerm)}`;
  const text = `restore\n${order.group}\n${position}\n${content}\n${peersText(options.conf)}`;
  return Lineage(createHash('sha256').update(text).digest('hex').slice(0, 32));
}
