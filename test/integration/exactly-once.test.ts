import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connect, type AtomicClient } from '../../client/index.ts';
import { ClusterProcess } from '../support/cluster-process.ts';

const KILLS = 10;
const IDS = [1n, 2n, 3n, 4n];

const cluster = new ClusterProcess({ size: 3, firstPort: 26_000, electionTimeoutMs: 500 });

beforeAll(async () => {
  await cluster.start();
}, 60_000);

afterAll(async () => {
  await cluster.stop();
}, 30_000);

type Counted = { readonly id: number; readonly successes: number; readonly unknown: number };
type Summary = { readonly broken: string | null; readonly counters: readonly Counted[] };

/** The last line that `count --json` prints. */
function summaryOf(stdout: string): Summary {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Summary;
}

const valuesOf = (client: AtomicClient): Promise<bigint[]> =>
  Promise.all(IDS.map((id) => client.get(id)));

describe('count --exactly_once', () => {
  it('counts each success once while ten leaders are killed', async () => {
    const count = cluster.inBackground(
      ...['count', `--conf=${cluster.conf}`, '--json', '--exactly_once'],
      ...[`--thread_num=${String(IDS.length)}`, '--timeout_ms=60000'],
    );
    await using client = connect({ servers: cluster.conf, timeoutMs: 60_000 });
    for (let kill = 0; kill < KILLS; kill++) {
      const before = await valuesOf(client);
      await cluster.until('every counter moves', async () => {
        const now = await valuesOf(client);
        return now.every((value, at) => value > (before[at] ?? value));
      });
      const leader = await cluster.leader();
      await cluster.kill(leader);
      cluster.restart(leader);
      await Promise.all(cluster.servers.map((server) => cluster.serving(server)));
    }
    count.child.kill('SIGINT');
    const { code, stdout, stderr } = await count.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { broken, counters } = summaryOf(stdout);
    expect(broken).toBeNull();
    expect(counters.map(({ unknown }) => unknown)).toEqual(IDS.map(() => 0));
    // Started from 0: what the servers hold is what was reported as done, no more and no less.
    expect(await valuesOf(client)).toEqual(counters.map(({ successes }) => BigInt(successes)));
  }, 300_000);
});
