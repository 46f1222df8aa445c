import { afterEach, describe, expect } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '../../client/index.ts';
import { MembershipClient } from '../../client/membership-client.ts';
import { ClusterProcess, type ServerProcess } from '../support/cluster-process.ts';
import { requires } from '../support/requires.ts';

const MEBIBYTE = 1_048_576;
/** A follower under load is not further behind than this. */
const CAUGHT_UP = 100;

/** A small ext4 file system of its own, which can be filled and emptied. */
class SmallDisk {
  readonly path: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'atomicraft-disk-'));

  constructor(mebibytes: number) {
    this.path = join(this.#folder, 'mounted');
    const image = join(this.#folder, 'image');
    const file = openSync(image, 'w');
    ftruncateSync(file, mebibytes * MEBIBYTE);
    closeSync(file);
    execFileSync('mkfs.ext4', ['-q', '-m', '0', image]);
    mkdirSync(this.path);
    execFileSync('mount', ['-o', 'loop', image, this.path]);
  }

  /** Takes all space there is. */
  fill(): void {
    const file = openSync(join(this.path, 'ballast'), 'w');
    try {
      for (const size of [MEBIBYTE, 4096, 1]) fillWith(file, new Uint8Array(size));
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(join(this.path, 'ballast'));
  }

  remove(): void {
    execFileSync('umount', [this.path]);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function fillWith(file: number, bytes: Uint8Array): void {
  try {
    while (writeSync(file, bytes) > 0);
  } catch (error) {
    // No instanceof: the error comes from outside the realm that Jest runs tests in.
    if (!String(error).includes('ENOSPC')) throw error;
  }
}

let disk: SmallDisk | undefined;
let cluster: ClusterProcess | undefined;
let endSupervision = (): void => undefined;

afterEach(async () => {
  endSupervision();
  await cluster?.stop();
  disk?.remove();
  [cluster, disk] = [undefined, undefined];
}, 30_000);

/**
 * Three servers under load, of which server 0 has a small disk and is started again whenever it
 * ends, as a supervisor does; `leader` leads.
 */
async function setUp(leader: number) {
  const small = new SmallDisk(64);
  disk = small;
  const servers = new ClusterProcess({
    size: 3,
    firstPort: 27_000,
    flags: ['--raft_max_segment_size=262144', '--snapshot_interval=0', '--snapshot_log_bytes=0'],
    dataPathOf: (number) => (number === 0 ? join(small.path, 'data') : undefined),
  });
  cluster = servers;
  await servers.start();
  const supervised = supervise(servers, servers.server(0));
  const admin = new MembershipClient({ group: 'Atomic', conf: servers.conf });
  const to = servers.server(leader).peer;
  await admin.transferLeader(to);
  await servers.until('it leads', async () => (await admin.getStatus(to)).state === 'LEADER');
  const load = servers.inBackground(
    ...['bench', `--conf=${servers.conf}`, '--json', '--verify', '--duration=3600'],
    ...['--in_flight=32', '--keys=16', '--mix=get=1,exchange=1,cas=2', '--timeout_ms=10000'],
  );
  const lastIndex = async (number: number): Promise<number> => {
    const { peer } = servers.server(number);
    return admin.getStatus(peer).then(
      (status) => status.lastIndex,
      () => 0,
    );
  };
  const goodEnd = async (): Promise<void> => {
    await servers.until('server 0 has caught up', async () => {
      const [last, full] = await Promise.all([lastIndex(1), lastIndex(0)]);
      return last - full < CAUGHT_UP;
    });
    load.child.kill('SIGINT');
    const { stdout, stderr, code } = await load.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ verdict: { ok: true, registers: 16 } });
    supervised.end();
    await admin.close();
  };
  return { small, servers, supervised, goodEnd };
}

/** Starts the server again whenever it ends; remembers with what codes it did. */
function supervise(servers: ClusterProcess, server: ServerProcess) {
  const codes: (number | null)[] = [];
  let ended = false;
  const watch = (): void => {
    server.child.once('exit', (code) => {
      if (ended) return;
      codes.push(code);
      servers.restart(server);
      watch();
    });
  };
  watch();
  const end = (): void => {
    ended = true;
  };
  endSupervision = end;
  return { codes, end };
}

const withDisk = requires('linux', 'root', 'loopDevice');

describe('a server whose disk is full', () => {
  const cases = [
    ['follows no more, and the others go on', 1],
    ['leads no more, and another one does', 0],
  ] as const;
  for (const [what, leader] of cases) {
    withDisk(`${what}; started again and again it is back once there is space`, async () => {
      const { small, servers, supervised, goodEnd } = await setUp(leader);
      await using client = connect({ servers: servers.conf, timeoutMs: 20_000 });
      small.fill();
      await servers.until('it has ended twice', () => Promise.resolve(supervised.codes.length > 1));
      expect(new Set(supervised.codes)).not.toContain(0);
      expect(readFileSync(servers.server(0).log, 'utf8')).toContain('no space left on device');
      expect(await client.exchange(2n, 2n)).toBe(0n);
      small.free();
      await goodEnd();
      expect(await client.get(2n)).toBe(2n);
    });
  }
});
