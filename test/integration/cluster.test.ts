import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { AtomicServiceClient } from '../../proto/gen/atomic/v1/atomic.ts';
import { connect, AtomicError } from '../../client/index.ts';
import { ClusterProcess } from '../support/cluster-process.ts';

let cluster: ClusterProcess;

beforeEach(async () => {
  cluster = new ClusterProcess({ size: 3, firstPort: 24_000 });
  await cluster.start();
});

afterEach(async () => {
  await cluster.stop();
});

/** Counts on one id until told to stop; an unknown outcome may or may not have counted. */
class Counting {
  acknowledged = 0;
  unknown = 0;
  #running = true;
  readonly ended: Promise<void>;

  constructor(servers: string) {
    this.ended = this.#run(servers);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.ended;
  }

  async #run(servers: string): Promise<void> {
    await using client = connect({ servers, timeoutMs: 5_000 });
    let value = 0n;
    while (this.#running) {
      try {
        const answer = await client.compareExchange(1n, {
          expectedValue: value,
          newValue: value + 1n,
        });
        if (answer.exchanged) this.acknowledged++;
        value = answer.exchanged ? value + 1n : answer.oldValue;
      } catch (error) {
        if (!(error instanceof AtomicError)) throw error;
        if (error.outcome === 'unknown') this.unknown++;
        value = await client.get(1n, { timeoutMs: 30_000 });
      }
    }
  }
}

