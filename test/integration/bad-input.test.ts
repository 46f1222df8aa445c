import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClusterProcess, runProgram } from '../support/cluster-process.ts';

let folder: string;
let running: ClusterProcess;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'atomicraft-bad-'));
  running = new ClusterProcess({ size: 1, firstPort: 24_300 });
  await running.start();
});

afterAll(async () => {
  await running.stop();
  rmSync(folder, { recursive: true, force: true });
});

const server = (...flags: readonly string[]) => runProgram('server/main.ts', flags);
const firstLine = (text: string): string => text.trim().split('\n')[0] ?? '';

describe('a server that cannot start says why in one sentence and exits', () => {
  it.each([
    ['an unknown flag', ['--portt=1'], 64, /portt/],
    ['a port that is no number', ['--port=abc'], 64, /port/],
    ['a malformed peer id', ['--peer=nonsense'], 64, /peer/],
    ['a malformed conf', ['--conf=127.0.0.1:8100:0:7'], 64, /role must be 0/],
    ['a peer listed twice', ['--conf=a:1,a:1:0'], 64, /listed twice/],
    ['a new group without voters', ['--initial_state=new'], 64, /--conf/],
    ['a witness', ['--peer=127.0.0.1:8100:0:1'], 64, /witness/],
  ])('%s', async (_, flags, code, message) => {
    const result = await server(...flags);
    expect(result.code).toBe(code);
    expect(firstLine(result.stderr)).toMatch(message);
  });

  it('a port in use', async () => {
    const port = running.server(0).port;
    const data = join(folder, 'port');
    const result = await server(`--port=${String(port)}`, `--data_path=${data}`, '--http_port=0');
    expect(result.code).toBe(69);
    expect(firstLine(result.stderr)).toMatch(/cannot listen at .*in use/);
  });

  it('a data directory that a live server uses', async () => {
    const { dataPath, port } = running.server(0);
    const result = await server(
      `--data_path=${dataPath}`,
      `--peer=127.0.0.1:${String(port)}`,
      '--port=24350',
    );
    expect(result.code).toBe(78);
    expect(firstLine(result.stderr)).toMatch(/is in use by process \d+/);
  });

  it('a data directory of another group or peer, which stays as it was', async () => {
    const own = new ClusterProcess({ size: 1, firstPort: 24_310 });
    await own.start();
    const { dataPath, port } = own.server(0);
    await own.kill(own.server(0), 'SIGTERM');
    const peer = `--peer=127.0.0.1:${String(port)}`;
    const group = await server(`--data_path=${dataPath}`, peer, '--group=Other', '--port=24351');
    expect(group.code).toBe(78);
    expect(firstLine(group.stderr)).toMatch(/belongs to group Atomic, not Other/);
    const other = await server(`--data_path=${dataPath}`, '--port=24352');
    expect(other.code).toBe(78);
    expect(firstLine(other.stderr)).toMatch(/belongs to peer/);
    own.restart(own.server(0));
    await own.serving(own.server(0));
    await own.stop();
  });

  it('a data path that is a file', async () => {
    const path = join(folder, 'file');
    writeFileSync(path, '');
    const result = await server(`--data_path=${path}`, '--port=24353');
    expect(result.code).toBe(74);
    expect(firstLine(result.stderr)).toContain(path);
  });
});
