import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checksumText, crc32c } from '../server/raft/encoding/crc32c.ts';

/** One file of a backup. */
export type BackupFile = {
  readonly name: string;
  readonly size: number;
  /** Lower-case hex. */
  readonly crc32c: string;
};

/** What stands in `manifest.json` beside the files of a backup. */
export type BackupManifest = {
  readonly format: 1;
  readonly group: string;
  /** The last log entry whose effect the backup holds. */
  readonly lastIncludedIndex: number;
  readonly lastIncludedTerm: number;
  readonly files: readonly BackupFile[];
};

export const MANIFEST_FILE = 'manifest.json';

/** A folder that is no backup, or a damaged one. */
export class BackupError extends Error {
  override readonly name = 'BackupError';
}

/**
 * Reads the manifest of a backup folder and checks every file against it.
 *
 * @throws BackupError naming what is missing or damaged.
 */
export async function readBackup(folder: string): Promise<BackupManifest> {
  const manifest = await readManifest(join(folder, MANIFEST_FILE));
  for (const file of manifest.files) await checkFile(folder, file);
  return manifest;
}

/** Whether a name from elsewhere is a plain file name, which cannot lead out of a folder. */
export function isPlainName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}$/.test(name) && name !== MANIFEST_FILE;
}

async function readManifest(path: string): Promise<BackupManifest> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new BackupError(`${path}: cannot be read as a backup's manifest`, { cause });
  }
  if (isManifest(value)) return value;
  throw new BackupError(`${path}: not a manifest of format 1; was it written by a newer version?`);
}

function isManifest(value: unknown): value is BackupManifest {
  if (typeof value !== 'object' || value === null) return false;
  const fields: Readonly<Record<string, unknown>> = { ...value };
  return (
    fields['format'] === 1 &&
    typeof fields['group'] === 'string' &&
    Number.isSafeInteger(fields['lastIncludedIndex']) &&
    Number.isSafeInteger(fields['lastIncludedTerm']) &&
    Array.isArray(fields['files']) &&
    fields['files'].length > 0 &&
    fields['files'].every(isFile)
  );
}

function isFile(value: unknown): value is BackupFile {
  if (typeof value !== 'object' || value === null) return false;
  const { name, size, crc32c }: Readonly<Record<string, unknown>> = { ...value };
  return (
    typeof name === 'string' &&
    isPlainName(name) &&
    Number.isSafeInteger(size) &&
    typeof crc32c === 'string'
  );
}

async function checkFile(folder: string, file: BackupFile): Promise<void> {
  const path = join(folder, file.name);
  const size = await sizeOf(path);
  if (size !== file.size) {
    throw new BackupError(`${path}: ${size} bytes instead of ${file.size}; the backup is damaged`);
  }
  let checksum = 0;
  for await (const chunk of createReadStream(path)) {
    if (chunk instanceof Uint8Array) checksum = crc32c(chunk, checksum);
  }
  if (checksumText(checksum) === file.crc32c) return;
  throw new BackupError(`${path}: the checksum does not match; the backup is damaged`);
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    throw new BackupError(`${path}: missing; the backup is damaged`, { cause });
  }
}
