import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  Consistency,
  MaintenanceServiceClient,
  OutcomeDetail_Outcome,
  type BackupResponse,
  type BatchResult,
  type OperationBatch,
  type SessionResponse,
} from '../../proto/gen/atomic/v1/atomic.ts';
import { HashClient } from '../../server/atomic/service-hash-client.ts';
import { sessionRequestFrom } from '../../server/atomic/session-request.ts';
import { RaftError } from '../../server/raft/index.ts';
import { AtomicGrpc, called, failureOf } from '../support/atomic-grpc.ts';
import { OTHER, peer } from '../support/atomic-node.ts';
import { int64Column, int64Values, writes, type Write } from '../support/atomic-writes.ts';
import { SnapshotFolder } from '../support/snapshot-folder.ts';

const LOST = new RaftError('EPERM', 'lost leadership', { outcome: 'unknown' });
const ANY = Consistency.CONSISTENCY_UNSPECIFIED;

function batchOf(number: number, operations: readonly Write[]): OperationBatch {
  return { number, ...writes(operations), consistency: ANY, timeoutMs: 0, firstWriteId: undefined };
}

function readsOf(number: number, ids: readonly bigint[]): OperationBatch {
  const kinds = new Uint8Array(ids.length).fill(1);
  return { ...batchOf(number, []), kinds, ids: int64Column(ids) };
}

describe('atomic.v1.AtomicService', () => {
  it('gets, exchanges and compare-exchanges', async () => {
    await using rig = await AtomicGrpc.start(22_010);
    const { atomic } = rig;
    const id = -(2n ** 63n);
    const value = 2n ** 63n - 1n;
    const exchanged = called((done) => atomic.exchange({ id, value }, done));
    expect(await exchanged).toEqual({ oldValue: 0n });
    const wrong = { id, expectedValue: 0n, newValue: 1n };
    expect(await called((done) => atomic.compareExchange(wrong, done))).toEqual({
      exchanged: false,
      oldValue: value,
    });
    const right = { id, expectedValue: value, newValue: 0n };
    expect(await called((done) => atomic.compareExchange(right, done))).toEqual({
      exchanged: true,
      oldValue: value,
    });
    const read = await called((done) => atomic.get({ id, consistency: ANY }, done));
    expect(read).toEqual({ value: 0n });
  });

  it('refuses a request that lacks a field', async () => {
    await using rig = await AtomicGrpc.start(22_011);
    const { atomic } = rig;
    const calls = [
      called((done) => atomic.get({ consistency: ANY }, done)),
      called((done) => atomic.exchange({ id: 1n }, done)),
      called((done) => atomic.compareExchange({ id: 1n, newValue: 1n }, done)),
    ];
    for (const call of calls) {
      expect((await failureOf(call)).code).toBe(status.INVALID_ARGUMENT);
    }
    expect(rig.node.proposed).toEqual([]);
  });

  it('names the leader and says that nothing was proposed', async () => {
    await using rig = await AtomicGrpc.start(22_012);
    rig.node.stepDown(OTHER);
    const { code, detail } = await failureOf(
      called((done) => rig.atomic.exchange({ id: 1n, value: 1n }, done)),
    );
    expect(code).toBe(status.FAILED_PRECONDITION);
    expect(detail).toMatchObject({
      outcome: OutcomeDetail_Outcome.OUTCOME_NOT_PROPOSED,
      leader: '127.0.0.1:22001:0:0',
      reason: 'EPERM',
    });
  });

  it('says that the outcome is unknown', async () => {
    await using rig = await AtomicGrpc.start(22_013);
    rig.node.applyError = LOST;
    const { code, detail } = await failureOf(
      called((done) => rig.atomic.exchange({ id: 1n, value: 1n }, done)),
    );
    expect(code).toBe(status.UNKNOWN);
    expect(detail?.outcome).toBe(OutcomeDetail_Outcome.OUTCOME_UNKNOWN);
  });

  it('serves the group that the metadata names and refuses one that it does not have', async () => {
    await using rig = await AtomicGrpc.start(22_015);
    const naming = (group: string): Metadata => {
      const metadata = new Metadata();
      metadata.set('atomic-group', group);
      return metadata;
    };
    const write = { id: 1n, value: 5n };
    await called((done) => rig.atomic.exchange(write, naming('Atomic'), done));
    const refused = [
      called((done) => rig.atomic.exchange(write, naming('Other'), done)),
      called((done) => rig.atomic.registerSession({}, naming('Other'), done)),
      once(rig.atomic.session(naming('Other')), 'data'),
    ];
    for (const call of refused) {
      const { code, detail } = await failureOf(call);
      expect(code).toBe(status.NOT_FOUND);
      expect(detail?.outcome).toBe(OutcomeDetail_Outcome.OUTCOME_NOT_PROPOSED);
    }
    await expect(
      called((done) => rig.braft.exchange(write, naming('Other'), done)),
    ).rejects.toThrow('there is no group Other on this server; it has Atomic');
    expect(rig.node.proposed).toHaveLength(1);
  });

  it('writes exactly once in a registered session', async () => {
    await using rig = await AtomicGrpc.start(22_014);
    const { sessionId } = await called<{ sessionId: number }>((done) =>
      rig.atomic.registerSession({}, done),
    );
    const writeId = { sessionId, serial: 1, lowestUnanswered: 1 };
    for (let attempt = 0; attempt < 2; attempt++) {
      const request = { id: 1n, value: 5n, writeId };
      expect(await called((done) => rig.atomic.exchange(request, done))).toEqual({ oldValue: 0n });
    }
  });
});

