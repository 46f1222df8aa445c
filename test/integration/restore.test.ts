import { afterEach, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connect } from '../../client/index.ts';
import { ClusterProcess, runProgram } from '../support/cluster-process.ts';

const run = promisify(execFile);
const clusters: ClusterProcess[] = [];
const folders: string[] = [];

afterEach(async () => {
  await Promise.all(clusters.splice(0).map((cluster) => cluster.stop()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'atomicraft-restore-'));
  folders.push(folder);
  return folder;
}

/** A backup of a group of one that holds the counters 1 to 50, each with its number. */
async function backup(): Promise<string> {
  const cluster = new ClusterProcess({ size: 1, firstPort: 25_000 });
  clusters.push(cluster);
  await cluster.start();
  await using client = connect({ servers: cluster.conf, timeoutMs: 10_000 });
  const ids = Array.from({ length: 50 }, (_, position) => BigInt(position + 1));
  await Promise.all(ids.map((id) => client.exchange(id, id)));
  const to = join(newFolder(), 'backup');
  const saved = await cluster.atomic('admin', 'backup', `--conf=${cluster.conf}`, `--to=${to}`);
  expect(saved).toMatchObject({ code: 0 });
  return to;
}

describe('a backup', () => {
  it('is restored as a new group of three, with all values', async () => {
    const from = await backup();
    const restored = new ClusterProcess({ size: 3, firstPort: 25_010 });
    clusters.push(restored);
    for (const number of [0, 1, 2]) {
      const dataPath = join(restored.folder, String(number));
      const args = ['admin', 'restore', `--from=${from}`, `--data-path=${dataPath}`];
      expect(await restored.atomic(...args)).toMatchObject({ code: 0 });
    }
    await restored.start();
    await using client = connect({ servers: restored.conf, timeoutMs: 10_000 });
    expect(await client.get(50n)).toBe(50n);
    expect(await client.exchange(50n, 51n)).toBe(50n);
    expect(readdirSync(restored.server(0).dataPath)).not.toContain('restore.json');
  });

  it('that was damaged after it was laid out is refused and nothing is written', async () => {
    const from = await backup();
    const dataPath = join(newFolder(), 'data');
    const laidOut = await runProgram('client/main.ts', [
      ...['admin', 'restore', `--from=${from}`, `--data-path=${dataPath}`],
    ]);
    expect(laidOut.code).toBe(0);
    const file = join(dataPath, 'restore', 'counters.bin');
    const bytes = readFileSync(file);
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const flags = ['--port=25050', '--conf=127.0.0.1:25050', `--data_path=${dataPath}`];
    const started = await runProgram('server/main.ts', flags);
    expect(started.code).toBe(74);
    expect(started.stderr).toContain('size or checksum differ');
    expect(readdirSync(dataPath).sort()).toEqual(['lock', 'restore', 'restore.json']);
  });
});

describe('scripts/jepsen-control', () => {
  it('boots a group, lets a wiped node leave and join again, and restarts', async () => {
    const runtime = newFolder();
    const nodes = [1, 2, 3].map((number) => `127.0.0.1:${String(25_060 + number)}`);
    const conf = nodes.join(',');
    const control = (node: number, verb: string) =>
      run('scripts/jepsen-control', [verb], {
        env: {
          ...process.env,
          ATOMIC_NODES: nodes.join(' '),
          ATOMIC_SELF: nodes[node - 1],
          ATOMIC_RUNTIME: join(runtime, String(node)),
          ATOMIC_SERVER_FLAGS: '--election_timeout_ms=500',
        },
      });
    try {
      await Promise.all([1, 2, 3].map((node) => control(node, 'boot')));
      await using client = connect({ servers: conf, timeoutMs: 20_000 });
      await client.exchange(1n, 7n);
      for (const verb of ['leave', 'start', 'join']) await control(2, verb);
      await control(3, 'stop');
      expect(await client.get(1n)).toBe(7n);
      await control(3, 'restart');
      await control(1, 'stop');
      expect(await client.get(1n, { timeoutMs: 20_000 })).toBe(7n);
      await expect(control(1, 'nonsense')).rejects.toMatchObject({ code: 64 });
    } finally {
      await Promise.all([1, 2, 3].map((node) => control(node, 'stop')));
    }
  });
});
