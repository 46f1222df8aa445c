import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

type Starter = {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  /** What it says: that it holds the lock, or why not. */
  readonly says: string;
};

let directory: string;
const starters: Starter[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'atomicraft-lock-'));
});

afterEach(() => {
  for (const { child } of starters.splice(0)) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

async function start(path = directory): Promise<Starter> {
  const args = ['test/support/lock-holder.ts', path];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  const starter = { child, says: said.toString().trim() };
  starters.push(starter);
  return starter;
}

const holders = (all: readonly Starter[]): readonly Starter[] =>
  all.filter(({ says }) => says === 'holds');

async function startAtOnce(count: number): Promise<readonly Starter[]> {
  return Promise.all(Array.from({ length: count }, () => start()));
}

it('one of many that start at once wins; the others name it', async () => {
  const all = await startAtOnce(6);
  const [holder, second] = holders(all);
  expect(second).toBeUndefined();
  const refused = all.filter((one) => one !== holder);
  expect(refused).toHaveLength(5);
  for (const { says } of refused) {
    expect(says).toContain(`the data directory ${directory} is in use by`);
    expect(says).toContain('stop that server or use another directory');
  }
});

it('a holder that was killed leaves it to exactly one of those that come next', async () => {
  const first = await start();
  const ended = once(first.child, 'exit');
  first.child.kill('SIGKILL');
  await ended;
  expect(holders(await startAtOnce(6))).toHaveLength(1);
});

it('is free again once its holder has let go', async () => {
  const first = await start();
  const ended = once(first.child, 'exit');
  first.child.stdin.end();
  await ended;
  expect((await start()).says).toBe('holds');
});

it('cannot be taken where there is no directory', async () => {
  rmSync(directory, { recursive: true });
  expect((await start()).says).toContain(`cannot lock the data directory ${directory}`);
});

it('a lock file of an earlier layout, left behind, locks nobody out', async () => {
  writeFileSync(join(directory, 'lock'), '4711 1234567\n');
  expect(holders(await startAtOnce(6))).toHaveLength(1);
});

it('says why a directory cannot be written', async () => {
  const { says } = await start('/proc');
  expect(says).toMatch(/^cannot lock the data directory \/proc: /);
});
