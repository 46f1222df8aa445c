import { statfsSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';

const TMPFS_MAGIC = 0x0102_1994;
const GIBIBYTE = 2 ** 30;

/** The machine in one line, to stand beside every figure. */
export function machineLine(): string {
  const processor = cpus()[0]?.model ?? 'unknown processor';
  const memory = `${String(Math.round(totalmem() / GIBIBYTE))} GiB`;
  return `${String(availableParallelism())} x ${processor}, ${memory}, Linux ${release()}, Node ${process.versions.node}`;
}

/**
 * The folder under which the servers keep their data.
 *
 * @throws Error when it lies in memory: a sync that costs nothing measures nothing.
 */
export function requireRealDisk(): string {
  const folder = tmpdir();
  if (statfsSync(folder).type !== TMPFS_MAGIC) return folder;
  throw new Error(
    `${folder} is a tmpfs, where a sync costs nothing; set TMPDIR to a folder on a real disk`,
  );
}
