import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { runProgram } from '../support/cluster-process.ts';

const HANG_GUARD_MS = 40_000;
const POLL_MS = 20;
const PORT = 24_700;

let runtime: string;
let start: ChildProcess | undefined;
let printed = '';

beforeEach(() => {
  runtime = mkdtempSync(join(tmpdir(), 'atomicraft-start-'));
  printed = '';
});

afterEach(async () => {
  if (start?.exitCode === null) start.kill('SIGKILL');
  await runProgram('scripts/stop.ts', [`--runtime_dir=${runtime}`, '--force']);
  rmSync(runtime, { recursive: true, force: true });
});

const flags = (): string[] => [`--runtime_dir=${runtime}`, `--port=${String(PORT)}`];

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + HANG_GUARD_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`never happened: ${what}\n${printed}`);
    await pause(POLL_MS);
  }
}

async function startAndCount(...more: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['scripts/start.ts', ...flags(), ...more]);
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  start = child;
  await until('the client counts', () => /qps=[1-9]/.test(printed));
  return child;
}

const pidOf = (number: number): number =>
  Number(readFileSync(join(runtime, String(number), 'server.pid'), 'utf8'));

function isAlive(pid: number): boolean {
  // A process that is gone answers the null signal with an error.
  return (
    existsSync(`/proc/${String(pid)}/cmdline`) &&
    readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8') !== ''
  );
}

describe('npm start', () => {
  it('counts, says where the pages are, refuses a second start, and leaves nothing behind', async () => {
    const child = await startAndCount();
    expect(printed).toContain(`status page http://127.0.0.1:${String(PORT + 100)}/`);
    for (const name of ['log', 'raft_meta', 'snapshot']) {
      expect(existsSync(join(runtime, '0', 'data', name))).toBe(true);
    }
    const second = await runProgram('scripts/start.ts', flags());
    expect(second).toMatchObject({ code: 1 });
    expect(second.stderr).toContain('already running here');
    const pids = [0, 1, 2].map(pidOf);
    expect(pids.every(isAlive)).toBe(true);
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(pids.some(isAlive)).toBe(false);
  });

  it('reports a server that dies, and the printed command brings it back', async () => {
    await startAndCount();
    process.kill(pidOf(1), 'SIGKILL');
    await until('it is reported, with the command that starts it again', () =>
      printed.includes('npm run -s atomic-server -- --config='),
    );
    expect(printed).toContain('server 1 (127.0.0.1:24701:0) was killed');
    const config = join(runtime, '1', 'server.yaml');
    const again = spawn(process.execPath, ['server/main.ts', `--config=${config}`]);
    await until('it serves again', async () => {
      const url = `http://127.0.0.1:${String(PORT + 101)}/readyz`;
      return fetch(url).then(
        (response) => response.ok,
        () => false,
      );
    });
    const ended = once(again, 'exit');
    const stopped = await runProgram('scripts/stop.ts', [`--runtime_dir=${runtime}`]);
    expect(stopped.code).toBe(0);
    await ended;
    expect(again.exitCode).toBe(0);
  });

  it('is survived by no server when it is killed', async () => {
    const child = await startAndCount('--exactly_once');
    const pids = [0, 1, 2].map(pidOf);
    child.kill('SIGKILL');
    await until('the servers are gone', () => !pids.some(isAlive));
  });
});

describe('npm run stop', () => {
  it('with --force leaves neither servers nor client behind', async () => {
    const { pid } = await startAndCount();
    const path = `/proc/${String(pid)}/task/${String(pid)}/children`;
    const children = readFileSync(path, 'utf8').trim().split(' ').map(Number);
    expect(children).toHaveLength(4);
    const flag = `--runtime_dir=${runtime}`;
    expect(await runProgram('scripts/stop.ts', [flag, '--force'])).toMatchObject({ code: 0 });
    await until('all are gone', () => !children.some(isAlive));
  });

  it('is content when nothing runs', async () => {
    const stopped = await runProgram('scripts/stop.ts', [`--runtime_dir=${runtime}`]);
    expect(stopped).toMatchObject({ code: 0, stdout: 'Nothing is running.\n' });
  });
});

describe('the counting client', () => {
  it('ends in order when nobody reads its output any more', async () => {
    const args = ['client/main.ts', 'count', '--conf=127.0.0.1:1', '--json'];
    const client = spawn(process.execPath, args);
    let complaints = '';
    client.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
    const ended = once(client, 'close');
    await once(client.stdout, 'data');
    client.stdout.destroy();
    expect(await ended).toEqual([0, null]);
    expect(complaints.replaceAll(/^Fail to count .*\n/gm, '')).toBe('');
  });
});