describe('Session', () => {
  it('answers many batches in one entry, one read round and few messages', async () => {
    await using rig = await AtomicGrpc.start(22_020);
    const stream = rig.atomic.session();
    const results = new Map<number, BatchResult>();
    let messages = 0;
    const allArrived = new Promise<void>((resolve) => {
      stream.on('data', (response: SessionResponse) => {
        messages++;
        for (const result of response.results) results.set(result.number, result);
        if (results.size === 4) resolve();
      });
    });
    stream.write({
      batches: [
        batchOf(1, [
          ['exchange', 1n, 5n],
          ['cas', 1n, 4n, 6n],
        ]),
        batchOf(2, [['cas', 1n, 5n, -1n]]),
        batchOf(3, []),
        { ...batchOf(4, [['exchange', 1n, 1n]]), kinds: Uint8Array.of(1, 2) },
      ],
    });
    await allArrived;
    expect([...(results.get(1)?.statuses ?? [])]).toEqual([1, 2]);
    expect(int64Values(results.get(1)?.oldValues ?? new Uint8Array())).toEqual([0n, 5n]);
    expect(int64Values(results.get(2)?.oldValues ?? new Uint8Array())).toEqual([5n]);
    expect(results.get(3)?.failure?.status).toBe(status.INVALID_ARGUMENT);
    expect(results.get(4)?.failure?.status).toBe(status.INVALID_ARGUMENT);
    expect(rig.node.proposed).toHaveLength(1);
    expect(messages).toBeLessThanOrEqual(2);
    const ended = new Promise((resolve) => stream.on('status', resolve));
    stream.end();
    await ended;
  });

  it('refuses every batch of a message over the limit and takes the next message', async () => {
    await using rig = await AtomicGrpc.start(22_026);
    const stream = rig.atomic.session();
    const results: BatchResult[] = [];
    const ended = new Promise((resolve) => {
      stream.on('data', (response: SessionResponse) => results.push(...response.results));
      stream.on('end', resolve);
    });
    const large = Array.from({ length: 65_536 }, (_, at): Write => ['exchange', BigInt(at), 1n]);
    stream.write({ batches: [1, 2, 3].map((number) => batchOf(number, large)) });
    stream.write({ batches: [batchOf(4, [['exchange', 1n, 5n]])] });
    stream.end();
    await ended;
    const failures = results.filter(({ failure }) => failure !== undefined);
    expect(failures.map(({ number }) => number)).toEqual([1, 2, 3]);
    for (const { failure } of failures) {
      expect(failure).toMatchObject({ status: status.INVALID_ARGUMENT, reason: 'EINVAL' });
      expect(failure?.message).toContain('raise message_bytes_max');
    }
    expect(rig.node.proposed).toHaveLength(1);
  });

  it('ends over a message of more batches than it reads, without a word on what is under way', async () => {
    await using rig = await AtomicGrpc.start(22_028);
    rig.node.held = true;
    const stream = rig.atomic.session();
    const failure = failureOf(new Promise((_, reject) => stream.on('error', reject)));
    stream.resume();
    stream.write({ batches: [batchOf(1, [['exchange', 1n, 5n]])] });
    while (rig.node.proposed.length === 0) await new Promise(setImmediate);
    stream.write({ batches: Array.from({ length: 16_385 }, (_, number) => batchOf(number, [])) });
    const { code, detail } = await failure;
    expect(code).toBe(status.INVALID_ARGUMENT);
    expect(detail?.outcome).toBe(OutcomeDetail_Outcome.OUTCOME_UNKNOWN);
    rig.node.release();
  });

  it('reads no more of a message than one batch too many', () => {
    const bytes = Buffer.alloc(2 * 100_000);
    for (let at = 0; at < bytes.length; at += 2) bytes[at] = 10;
    expect(sessionRequestFrom(bytes).batches).toHaveLength(16_385);
    expect(sessionRequestFrom(bytes.subarray(0, 40)).batches).toHaveLength(20);
  });

  it('answers everything before the stream ends', async () => {
    await using rig = await AtomicGrpc.start(22_021);
    const stream = rig.atomic.session();
    const results: BatchResult[] = [];
    const ended = new Promise((resolve) => {
      stream.on('data', (response: SessionResponse) => results.push(...response.results));
      stream.on('end', resolve);
    });
    stream.write({ batches: [batchOf(1, [['exchange', 3n, 9n]]), readsOf(2, [3n, 4n])] });
    stream.end();
    await ended;
    expect(results.map(({ number }) => number).sort()).toEqual([1, 2]);
  });

  it('ends when the server stops: after the answers, and saying that no more was proposed', async () => {
    await using rig = await AtomicGrpc.start(22_023);
    rig.node.held = true;
    const stream = rig.atomic.session();
    const results: BatchResult[] = [];
    stream.on('data', (response: SessionResponse) => results.push(...response.results));
    const ended = failureOf(new Promise((_, reject) => stream.on('error', reject)));
    stream.write({ batches: [batchOf(1, [['exchange', 1n, 5n]])] });
    while (rig.node.proposed.length === 0) await new Promise(setImmediate);
    rig.core.close();
    rig.node.release();
    const { code, detail } = await ended;
    expect(results.map(({ number }) => number)).toEqual([1]);
    expect(code).toBe(status.UNAVAILABLE);
    expect(detail?.outcome).toBe(OutcomeDetail_Outcome.OUTCOME_NOT_PROPOSED);
  });

  it('goes on after a client has gone', async () => {
    await using rig = await AtomicGrpc.start(22_022);
    rig.node.held = true;
    const stream = rig.atomic.session();
    const gone = new Promise((resolve) => stream.on('error', resolve));
    stream.write({ batches: [batchOf(1, [['exchange', 1n, 5n]])] });
    while (rig.node.proposed.length === 0) await new Promise(setImmediate);
    stream.cancel();
    await gone;
    rig.node.release();
    const { value } = await called<{ value?: bigint | undefined }>((done) =>
      rig.atomic.get({ id: 1n, consistency: ANY }, done),
    );
    expect(value).toBe(5n);
    expect(rig.core.operationsInFlight).toBe(0);
  });
});

