import { afterAll, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Result } from '../bench/results.ts';
import { runProgram } from '../support/cluster-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'atomicraft-bench-'));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

it('measures real servers and writes a flat list of results', async () => {
  const json = join(folder, 'results.json');
  const { code, stdout, stderr } = await runProgram('test/bench/main.ts', [
    ...['--servers=3', '--port=25200', '--rounds=2', '--slot-seconds=1', '--warm-up-seconds=0'],
    ...['--in-flight=8', '--operations=cas,get', `--json=${json}`],
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('| cas       | 8');
  const written = JSON.parse(readFileSync(json, 'utf8')) as { readonly results: Result[] };
  expect(written.results).toMatchObject([
    { system: 'atomicraft', operation: 'cas', inFlight: 8, slots: 2, failures: 0 },
    { system: 'atomicraft', operation: 'get', inFlight: 8, slots: 2, failures: 0 },
  ]);
  for (const { opsPerSecond, p50Us, p99Us, cpuUsPerOp } of written.results) {
    expect(opsPerSecond).toBeGreaterThan(0);
    expect(p99Us).toBeGreaterThanOrEqual(p50Us);
    expect(cpuUsPerOp.client).toBeGreaterThan(0);
    expect(cpuUsPerOp.all).toBeGreaterThan(cpuUsPerOp.client);
  }
});

it('refuses a list that is not one of whole numbers', async () => {
  const { code, stderr } = await runProgram('test/bench/main.ts', ['--in-flight=1,many']);
  expect(code).toBe(1);
  expect(stderr).toContain('expected a whole number from 1 to 100000');
});
