import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { BackupResponse } from '../../../proto/gen/atomic/v1/atomic.ts';
import { checksumText, crc32c } from '../../../server/raft/encoding/crc32c.ts';
import { FakeAtomicServer } from '../../support/fake-atomic-server.ts';

const MAIN = join(import.meta.dirname, '../../../client/main.ts');
const PORT = 23_500;
const CONF = `--conf=127.0.0.1:${PORT}`;
/** Nothing listens there. */
const NOBODY = '--conf=127.0.0.1:23990';

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

let server: FakeAtomicServer;
let folder: string;

beforeAll(async () => {
  server = await FakeAtomicServer.start({ port: PORT });
  folder = await mkdtemp(join(tmpdir(), 'client-command-line-'));
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

beforeEach(() => {
  server.script = () => ({ type: 'apply' });
});

afterEach(() => {
  server.state.values.clear();
  server.adminReplies.clear();
  server.adminCalls.length = 0;
});

function atomic(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, stdout, stderr) => {
      const code = error === null ? 0 : Number(error.code);
      resolve({ code, stdout: stdout.trim(), stderr: stderr.trim() });
    });
  });
}

describe('get, exchange and cas', () => {
  it('print what they found, in text and in JSON', async () => {
    server.state.values.set(-7n, 2n ** 62n);
    expect(await atomic('get', '-7', CONF)).toEqual({
      code: 0,
      stdout: `${2n ** 62n}`,
      stderr: '',
    });
    const exchanged = await atomic('exchange', '-7', '-5', CONF, '--json');
    expect(JSON.parse(exchanged.stdout)).toEqual({
      id: '-7',
      oldValue: `${2n ** 62n}`,
      newValue: '-5',
    });
    expect(await atomic('cas', '-7', '-5', '6', CONF)).toMatchObject({ code: 0, stdout: '-5' });
    expect(server.state.values.get(-7n)).toBe(6n);
  });

  it('end with 5 when a compare-exchange finds another value', async () => {
    server.state.values.set(1n, 9n);
    const ended = await atomic('cas', '1', '4', '5', CONF, '--json');
    expect(ended.code).toBe(5);
    expect(JSON.parse(ended.stdout)).toEqual({
      id: '1',
      exchanged: false,
      oldValue: '9',
      newValue: '9',
    });
    expect(ended.stderr).toContain('nothing was changed');
  });

  it('end with 4 when the outcome is unknown, and with 3 when nothing was done', async () => {
    server.script = () => ({ type: 'applyThenBreak' });
    const unknown = await atomic('exchange', '1', '5', CONF);
    expect(unknown.code).toBe(4);
    expect(unknown.stderr).toContain('may have taken effect');
    expect((await atomic('exchange', '1', '5', NOBODY, '--timeout_ms=100')).code).toBe(3);
  });

  it('repeat safely with --exactly_once', async () => {
    let breaks = 1;
    server.script = () => ({ type: breaks-- > 0 ? 'applyThenBreak' : 'apply' });
    expect(await atomic('exchange', '1', '5', CONF, '--exactly_once')).toMatchObject({
      code: 0,
      stdout: '0',
    });
  });
});

describe('bad input', () => {
  it.each([
    [['get'], 2, "missing required argument 'id'"],
    [['get', 'x'], 2, 'whole number'],
    [['get', '9223372036854775808'], 2, 'outside int64'],
    [['exchange', '1', '-9223372036854775809'], 2, 'outside int64'],
    [['get', '1', '--conf=nonsense'], 2, '"nonsense" is not a peer id'],
    [['get', '1', '--conf='], 2, 'the list of servers is empty'],
    [['get', '1', '--timeout_ms=0'], 2, 'whole number from 1'],
    [['get', '1', '--what=1'], 2, "unknown option '--what=1'"],
    [['frobnicate'], 2, "unknown command 'frobnicate'"],
    [[], 2, 'which command?'],
    [['count', '--thread_num=0'], 2, 'whole number from 1'],
    [['bench', '--mix=put'], 2, 'expected kinds of'],
    [['admin', 'frobnicate'], 255, "unknown command 'frobnicate'"],
    [['admin', 'add_peer', '--group=G', '--conf=127.0.0.1:1'], 255, 'add_peer requires --peer'],
    [['admin', 'change_peers', '--group=G', CONF], 255, 'change_peers requires --new_peers'],
    [['admin', 'snapshot', '--group=G', '--peer=x'], 255, 'Fail to snapshot : peer: "x" is not'],
    [['test', '--atomic_op=put'], 255, 'Allowed choices are get, set, cas'],
    [['test', '--conf=nonsense'], 255, 'is not a peer id'],
  ])('%j ends with %i and one sentence', async (args, code, message) => {
    const ended = await atomic(...args);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toContain(message);
    expect(ended.stderr.split('\n')).toHaveLength(1);
  });

  it('--help states the exit codes and ends with 0', async () => {
    const [whole, one] = await Promise.all([atomic('--help'), atomic('get', '--help')]);
    expect(whole).toMatchObject({ code: 0, stderr: '' });
    expect(whole.stdout).toContain('110  timed out');
    expect(one.stdout).toContain('Exit codes:');
  });
});