describe('example.AtomicService', () => {
  /** Calls with bytes as any program made from braft's own description would. */
  async function raw(address: string, method: string, request: string): Promise<string> {
    const client = new Client(address, credentials.createInsecure());
    const asIs = (bytes: Buffer): Buffer => bytes;
    const path = `/example.AtomicService/${method}`;
    const bytes = Buffer.from(request, 'hex');
    try {
      const reply = await called<Buffer | undefined>((done) =>
        client.makeUnaryRequest(path, asIs, asIs, bytes, done),
      );
      return reply?.toString('hex') ?? '';
    } finally {
      client.close();
    }
  }

  it('answers with the bytes of braft', async () => {
    await using rig = await AtomicGrpc.start(22_030);
    const call = (method: string, request: string) => raw(rig.address, method, request);
    expect(await call('get', '0805')).toBe('0801100518002000');
    expect(await call('compare_exchange', '080510011809')).toBe('0800100518002000');
    expect(await call('compare_exchange', '080510001809')).toBe('0801100518092000');
    expect(await call('exchange', '08051003')).toBe('0801100518032009');
  });

  it('redirects with the leader, or without when none is known', async () => {
    await using rig = await AtomicGrpc.start(22_031);
    const request = { id: 1n, expectedValue: 0n, newValue: 1n };
    rig.node.stepDown(OTHER);
    expect(await called((done) => rig.braft.compareExchange(request, done))).toMatchObject({
      success: false,
      redirect: '127.0.0.1:22001:0:0',
      oldValue: undefined,
    });
    expect(await called((done) => rig.braft.get({ id: 1n }, done))).toMatchObject({
      success: false,
      redirect: '127.0.0.1:22001:0:0',
    });
    rig.node.stepDown(undefined);
    expect(await raw(rig.address, 'exchange', '08051003')).toBe('0800');
  });

  it('refuses a request that lacks a field, and never redirects what may have happened', async () => {
    await using rig = await AtomicGrpc.start(22_032);
    const { braft } = rig;
    for (const call of [
      called((done) => braft.get({}, done)),
      called((done) => braft.exchange({ id: 1n }, done)),
      called((done) => braft.compareExchange({ id: 1n, expectedValue: 0n }, done)),
    ]) {
      expect((await failureOf(call)).code).toBe(status.INVALID_ARGUMENT);
    }
    rig.node.applyError = LOST;
    const lost = called((done) => braft.exchange({ id: 1n, value: 1n }, done));
    expect((await failureOf(lost)).code).toBe(status.UNKNOWN);
  });
});

