import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { RUN_FOLDER } from './paths.ts';

const PIDS_FOLDER = join(RUN_FOLDER, 'pids');
export const LOGS_FOLDER = join(RUN_FOLDER, 'logs');

/** Starts a program that outlives this one; what it prints goes to its log. */
export function startDaemon(
  name: string,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): void {
  mkdirSync(PIDS_FOLDER, { recursive: true });
  mkdirSync(LOGS_FOLDER, { recursive: true });
  const log = openSync(join(LOGS_FOLDER, `${name}.log`), 'a');
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, ...env },
  });
  closeSync(log);
  child.unref();
  writeFileSync(join(PIDS_FOLDER, name), String(child.pid ?? ''));
}

/** The process id of a daemon that was started and not killed. */
function daemonPid(name: string): number | undefined {
  const file = join(PIDS_FOLDER, name);
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : undefined;
}

/** Kills every daemon; resolves when none is left. */
export async function killDaemons(): Promise<void> {
  if (!existsSync(PIDS_FOLDER)) return;
  await killAll(readdirSync(PIDS_FOLDER));
}

/** Kills one daemon; resolves when it is gone. */
export async function killDaemon(name: string): Promise<void> {
  await killAll([name]);
}

async function killAll(names: readonly string[]): Promise<void> {
  const pids = names.flatMap((name) => daemonPid(name) ?? []);
  for (const pid of pids) signal(pid, 'SIGKILL');
  while (pids.some((pid) => signal(pid, 0)))
    await new Promise((resolve) => setTimeout(resolve, 20));
  // Its number may soon be another process's.
  for (const name of names) rmSync(join(PIDS_FOLDER, name), { force: true });
}

/** False when there is no such process. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
