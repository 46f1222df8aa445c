import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from '../../client/index.ts';
import { ClusterProcess } from '../support/cluster-process.ts';

const ROUNDS = 20;

const cluster = new ClusterProcess({ size: 3, firstPort: 26_400, electionTimeoutMs: 300 });

beforeAll(async () => {
  await cluster.start();
}, 60_000);

afterAll(async () => {
  await cluster.stop();
}, 30_000);

/** When a round's kill comes: spread over the range, in an order that looks random. */
const delayMs = (round: number, rangeMs: number): number =>
  (((round * 7) % ROUNDS) / ROUNDS) * rangeMs;

describe('all servers killed at once, at any moment', () => {
  it('lose nothing acknowledged: the history of the load stays linearizable', async () => {
    const load = cluster.inBackground(
      ...['bench', `--conf=${cluster.conf}`, '--json', '--verify', '--duration=3600'],
      ...['--in_flight=4', '--keys=2', '--mix=get=1,exchange=1,cas=2', '--timeout_ms=1000'],
    );
    await using client = connect({ servers: cluster.conf, timeoutMs: 60_000, exactlyOnce: true });
    for (let round = 1; round <= ROUNDS; round++) {
      // In turn: anywhere in start and election, and under load.
      const serving = round % 2 === 0;
      if (serving) expect(await client.exchange(1n, BigInt(round))).toBe(BigInt(round - 2));
      await pause(delayMs(round, serving ? 300 : 1_500));
      // None has ended by itself.
      expect(cluster.servers.map(({ child }) => child.exitCode)).toEqual([null, null, null]);
      await Promise.all(cluster.servers.map((server) => cluster.kill(server)));
      for (const server of cluster.servers) cluster.restart(server);
    }
    expect(await client.get(1n)).toBe(BigInt(ROUNDS));
    load.child.kill('SIGINT');
    const { code, stdout, stderr } = await load.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ verdict: { ok: true, registers: 2 } });
  }, 300_000);
});