describe('three real servers', () => {
  it('lose nothing acknowledged when each is killed in turn under load', async () => {
    const counting = new Counting(cluster.conf);
    for (const server of cluster.servers) {
      const before = counting.acknowledged;
      await cluster.until('the counter moves', () =>
        Promise.resolve(counting.acknowledged > before + 50),
      );
      await cluster.kill(server);
      const during = counting.acknowledged;
      await cluster.until('the counter moves without it', () =>
        Promise.resolve(counting.acknowledged > during + 50),
      );
      cluster.restart(server);
      await cluster.serving(server);
    }
    await counting.stop();
    await using client = connect({ servers: cluster.conf, timeoutMs: 10_000 });
    const value = Number(await client.get(1n));
    expect(value).toBeGreaterThanOrEqual(counting.acknowledged);
    expect(value).toBeLessThanOrEqual(counting.acknowledged + counting.unknown);
  });

  it('go on from their disks after all are killed at once', async () => {
    {
      await using client = connect({ servers: cluster.conf, timeoutMs: 10_000 });
      for (let id = 1n; id <= 500n; id++) await client.exchange(id, id * 3n);
    }
    await Promise.all(cluster.servers.map((server) => cluster.kill(server)));
    for (const server of cluster.servers) cluster.restart(server);
    await using client = connect({ servers: cluster.conf, timeoutMs: 20_000 });
    const ids = Array.from({ length: 500 }, (_, position) => BigInt(position + 1));
    expect(await Promise.all(ids.map((id) => client.get(id)))).toEqual(ids.map((id) => id * 3n));
  });

  it('a frozen leader is replaced and answers nothing stale when it wakes', async () => {
    await using client = connect({ servers: cluster.conf, timeoutMs: 20_000 });
    await client.exchange(7n, 1n);
    const frozen = await cluster.leader();
    frozen.child.kill('SIGSTOP');
    const others = cluster.servers.filter((server) => server !== frozen);
    // It may be led to the frozen one at first: numbered writes are repeated elsewhere.
    await using second = connect({
      servers: others.map(({ peer }) => peer).join(','),
      timeoutMs: 20_000,
      exactlyOnce: true,
    });
    await second.exchange(7n, 2n);
    frozen.child.kill('SIGCONT');
    const stale = new AtomicServiceClient(
      `127.0.0.1:${String(frozen.port)}`,
      credentials.createInsecure(),
    );
    const answer = await new Promise<bigint | undefined>((resolve) => {
      stale.get({ id: 7n, consistency: 0 }, (error, response) => {
        resolve(error === null ? response.value : undefined);
      });
    });
    stale.close();
    // Refused or current: never the value from before it was frozen.
    expect([undefined, 2n]).toContain(answer);
  });

  it('a stopped leader answers what it has taken and hands over: exit code 0', async () => {
    const leader = await cluster.leader();
    const counting = new Counting(cluster.conf);
    const moves = (from: number) =>
      cluster.until('the counter moves', () => Promise.resolve(counting.acknowledged > from));
    await moves(100);
    expect(await cluster.kill(leader, 'SIGTERM')).toBe(0);
    await moves(counting.acknowledged + 10);
    await counting.stop();
    expect(counting.unknown).toBe(0);
  });

  it('exactly-once increments count once each through a killed leader', async () => {
    await using client = connect({
      servers: cluster.conf,
      timeoutMs: 30_000,
      exactlyOnce: true,
    });
    let value = 0n;
    for (let round = 0; round < 2; round++) {
      const leader = await cluster.leader();
      const killed = cluster.kill(leader);
      for (let i = 0; i < 40; i++) {
        const answer = await client.compareExchange(9n, {
          expectedValue: value,
          newValue: value + 1n,
        });
        expect(answer.exchanged).toBe(true);
        value += 1n;
      }
      await killed;
      cluster.restart(leader);
      await cluster.serving(leader);
    }
    expect(await client.get(9n)).toBe(80n);
  });

  it('members are added and removed by the command line, and a newcomer gets a snapshot', async () => {
    await using client = connect({ servers: cluster.conf, timeoutMs: 10_000 });
    for (let id = 1n; id <= 100n; id++) await client.exchange(id, id);
    const group = ['--group=Atomic', `--conf=${cluster.conf}`];
    for (let round = 0; round < 2; round++) {
      for (const { peer } of cluster.servers) {
        const saved = await cluster.atomic('admin', 'snapshot', '--group=Atomic', `--peer=${peer}`);
        expect(saved.code).toBe(0);
      }
      await client.exchange(1_000n + BigInt(round), 1n);
    }
    const newcomer = cluster.addServer();
    await cluster.until('the newcomer is up', async () => {
      return (await cluster.http(newcomer, '/healthz'))?.ok === true;
    });
    const added = await cluster.atomic('admin', 'add_peer', ...group, `--peer=${newcomer.peer}`);
    expect(added).toMatchObject({ code: 0 });
    expect(added.stderr + added.stdout).toContain('changed from');
    await cluster.serving(newcomer);
    await cluster.until('the newcomer has applied everything', async () => {
      const metrics = await (await cluster.http(newcomer, '/metrics'))?.text();
      return metrics?.includes('atomic_counters{group="Atomic"} 102') === true;
    });
    const removed = await cluster.atomic(
      'admin',
      'remove_peer',
      ...group,
      `--peer=${newcomer.peer}`,
    );
    expect(removed.code).toBe(0);
    const listed = await cluster.atomic('admin', 'list_peers', ...group);
    expect(listed.stdout).not.toContain(newcomer.peer);
  });

  it("a stock gRPC client made from braft's example.proto works with only a new address", async () => {
    const loaded = loadSync('example/atomic.proto', { includeDirs: ['proto'], longs: String });
    // The loader builds the client from the .proto file at run time, so it has no static type.
    const { example } = loadPackageDefinition(loaded) as unknown as {
      example: { AtomicService: new (address: string, c: unknown) => StockClient };
    };
    const leader = await cluster.leader();
    const client = new example.AtomicService(
      `127.0.0.1:${String(leader.port)}`,
      credentials.createInsecure(),
    );
    const call = (
      method: 'get' | 'exchange' | 'compare_exchange',
      request: object,
    ): Promise<object> =>
      new Promise((resolve, reject) => {
        client[method](request, (error, response) => {
          if (error === null) resolve(response);
          else reject(error);
        });
      });
    expect(await call('exchange', { id: 5, value: 9 })).toMatchObject({ success: true });
    const mismatch = await call('compare_exchange', { id: 5, expectedValue: 1, newValue: 2 });
    expect(mismatch).toMatchObject({ success: false, oldValue: '9', newValue: '9' });
    expect(await call('get', { id: 5 })).toMatchObject({ success: true, newValue: '9' });
    client.close();
  });
});

type Done = (error: Error | null, response: object) => void;
type StockClient = {
  get(request: object, done: Done): void;
  exchange(request: object, done: Done): void;
  compare_exchange(request: object, done: Done): void;
  close(): void;
};
