import { open, readFile, rm } from 'node:fs/promises';
import { RaftError } from '../error.ts';

/**
 * Keeps a second server out of a data directory: a file with the holder's process id and start
 * time, created exclusively. A holder that was killed leaves it behind; a start time that is not
 * that of a living process shows that nobody holds it.
 *
 * @returns what releases the lock.
 * @throws RaftError EBUSY naming the holder.
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  const path = `${directory}/lock`;
  for (let attempt = 0; attempt < 3; attempt++) {
    if (await create(path)) return () => rm(path, { force: true });
    const holder = await readFile(path, 'utf8').catch(() => '');
    const [pid = '', startTime = ''] = holder.trim().split(' ');
    if (pid !== '' && (await startTimeOf(pid)) === startTime) {
      const text = `the data directory ${directory} is in use by process ${pid}`;
      throw new RaftError('EBUSY', `${text}; stop that server or use another directory`);
    }
    await rm(path, { force: true });
  }
  throw new RaftError('EBUSY', `cannot lock the data directory ${directory}; try again`);
}

async function create(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    const pid = String(process.pid);
    await file.writeFile(`${pid} ${(await startTimeOf(pid)) ?? ''}\n`);
    await file.close();
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** When a process started, in the kernel's ticks; undefined when there is no such process. */
async function startTimeOf(pid: string): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may contain spaces; the start time is the 20th field after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    // No such process, or no /proc on this system: without it a lock left behind is taken over.
    return undefined;
  }
}