describe('test', () => {
  it.each([
    ['get', ['--atomic_op=get', '--atomic_id=3'], 0, '7'],
    ['set', ['--atomic_op=set', '--atomic_id=3', '--atomic_val=8'], 0, ''],
    [
      'a matching cas',
      ['--atomic_op=cas', '--atomic_id=3', '--atomic_val=7', '--atomic_new_val=9'],
      0,
      '',
    ],
    [
      'another value',
      ['--atomic_op=cas', '--atomic_id=3', '--atomic_val=1', '--atomic_new_val=9'],
      5,
      '',
    ],
  ])('%s', async (_, args, code, stdout) => {
    server.state.values.set(3n, 7n);
    expect(await atomic('test', CONF, ...args)).toMatchObject({ code, stdout });
  });

  it('ends with 110 when there is no answer in time', async () => {
    server.script = () => ({ type: 'silence' });
    const args = ['--atomic_op=set', '--atomic_val=1', '--timeout_ms=150'];
    expect((await atomic('test', CONF, ...args)).code).toBe(110);
  });
});

describe('count', () => {
  it('counts for --duration and ends with a summary', async () => {
    server.state.values.set(2n, 40n);
    const ended = await atomic('count', CONF, '--thread_num=2', '--duration=1.2', '--json');
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    const lines = ended.stdout.split('\n').map((line): unknown => JSON.parse(line));
    const summary = lines.at(-1);
    const successes =
      (server.state.values.get(1n) ?? 0n) + (server.state.values.get(2n) ?? 0n) - 40n;
    expect(lines[0]).toMatchObject({ type: 'second', leader: server.peerId });
    expect(summary).toMatchObject({ type: 'summary', successes: Number(successes), adopted: 1 });
    expect(successes).toBeGreaterThan(0n);
  });

  it('prints a line a second, and the summary when interrupted', async () => {
    const child = spawn(process.execPath, [MAIN, 'count', CONF]);
    let stdout = '';
    const code = await new Promise((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        stdout += chunk.toString();
        if (stdout.includes('\n')) child.kill('SIGINT');
      });
      child.on('close', resolve);
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^Sending Request to Atomic \(127\.0\.0\.1:23500\) at qps=\d+ latency=\d+ p50=\d+ p90=\d+ p99=\d+ max=\d+ us\n/,
    );
    expect(stdout).toMatch(/Counter client is going to quit: successes=\d+ unknown=0 failures=0/);
  });

  it('prints each answer with --log_each_request', async () => {
    const ended = await atomic('count', CONF, '--log_each_request', '--duration=0.3');
    expect(ended.stdout).toMatch(
      /^Received response from 127\.0\.0\.1:23500:0:0 old_value=0 new_value=1 latency=\d+\nCounter client/,
    );
  });

  it('goes on after a success whose answer was lost', async () => {
    let batches = 0;
    server.script = () => ({ type: ++batches % 20 === 0 ? 'applyThenUnknown' : 'apply' });
    const ended = await atomic('count', CONF, '--duration=1', '--json');
    const summary: unknown = JSON.parse(ended.stdout.split('\n').at(-1) ?? '');
    expect(ended.code).toBe(0);
    expect(summary).toMatchObject({ broken: null });
    expect(summary).not.toMatchObject({ adopted: 0 });
  });

  it('ends with 255 when an acknowledged write was lost', async () => {
    let batches = 0;
    server.script = () => {
      if (++batches === 50) server.state.values.set(1n, 3n);
      return { type: 'apply' };
    };
    const ended = await atomic('count', CONF, '--duration=20');
    expect(ended.code).toBe(255);
    expect(ended.stderr).toContain('counter 1 holds 3, but must hold 49');
  });
});

