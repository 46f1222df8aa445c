import { readFileSync, rmSync, writeFileSync } from 'node:fs';

/** Whether a process can be signalled. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/**
 * The process a pid file names, if it still runs. A number that was given to another program
 * meanwhile does not count: its command line must contain `program` (checked where /proc exists).
 */
export function runningProcess(path: string, program: string): number | undefined {
  const pid = Number(readIfPresent(path)?.trim());
  if (!Number.isSafeInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined;
  const commandLine = readIfPresent(`/proc/${String(pid)}/cmdline`);
  return commandLine === undefined || commandLine.includes(program) ? pid : undefined;
}

/**
 * Takes a pid file for this process; a file left by a process that is gone is replaced.
 *
 * @returns the process that holds it, or undefined when this one holds it now.
 */
export function takePidFile(path: string, program: string): number | undefined {
  const holder = runningProcess(path, program);
  if (holder !== undefined && holder !== process.pid) return holder;
  rmSync(path, { force: true });
  try {
    writeFileSync(path, `${String(process.pid)}\n`, { flag: 'wx' });
  } catch (error) {
    // Another start was faster between the two lines above.
    if (errorCode(error) === 'EEXIST') return runningProcess(path, program) ?? 0;
    throw error;
  }
  return undefined;
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
