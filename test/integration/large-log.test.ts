import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { connect } from '../../client/index.ts';
import { encodeBraftCommand } from '../../server/atomic/command.ts';
import type { LogEntry } from '../../server/raft/core/entry.ts';
import { LogIndex, Term } from '../../server/raft/index.ts';
import { nodeFileSystem } from '../../server/raft/storage/node-file-system.ts';
import { openStorage } from '../../server/raft/storage/open-storage.ts';
import { ClusterProcess, type ServerProcess } from '../support/cluster-process.ts';

const ENTRIES = 1_000_000;
const ENTRIES_PER_WRITE = 10_000;

const cluster = new ClusterProcess({
  size: 1,
  firstPort: 26_800,
  electionTimeoutMs: 300,
  flags: ['--snapshot_interval=0'],
});

beforeAll(async () => {
  await cluster.start();
}, 60_000);

afterAll(async () => {
  await cluster.stop();
}, 30_000);

/** Step `count` of counting id 1 up: it takes effect only after all steps before it. */
function counting(count: number, id: LogEntry['id']): LogEntry {
  const [expectedValue, newValue] = [BigInt(count), BigInt(count + 1)];
  const data = encodeBraftCommand({ type: 'compareExchange', id: 1n, expectedValue, newValue });
  return { kind: 'data', id, data };
}

/** Appends to the log of a server that is stopped, as if its group had worked for a while. */
async function fill({ dataPath, peer }: ServerProcess): Promise<void> {
  const group = 'Atomic';
  const drawIncarnation = randomUUID;
  const storage = await openStorage(nodeFileSystem, { dataPath, group, peer, drawIncarnation });
  const { lastIndex, termRuns } = storage.log.recovered;
  const term = termRuns.at(-1)?.term ?? Term(1);
  for (let from = 0; from < ENTRIES; from += ENTRIES_PER_WRITE) {
    const entries = Array.from({ length: ENTRIES_PER_WRITE }, (_, at) =>
      counting(from + at, { index: LogIndex(lastIndex + 1 + from + at), term }),
    );
    await storage.log.write({ entries });
  }
  await storage.close();
}

describe('a server with a million entries in its log', () => {
  it('starts, serves what they add up to, and does so again after a kill', async () => {
    const server = cluster.server(0);
    await cluster.kill(server, 'SIGTERM');
    await fill(server);
    cluster.restart(server);
    await using client = connect({ servers: cluster.conf, timeoutMs: 60_000 });
    expect(await client.get(1n)).toBe(BigInt(ENTRIES));
    const counted = { expectedValue: BigInt(ENTRIES), newValue: BigInt(ENTRIES + 1) };
    expect(await client.compareExchange(1n, counted)).toMatchObject({ exchanged: true });
    await cluster.kill(server);
    cluster.restart(server);
    await cluster.serving(server);
    expect(await client.get(1n)).toBe(BigInt(ENTRIES + 1));
    const stat = await (await cluster.http(server, '/raft_stat'))?.text();
    // Nothing of it came from a snapshot.
    expect(stat).toMatch(/^last_snapshot_index: 0\s*$/m);
    expect(stat).toContain('storage: [1, ');
  }, 120_000);
});