describe('bench', () => {
  it('measures and judges', async () => {
    const file = join(folder, 'history.json');
    const args = [
      '-n',
      '8',
      '--keys=2',
      '--duration=0.5',
      '--warm_up=0.1',
      '--mix=cas=2,get,exchange',
    ];
    const ended = await atomic('bench', CONF, ...args, '--verify', '--json', `--history=${file}`);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    const report: unknown = JSON.parse(ended.stdout);
    expect(report).toMatchObject({ inFlight: 8, failures: 0, verdict: { ok: true, registers: 2 } });
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ version: 1 });
  });

  it('ends with 6 when the history breaks a promise', async () => {
    let batches = 0;
    server.script = () => {
      if (++batches % 30 === 0) server.state.values.clear();
      return { type: 'apply' };
    };
    const ended = await atomic('bench', CONF, '-n=2', '--keys=1', '--duration=0.5', '--verify');
    expect(ended.code).toBe(6);
    expect(ended.stdout).toContain('NOT proved right');
  });
});

describe('status', () => {
  it('shows all members, those included that only the leader knows', async () => {
    server.peers = () => [server.peerId, '127.0.0.1:23990:0:0'];
    const ended = await atomic('status', CONF);
    server.peers = () => [server.peerId];
    expect(ended.code).toBe(0);
    const [head, first, second] = ended.stdout.split('\n');
    expect(head).toMatch(/^PEER +STATE +TERM +LEADER/);
    expect(first).toMatch(/^127\.0\.0\.1:23500:0:0 +LEADER +3 /);
    expect(second).toMatch(/^127\.0\.0\.1:23990:0:0 +UNREACHABLE/);
  });

  it('ends with 3 when nobody leads', async () => {
    expect((await atomic('status', NOBODY)).code).toBe(3);
  });
});

describe('admin', () => {
  const PEER = '127.0.0.1:23501:0:0';

  it.each([
    ['add_peer', ['--peer=127.0.0.1:23501'], { peerId: PEER }],
    ['remove-peer', ['--peer=127.0.0.1:23501'], { peerId: PEER }],
    [
      'change_peers',
      ['--new_peers', `${PEER},127.0.0.1:${PORT}`],
      { newPeers: [PEER, `127.0.0.1:${PORT}:0:0`] },
    ],
  ])('%s prints the change', async (command, args, request) => {
    const change = { oldPeers: ['a:1:0:0'], newPeers: ['a:1:0:0', 'b:1:0:0'] };
    for (const method of ['addPeer', 'removePeer', 'changePeers']) {
      server.adminReplies.set(method, () => ({ response: change }));
    }
    const ended = await atomic('admin', command, '--group=G', CONF, ...args);
    expect(ended.stdout).toBe(
      "Configuration of replication group `G' changed from a:1:0:0 to a:1:0:0,b:1:0:0",
    );
    expect(ended.code).toBe(0);
    expect(server.adminCalls.at(-1)?.request).toMatchObject({
      groupId: 'G',
      leaderId: server.peerId,
      ...request,
    });
  });

  it.each([
    ['transfer_leader', ['--peer=127.0.0.1:23501', CONF], { peerId: PEER }],
    [
      'reset_peer',
      [`--peer=127.0.0.1:${PORT}`, `--new_peers=127.0.0.1:${PORT}`],
      { newPeers: [`127.0.0.1:${PORT}:0:0`] },
    ],
    ['snapshot', [`--peer=127.0.0.1:${PORT}`], {}],
    ['add_learner', ['--peer=127.0.0.1:23501', CONF], { peerId: PEER }],
    ['remove_learner', ['--peer=127.0.0.1:23501', CONF], { peerId: PEER }],
    ['promote_learner', ['--peer=127.0.0.1:23501', CONF], { peerId: PEER }],
    ['vote', [`--peer=127.0.0.1:${PORT}`], {}],
    ['readonly', [`--peer=127.0.0.1:${PORT}`, '--mode=on'], { readonly: true }],
  ])('%s is silent when it is done', async (command, args, request) => {
    const ended = await atomic('admin', command, '--group=G', ...args);
    expect(ended).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(server.adminCalls.at(-1)?.request).toMatchObject({ groupId: 'G', ...request });
  });

  it('get_leader, list_peers and get_status print what they learn', async () => {
    const group = ['--group=G', CONF];
    expect((await atomic('admin', 'get_leader', ...group)).stdout).toBe(server.peerId);
    expect((await atomic('admin', 'list_peers', ...group)).stdout).toBe(server.peerId);
    const status = await atomic(
      'admin',
      'get_status',
      ...group,
      `--peer=127.0.0.1:${PORT}`,
      '--json',
    );
    expect(JSON.parse(status.stdout)).toMatchObject({ state: 'LEADER', term: 3 });
  });

  it('ends with 255 and the reason when the server refuses', async () => {
    server.adminReplies.set('addPeer', () => ({
      error: { code: 'EBUSY', number: 16, message: 'another change is under way' },
    }));
    const ended = await atomic('admin', 'add_peer', '--group=G', CONF, '--peer=127.0.0.1:23501');
    expect(ended.code).toBe(255);
    expect(ended.stderr).toBe('atomic: Fail to add_peer : another change is under way');
    expect(server.adminCalls).toHaveLength(1);
  });

  it('repeats after a refusal that passes, --max_retry times', async () => {
    server.adminReplies.set('addPeer', () => ({
      error: { code: 'EPERM', number: 1, message: 'not the leader' },
    }));
    const args = ['--group=G', CONF, '--peer=127.0.0.1:23501', '--max_retry=2'];
    expect((await atomic('admin', 'add_peer', ...args)).code).toBe(255);
    expect(server.adminCalls).toHaveLength(3);
  });
});

