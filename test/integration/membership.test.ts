import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MembershipClient } from '../../client/membership-client.ts';
import { ClusterProcess, type ServerProcess } from '../support/cluster-process.ts';

const FIRST_PORT = 26_600;
/** Where clients look for members, whoever belongs to the group at the time. */
const CONF = `--conf=${[0, 1, 2, 3, 4].map((n) => `127.0.0.1:${String(FIRST_PORT + n)}`).join(',')}`;

const cluster = new ClusterProcess({ size: 1, firstPort: FIRST_PORT });

beforeAll(async () => {
  await cluster.start();
}, 60_000);

afterAll(async () => {
  await cluster.stop();
}, 30_000);

const peer = (number: number): string => cluster.server(number).peer;
const peers = (...numbers: readonly number[]): string => numbers.map(peer).join(',');

async function admin(command: string, ...flags: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.atomic(
    ...['admin', command, '--group=Atomic', CONF, '--timeout_ms=20000', ...flags],
  );
  return code === 0 ? stdout.trim() : `exit ${String(code)}: ${stderr.trim()}`;
}

const onPeer = (command: string, number: number): Promise<string> =>
  admin(command, `--peer=${peer(number)}`);

/** Starts a server that waits to be added. */
async function newcomer(): Promise<ServerProcess> {
  const server = cluster.addServer();
  await cluster.until('the newcomer is up', async () => {
    return (await cluster.http(server, '/healthz'))?.ok === true;
  });
  return server;
}

async function members(): Promise<readonly string[]> {
  return (await admin('list_peers')).split('\n').sort();
}

/** The leader, by its number; waits for an election to end. */
async function leader(): Promise<number> {
  let number = -1;
  await cluster.until('get_leader names a server', async () => {
    const found = await admin('get_leader');
    number = cluster.servers.findIndex((server) => server.peer === found);
    return number >= 0;
  });
  return number;
}

/** The clients that work all the time; their verdicts. */
function load(): { end(): Promise<void> } {
  const flags = [CONF, '--json', '--timeout_ms=5000'];
  const bench = cluster.inBackground(
    ...['bench', ...flags, '--verify', '--duration=3600'],
    ...['--in_flight=2', '--keys=1', '--mix=get=1,exchange=1,cas=2'],
  );
  // One request a second and id: what is tested is who serves, not how fast.
  const count = cluster.inBackground('count', ...flags, '--thread_num=2', '--log_each_request');
  return {
    async end() {
      for (const { child } of [bench, count]) child.kill('SIGINT');
      const verdict = await bench.ended;
      expect(JSON.parse(verdict.stdout)).toMatchObject({ verdict: { ok: true, registers: 1 } });
      const counted = await count.ended;
      expect(JSON.parse(counted.stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
        broken: null,
        counters: [
          { id: '1', startValue: '0' },
          { id: '2', startValue: '0' },
        ],
      });
      expect([verdict.code, counted.code]).toEqual([0, 0]);
    },
  };
}

describe('atomic admin changes the members of real servers under load', () => {
  it('grows, hands over, replaces, shrinks, and survives the loss of its quorum', async () => {
    const working = load();
    const { peer: third } = await newcomer().then(newcomer);
    expect(await onPeer('add_peer', 1)).toContain(`changed from ${peer(0)} to ${peers(0, 1)}`);
    expect(await admin('add_peer', `--peer=${third}`)).toContain(`to ${peers(0, 1, 2)}`);
    expect(await members()).toEqual([peer(0), peer(1), peer(2)]);

    // Leadership goes where it is sent.
    expect(await onPeer('transfer_leader', 1)).toBe('');
    await cluster.until('the new leader is known', async () => (await leader()) === 1);
    for (const number of [0, 1, 2]) expect(await onPeer('snapshot', number)).toBe('');
    expect(await onPeer('get_status', 2)).toMatch(/snapshotIndex: [1-9]/);

    // A learner gets a snapshot and the log, has no vote, and then gets one.
    await newcomer();
    expect(await onPeer('add_learner', 3)).toBe('');
    expect(await members()).toEqual([peer(0), peer(1), peer(2), `${peer(3)} learner`]);
    expect(await onPeer('promote_learner', 3)).toBe('');
    expect(await members()).toEqual([peer(0), peer(1), peer(2), peer(3)]);

    // A replacement of two at once, by joint consensus; one of those gone returns as a learner.
    await newcomer();
    const replaced = await admin('change_peers', `--new_peers=${peers(1, 3, 4)}`);
    expect(replaced).toContain(`to ${peers(1, 3, 4)}`);
    expect(await onPeer('add_learner', 0)).toBe('');
    expect(await onPeer('remove_learner', 0)).toBe('');
    expect(await members()).toEqual([peer(1), peer(3), peer(4)]);

    // A leader that removes itself, and comes back.
    const leaving = await leader();
    expect(await onPeer('remove_peer', leaving)).toContain('changed from');
    await cluster.until('another one leads', async () => (await leader()) !== leaving);
    expect(await onPeer('add_peer', leaving)).toContain('changed from');
    expect(await members()).toEqual([peer(1), peer(3), peer(4)]);
    await working.end();

    await refusesGuesses();
    await survivesLossOfQuorum();
  }, 300_000);
});

async function refusesGuesses(): Promise<void> {
  await using client = new MembershipClient({ group: 'Atomic', conf: CONF.slice(7) });
  const { configurationIndex } = await client.listPeers();
  const expectedConfigurationIndex = configurationIndex - 1;
  const change = client.addLearner(peer(0), { expectedConfigurationIndex });
  await expect(change).rejects.toMatchObject({ code: 'ESTALE', outcome: 'notProposed' });
  const refused = await admin('add_peer', '--peer=127.0.0.1:1', '--timeout_ms=3000');
  expect(refused).toContain('exit 255: atomic: Fail to add_peer');
  expect(await members()).toEqual([peer(1), peer(3), peer(4)]);
}

async function survivesLossOfQuorum(): Promise<void> {
  const value = (await cluster.atomic('get', '1', CONF)).stdout;
  const survivor = await leader();
  const others = [1, 3, 4].filter((number) => number !== survivor).map((n) => cluster.server(n));
  await Promise.all(others.map((server) => cluster.kill(server)));
  // Another counter: a write that cannot be committed may be all the same, once one disk is enough.
  expect(await cluster.atomic('exchange', '9', '1', CONF)).not.toMatchObject({ code: 0 });
  const to = `--new_peers=${peer(survivor)}`;
  expect(await admin('reset_peer', `--peer=${peer(survivor)}`, to)).toBe('');
  expect(await cluster.atomic('get', '1', CONF, '--timeout_ms=20000')).toMatchObject({
    stdout: value,
  });
  expect(await members()).toEqual([peer(survivor)]);
}
