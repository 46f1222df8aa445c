import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from './paths.mjs';

const LOCK = join(root, '.cache', 'install.lock');
const POLL_MS = 200;

/** Runs `work` while holding the installation lock, so that two first runs do not collide. */
export async function withLock(work) {
  mkdirSync(dirname(LOCK), { recursive: true });
  let announced = false;
  while (!tryTake()) {
    const owner = readOwner();
    if (owner !== undefined && !isAlive(owner)) {
      discard(owner);
      continue;
    }
    if (!announced) console.error(`Waiting for another installation (process ${owner ?? '?'}) ...`);
    announced = true;
    await sleep(POLL_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(LOCK, { force: true });
  }
}

function tryTake() {
  try {
    writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

/** The holder's process id, or undefined while the file is being written or already gone. */
function readOwner() {
  try {
    const pid = Number(readFileSync(LOCK, 'utf8'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Removes the lock of a dead process. Renaming first lets only one of several waiters do it. */
function discard(owner) {
  if (readOwner() !== owner) return;
  const aside = `${LOCK}.${process.pid}`;
  try {
    renameSync(LOCK, aside);
    rmSync(aside, { force: true });
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}
