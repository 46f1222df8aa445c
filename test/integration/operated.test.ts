import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MembershipClient } from '../../client/membership-client.ts';
import { HealthClient } from '../support/health-client.ts';
import { ClusterProcess, runProgram, type ServerProcess } from '../support/cluster-process.ts';

const FIRST_PORT = 27_200;
const HEALTH_PORT = 27_250;
const OLD_SECRET = 'a secret of the cluster';
const NEW_SECRET = 'another one for later on';

const folder = mkdtempSync(join(tmpdir(), 'atomicraft-operated-'));
const secretFile = join(folder, 'secret');
writeFileSync(secretFile, OLD_SECRET);
const cluster = new ClusterProcess({
  size: 0,
  firstPort: FIRST_PORT,
  flags: [`--auth_secret_file=${secretFile}`],
  flagsOf: (number) => [`--health_port=${String(HEALTH_PORT + number)}`],
});
const CONF = [0, 1, 2].map((n) => `127.0.0.1:${String(FIRST_PORT + n)}`).join(',');
const peer = (number: number): string => cluster.server(number).peer;
const admin = new MembershipClient({
  group: 'Atomic',
  conf: CONF,
  timeoutMs: 20_000,
  authSecretFile: secretFile,
});

beforeAll(() => {
  for (let number = 0; number < 3; number++) cluster.addServer();
});

afterAll(async () => {
  await admin.close();
  await cluster.stop();
  rmSync(folder, { recursive: true });
}, 30_000);

const health = async (number: number, service: string): Promise<string> => {
  using client = new HealthClient(`127.0.0.1:${String(HEALTH_PORT + number)}`);
  return await client.check(service);
};

const turns = (number: number, service: string, wanted: string): Promise<void> =>
  cluster.until(`${service} of ${String(number)} turns ${wanted}`, async () => {
    return (await health(number, service)) === wanted;
  });

/** Waits for a process to end by itself. */
async function ended({ child }: ServerProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, 'exit');
  return child.exitCode;
}