describe('backup and restore', () => {
  const data = Buffer.from('1 2\n3 4\n');

  function chunk(part: Partial<BackupResponse>): BackupResponse {
    return {
      file: 'data',
      offset: 0,
      data: Buffer.alloc(0),
      fileSize: data.length,
      fileChecksum: checksumText(crc32c(data)),
      lastIncludedIndex: 12,
      lastIncludedTerm: 3,
      last: false,
      ...part,
    };
  }
  const first = chunk({ data: data.subarray(0, 5) });
  const second = chunk({ data: data.subarray(5), offset: 5, last: true });

  it('save a snapshot and prepare a data directory from it', async () => {
    server.backup = [first, second];
    const backup = join(folder, 'backup');
    const target = join(folder, 'restored');
    expect((await atomic('admin', 'backup', '--group=G', CONF, `--to=${backup}`)).code).toBe(0);
    expect(await readFile(join(backup, 'data'))).toEqual(data);
    const restored = await atomic('admin', 'restore', `--from=${backup}`, `--data_path=${target}`);
    expect(restored.code).toBe(0);
    expect(await readFile(join(target, 'restore/data'))).toEqual(data);
    expect(JSON.parse(await readFile(join(target, 'restore.json'), 'utf8'))).toEqual({
      format: 1,
      group: 'G',
      lastIncludedIndex: 12,
      lastIncludedTerm: 3,
      files: [{ name: 'data', size: data.length, crc32c: first.fileChecksum }],
    });
    const again = await atomic('admin', 'restore', `--from=${backup}`, `--data_path=${target}`);
    expect(again.code).toBe(255);
    expect(again.stderr).toContain('is not empty');
  });

  it.each([
    ['ends early', [first], 'before its last part'],
    ['lacks a part', [second], 'a part is missing'],
    ['has a wrong checksum', [{ ...first, fileChecksum: '00000000' }, second], 'checksum'],
    ['leads out of the folder', [{ ...first, file: '../evil' }], 'bad file name'],
  ])('refuse a backup that %s', async (name, chunks, message) => {
    server.backup = chunks;
    const to = join(folder, `refused ${name}`);
    const ended = await atomic('admin', 'backup', '--group=G', CONF, `--to=${to}`);
    expect(ended.code).toBe(255);
    expect(ended.stderr).toContain(message);
    expect(await readdir(to)).not.toContain('manifest.json');
  });

  it('refuse to restore from damaged files', async () => {
    server.backup = [first, second];
    const backup = join(folder, 'damaged');
    await atomic('admin', 'backup', '--group=G', CONF, `--to=${backup}`);
    await writeFile(join(backup, 'data'), '1 2\n3 5\n');
    const ended = await atomic(
      'admin',
      'restore',
      `--from=${backup}`,
      `--data_path=${folder}/never`,
    );
    expect(ended.code).toBe(255);
    expect(ended.stderr).toContain('the checksum does not match');
  });
});