describe('atomic.v1.MaintenanceService', () => {
  it('tells hashes and streams the newest snapshot', async () => {
    await using folder = await SnapshotFolder.create();
    const big = Buffer.alloc(600_000, 'x');
    await mkdir(folder.path, { recursive: true });
    await writeFile(join(folder.path, 'a.bin'), big);
    await writeFile(join(folder.path, 'b.bin'), '');
    let saved = 0;
    const hashes = new Map([[7, 2n ** 63n + 5n]]);
    await using rig = await AtomicGrpc.start(22_040, {
      node: {
        snapshot: () => {
          saved++;
          return Promise.resolve();
        },
      },
      stateMachine: {
        checkpoints: { hashAt: (index: number) => hashes.get(index) } as never,
        appliedIndex: 9,
      },
      openSnapshot: () => folder.reader(7),
    });
    using client = new HashClient('Atomic');
    const address = peer(rig.address);
    expect(await client.fetchHash(address, 7)).toBe(2n ** 63n + 5n);
    expect(await client.fetchHash(address, 8)).toBeUndefined();
    using other = new HashClient('Other');
    await expect(other.fetchHash(address, 7)).rejects.toThrow(/no group "Other"/);

    const maintenance = new MaintenanceServiceClient(rig.address, credentials.createInsecure());
    const chunks: BackupResponse[] = [];
    for await (const chunk of maintenance.backup({ group: 'Atomic' })) {
      chunks.push(chunk as BackupResponse);
    }
    maintenance.close();
    expect(saved).toBe(1);
    expect(chunks[0]).toMatchObject({ lastIncludedIndex: 7, fileSize: 600_000 });
    const ofFile = (file: string) => chunks.filter((chunk) => chunk.file === file);
    expect(Buffer.concat(ofFile('a.bin').map(({ data }) => data)).equals(big)).toBe(true);
    expect(ofFile('b.bin')).toHaveLength(1);
    expect(chunks.map(({ last }) => last).lastIndexOf(true)).toBe(chunks.length - 1);
    expect(chunks.filter(({ last }) => last)).toHaveLength(1);
  });
});