describe('servers as an operator runs them', () => {
  it('wait with an empty disk: started, alive, not ready', async () => {
    for (const number of [0, 1, 2]) await turns(number, 'startup', 'SERVING');
    expect(await health(0, 'liveness')).toBe('SERVING');
    expect(await health(0, 'readiness')).toBe('NOT_SERVING');
    expect(await health(0, '')).toBe('NOT_SERVING');
    expect(await admin.getStatus(peer(0))).toMatchObject({ joined: false, clusterId: '' });
  }, 60_000);

  it('are bootstrapped once, whoever asks and how often', async () => {
    const incarnation = await admin.bootstrap(peer(0), 'cluster-1');
    expect(await admin.bootstrap(peer(0), 'cluster-1')).toBe(incarnation);
    await expect(admin.bootstrap(peer(0), 'cluster-2')).rejects.toMatchObject({ code: 'EEXIST' });
    await turns(0, 'readiness', 'SERVING');
    expect(await health(0, '')).toBe('SERVING');
    await admin.addPeer(peer(1));
    await admin.addPeer(peer(2));
    expect(await admin.getStatus(peer(2))).toMatchObject({ clusterId: 'cluster-1', joined: true });
    for (const number of [1, 2]) await turns(number, 'readiness', 'SERVING');
    // One that the group has taken in cannot found another one.
    await expect(admin.bootstrap(peer(1), 'cluster-2')).rejects.toMatchObject({ code: 'EEXIST' });
  }, 60_000);

  it('tell a linearizable status on the leader only, and their version', async () => {
    const leader = await admin.getStatus(peer(0), { linearizable: true });
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(leader).toMatchObject({ state: 'LEADER', version, peers: [peer(0), peer(1), peer(2)] });
    await using once = new MembershipClient({
      ...{ group: 'Atomic', conf: CONF, maxRetry: 0 },
      authSecretFile: secretFile,
    });
    const asked = once.getStatus(peer(1), { linearizable: true });
    await expect(asked).rejects.toMatchObject({ code: 'EPERM' });
    expect(await once.getStatus(peer(1))).toMatchObject({ state: 'FOLLOWER' });
  }, 60_000);

  it('ask administrators for the secret, counters for nothing', async () => {
    await using stranger = new MembershipClient({ group: 'Atomic', conf: CONF });
    const refused = { code: 'EACCES', message: expect.stringContaining('--auth_secret_file') };
    await expect(stranger.removePeer(peer(2))).rejects.toMatchObject(refused);
    await expect(stranger.getStatus(peer(0))).rejects.toMatchObject(refused);
    expect(await stranger.getLeader()).toBe(peer(0));
    const written = await cluster.atomic('exchange', '1', '5', `--conf=${CONF}`);
    expect(written.code).toBe(0);
    const flags = ['--group=Atomic', `--peer=${peer(0)}`];
    const without = await cluster.atomic('admin', 'get_status', ...flags);
    expect(without).toMatchObject({ code: 255, stderr: expect.stringContaining('its secret') });
    const given = [...flags, `--auth_secret_file=${secretFile}`];
    expect(await cluster.atomic('admin', 'get_status', ...given)).toMatchObject({ code: 0 });
  }, 60_000);

  it('exchange the secret without a restart', async () => {
    writeFileSync(secretFile, `${OLD_SECRET}\n${NEW_SECRET}`);
    const accepted = (secret: string) => async (): Promise<boolean> => {
      await using client = new MembershipClient({
        ...{ group: 'Atomic', conf: CONF },
        authSecret: () => secret,
      });
      const asked = [0, 1, 2].map((number) => client.getStatus(peer(number)));
      return (await Promise.allSettled(asked)).every(({ status }) => status === 'fulfilled');
    };
    await cluster.until('the new secret is accepted', accepted(NEW_SECRET));
    writeFileSync(secretFile, NEW_SECRET);
    await cluster.until('the old one is refused', async () => !(await accepted(OLD_SECRET)()));
    expect(await accepted(NEW_SECRET)()).toBe(true);
    expect((await cluster.atomic('get', '1', `--conf=${CONF}`)).stdout).toContain('5');
  }, 60_000);

  it('begin anew with an empty disk when the group has removed them', async () => {
    const server = cluster.server(2);
    const { incarnation: old } = await admin.getStatus(peer(2));
    const member = admin.joinFresh(peer(2), old);
    await expect(member).rejects.toMatchObject({ code: 'EPERM' });
    await admin.removePeer(peer(2));
    await expect(admin.joinFresh(peer(2), 'other')).rejects.toMatchObject({ code: 'ESTALE' });
    await cluster.until('a removed server is not ready', async () => {
      return (await health(2, 'readiness')) === 'NOT_SERVING';
    });
    expect(await health(2, 'liveness')).toBe('SERVING');
    await admin.joinFresh(peer(2), old);
    expect(await ended(server)).toBe(0);
    expect(readFileSync(server.log, 'utf8')).toContain('begin anew');

    cluster.restart(server);
    await turns(2, 'startup', 'SERVING');
    const fresh = await admin.getStatus(peer(2));
    expect(fresh).toMatchObject({ joined: false, lastIndex: 0, clusterId: '' });
    expect(fresh.incarnation).not.toBe(old);
    const kept = readdirSync(join(server.dataPath, 'quarantine', old)).sort();
    expect(kept).toEqual(['identity.json', 'log', 'raft_meta', 'snapshot']);
    expect(existsSync(join(server.dataPath, 'fresh-start.json'))).toBe(false);
    await admin.addPeer(peer(2));
    await turns(2, 'readiness', 'SERVING');
    expect(await admin.getStatus(peer(2))).toMatchObject({ clusterId: 'cluster-1' });
  }, 60_000);

  it('refuse a server with another secret, which says so once', async () => {
    const server = cluster.server(2);
    await cluster.kill(server, 'SIGTERM');
    const wrong = join(folder, 'wrong');
    writeFileSync(wrong, 'what somebody else made up');
    cluster.restart(server, [`--auth_secret_file=${wrong}`]);
    const refusals = (text: string): number => text.split('no connection to a server').length - 1;
    // It cannot be led, so it asks for votes, again and again.
    await cluster.until('it is told why nobody talks to it', () =>
      Promise.resolve(readFileSync(server.log, 'utf8').includes('asks for its secret')),
    );
    await using client = new MembershipClient({
      ...{ group: 'Atomic', conf: CONF },
      authSecretFile: wrong,
    });
    const { term } = await client.getStatus(peer(2));
    await expect(client.getStatus(peer(0))).rejects.toMatchObject({ code: 'EACCES' });
    expect(await health(2, 'readiness')).toBe('NOT_SERVING');
    expect((await admin.getStatus(peer(0))).term).toBe(term);
    expect(refusals(readFileSync(server.log, 'utf8'))).toBeLessThanOrEqual(4);
  }, 60_000);
});

describe('a server that cannot be as safe as it was told', () => {
  const start = (...flags: readonly string[]) =>
    runProgram('server/main.ts', ['--port=27270', `--data_path=${join(folder, 'x')}`, ...flags]);

  it.each([
    ['is missing', undefined, 'there is none'],
    ['is empty', '', 'it is empty'],
    ['is short', 'short', '16 to 1024'],
  ])('does not start when its secret file %s', async (name, text, reason) => {
    const path = join(folder, name);
    if (text !== undefined) writeFileSync(path, text);
    const { code, stderr } = await start(`--auth_secret_file=${path}`);
    expect(stderr).toContain('--auth_secret_file: cannot use the secret file');
    expect(stderr).toContain(reason);
    expect(code).toBe(64);
    expect(existsSync(join(folder, 'x'))).toBe(false);
  });

  it('does not start when its health port is taken', async () => {
    const { code, stderr } = await start(`--health_port=${String(HEALTH_PORT)}`);
    expect(stderr).toContain('--health_port');
    expect(stderr.trim().split('\n')).toHaveLength(1);
    // It opens before any data is touched.
    expect(existsSync(join(folder, 'x'))).toBe(false);
    expect(code).toBe(69);
  });
});
