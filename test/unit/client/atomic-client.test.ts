import { afterEach, describe, expect, it } from '@jest/globals';
import { status } from '@grpc/grpc-js';
import { connect, type AtomicClient, type ConnectOptions } from '../../../client/atomic-client.ts';
import { AtomicError } from '../../../client/atomic-error.ts';
import {
  FakeAtomicServer,
  FakeState,
  notProposed,
  type FakeServerOptions,
  type Reply,
} from '../../support/fake-atomic-server.ts';
import { OutcomeDetail_Outcome } from '../../../proto/gen/atomic/v1/atomic.ts';

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
/** Far longer than any test takes: a call that runs into it has hung. */
const HANG_MS = 20_000;

const open: AsyncDisposable[] = [];
let nextPort = 23_100;

afterEach(async () => {
  for (const resource of open.splice(0).reverse()) await resource[Symbol.asyncDispose]();
});

async function serve(options: Partial<FakeServerOptions> = {}): Promise<FakeAtomicServer> {
  const server = await FakeAtomicServer.start({ port: nextPort++, ...options });
  open.push(server);
  return server;
}

function clientOf(servers: readonly FakeAtomicServer[], options: Partial<ConnectOptions> = {}) {
  const addresses = servers.map(({ address }) => address).join(',');
  const client = connect({ servers: addresses, timeoutMs: HANG_MS, ...options });
  open.push(client);
  return client;
}

/** Replies in turn; after the last one everything is applied. */
function script(...replies: Reply[]): () => Reply {
  return () => replies.shift() ?? { type: 'apply' };
}

async function errorOf(promise: Promise<unknown>): Promise<AtomicError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof AtomicError) return error;
    throw error;
  }
  throw new Error('the call succeeded');
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + HANG_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error('the condition never came true');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const cas = (client: AtomicClient, id: bigint, expectedValue: bigint, newValue: bigint) =>
  client.compareExchange(id, { expectedValue, newValue });

describe('calls', () => {
  it('reads, exchanges and compare-exchanges over the whole range of int64', async () => {
    const client = clientOf([await serve()]);
    expect(await client.get(INT64_MIN)).toBe(0n);
    expect(await client.exchange(INT64_MIN, INT64_MAX)).toBe(0n);
    expect(await cas(client, INT64_MIN, INT64_MAX, INT64_MIN)).toEqual({
      exchanged: true,
      oldValue: INT64_MAX,
    });
    expect(await cas(client, INT64_MIN, 5n, 6n)).toEqual({ exchanged: false, oldValue: INT64_MIN });
    expect(await client.exchange(-1n, 2n ** 53n + 1n)).toBe(0n);
    expect(await client.get(-1n)).toBe(2n ** 53n + 1n);
  });

  it('share one message in one turn: reads in a batch, writes in another', async () => {
    const server = await serve();
    const client = clientOf([server]);
    await client.get(0n);
    const before = server.messages.length;
    const reads = Array.from({ length: 50 }, (_, at) => client.get(BigInt(at)));
    const lease = client.get(1n, { consistency: 'lease' });
    const writes = Array.from({ length: 70 }, (_, at) => client.exchange(BigInt(at), 1n));
    await Promise.all([...reads, lease, ...writes]);
    const messages = server.messages.slice(before);
    expect(messages).toHaveLength(1);
    expect(messages[0]?.batches.map(({ kinds }) => kinds.length).sort((a, b) => a - b)).toEqual([
      1, 50, 70,
    ]);
  });

  it('are split into batches of the stated size', async () => {
    const server = await serve();
    const client = clientOf([server], { operationsPerBatchMax: 4 });
    await Promise.all(Array.from({ length: 10 }, (_, at) => client.exchange(BigInt(at), 1n)));
    expect(server.batches.map(({ kinds }) => kinds.length)).toEqual([4, 4, 2]);
  });

  it.each([
    ['an id beyond int64', (client: AtomicClient) => client.get(2n ** 63n)],
    ['a value beyond int64', (client: AtomicClient) => client.exchange(1n, INT64_MIN - 1n)],
    ['an expected value beyond int64', (client: AtomicClient) => cas(client, 1n, 2n ** 64n, 0n)],
    ['a timeout of 0', (client: AtomicClient) => client.get(1n, { timeoutMs: 0 })],
  ])('refuse %s before anything is sent', async (_, call) => {
    const server = await serve();
    const error = await errorOf(call(clientOf([server])));
    expect(error).toMatchObject({ code: 'invalidArgument', outcome: 'notProposed' });
    expect(server.messages).toHaveLength(0);
  });

  it.each([
    ['no server', { servers: '' }],
    ['an unreadable server', { servers: 'nonsense' }],
    ['a negative limit', { servers: '127.0.0.1:1', operationsInFlightMax: -1 }],
  ])('need sensible options: %s is refused', (_, options) => {
    expect(() => connect(options)).toThrow(AtomicError);
  });
});

describe('failures', () => {
  it.each([
    ['the server says so', { type: 'applyThenUnknown' }, 'lostLeadership'],
    ['the stream breaks', { type: 'applyThenBreak' }, 'connectionLost'],
    ['the stream breaks before it is done', { type: 'break' }, 'connectionLost'],
  ] as const)('never repeat a write with unknown outcome: %s', async (_, reply, code) => {
    const server = await serve({ script: script(reply) });
    const client = clientOf([server]);
    const error = await errorOf(client.exchange(1n, 5n));
    expect(error).toMatchObject({ code, outcome: 'unknown' });
    await client.get(1n);
    const writes = server.batches.filter(({ newValues }) => newValues.length > 0);
    expect(writes).toHaveLength(1);
  });

  it.each([
    ['unknown', { type: 'applyThenUnknown' }],
    ['a broken stream', { type: 'break' }],
  ] as const)('repeat a read after %s', async (_, reply) => {
    const server = await serve({ script: script(reply, reply) });
    expect(await clientOf([server]).get(1n)).toBe(0n);
    expect(server.batches).toHaveLength(3);
  });

  it('break every write in flight, each with unknown outcome, and repeat the reads', async () => {
    const server = await serve({ script: () => ({ type: 'silence' }) });
    const client = clientOf([server]);
    const writes = [1n, 2n, 3n].map((id) => errorOf(client.exchange(id, 1n)));
    const read = client.get(4n);
    await until(() => server.batches.length === 2);
    server.script = () => ({ type: 'apply' });
    server.breakStreams();
    expect((await Promise.all(writes)).map(({ outcome }) => outcome)).toEqual(
      Array.from({ length: 3 }, () => 'unknown'),
    );
    expect(await read).toBe(0n);
  });

  it('repeat a write that was certainly not proposed', async () => {
    const busy = notProposed({ status: status.RESOURCE_EXHAUSTED, reason: 'EBUSY' });
    const starting = notProposed({ status: status.UNAVAILABLE });
    const server = await serve({ script: script(busy, starting, busy) });
    expect(await clientOf([server]).exchange(1n, 5n)).toBe(0n);
    expect(server.batches).toHaveLength(4);
  });

  it('repeat writes in flight on a stream that ends with the word that nothing was proposed', async () => {
    const server = await serve({ script: () => ({ type: 'silence' }) });
    const client = clientOf([server]);
    const write = client.exchange(1n, 5n);
    await until(() => server.batches.length === 1);
    server.script = () => ({ type: 'apply' });
    const outcome = OutcomeDetail_Outcome.OUTCOME_NOT_PROPOSED;
    server.endStreams({ outcome, status: status.UNAVAILABLE });
    expect(await write).toBe(0n);
  });

  it('end at once when the server will never do it', async () => {
    const denied = notProposed({ status: status.INVALID_ARGUMENT, message: 'no such thing' });
    const server = await serve({ script: script(denied) });
    const error = await errorOf(clientOf([server]).exchange(1n, 5n));
    expect(error).toMatchObject({
      code: 'refused',
      outcome: 'notProposed',
      message: 'no such thing',
    });
    expect(server.batches).toHaveLength(1);
  });
});

describe('deadlines', () => {
  it('leave the outcome of a sent write unknown and that of a read known', async () => {
    const server = await serve({ script: () => ({ type: 'silence' }) });
    const client = clientOf([server], { timeoutMs: 150 });
    const [write, read] = await Promise.all([
      errorOf(client.exchange(1n, 5n)),
      errorOf(client.get(1n)),
    ]);
    expect(write).toMatchObject({ code: 'timeout', outcome: 'unknown' });
    expect(read).toMatchObject({ code: 'timeout', outcome: 'notProposed' });
  });

  it('leave a write that was never sent certainly undone', async () => {
    const client = connect({ servers: '127.0.0.1:23999', timeoutMs: 100 });
    open.push(client);
    expect(await errorOf(client.exchange(1n, 5n))).toMatchObject({
      code: 'timeout',
      outcome: 'notProposed',
    });
  });

  it('tell the last failure', async () => {
    const starting = notProposed({ status: status.UNAVAILABLE, message: 'still starting' });
    const server = await serve({ script: () => starting });
    const error = await errorOf(clientOf([server]).exchange(1n, 5n, { timeoutMs: 200 }));
    expect(error).toMatchObject({ code: 'timeout', outcome: 'notProposed' });
    expect(error.message).toContain('still starting');
  });

  it('do not keep the client from finding a server that starts later', async () => {
    const port = nextPort++;
    const client = connect({ servers: `127.0.0.1:${port}`, timeoutMs: 100 });
    open.push(client);
    await errorOf(client.get(1n));
    open.push(await FakeAtomicServer.start({ port }));
    expect(await client.get(1n, { timeoutMs: HANG_MS })).toBe(0n);
  });
});

describe('cancelling', () => {
  it('ends a call in flight and ignores the late answer', async () => {
    const server = await serve({ script: () => ({ type: 'silence' }) });
    const client = clientOf([server]);
    const controller = new AbortController();
    const write = errorOf(client.exchange(1n, 5n, { signal: controller.signal }));
    await until(() => server.batches.length === 1);
    controller.abort();
    expect(await write).toMatchObject({ code: 'cancelled', outcome: 'unknown' });
  });

  it('before the call sends nothing', async () => {
    const server = await serve();
    const signal = AbortSignal.abort();
    const error = await errorOf(clientOf([server]).exchange(1n, 5n, { signal }));
    expect(error).toMatchObject({ code: 'cancelled', outcome: 'notProposed' });
    expect(server.messages).toHaveLength(0);
  });

  it('by closing the client ends all calls', async () => {
    const server = await serve({ script: () => ({ type: 'silence' }) });
    const client = clientOf([server]);
    const write = errorOf(client.exchange(1n, 5n));
    await until(() => server.batches.length === 1);
    await client.close();
    expect(await write).toMatchObject({ code: 'closed', outcome: 'unknown' });
    expect(await errorOf(client.get(1n))).toMatchObject({ code: 'closed' });
  });
});

describe('flow control', () => {
  it('keeps what exceeds the limit waiting, then sends it', async () => {
    const server = await serve({ script: () => ({ type: 'silence' }) });
    const client = clientOf([server], { operationsInFlightMax: 10 });
    const calls = Array.from({ length: 25 }, (_, at) => client.get(BigInt(at)));
    await until(() => server.batches.length > 0);
    expect(server.batches.map(({ kinds }) => kinds.length)).toEqual([10]);
    server.script = () => ({ type: 'apply' });
    server.breakStreams();
    await Promise.all(calls);
    const sizes = server.batches.slice(1).map(({ kinds }) => kinds.length);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(25);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(10);
  });

  it('refuses more than may wait', async () => {
    const client = connect({ servers: '127.0.0.1:23999', timeoutMs: 200, operationsWaitingMax: 2 });
    open.push(client);
    const calls = [1n, 2n, 3n].map((id) => errorOf(client.exchange(id, 1n)));
    expect((await Promise.all(calls)).map(({ code }) => code)).toEqual([
      'timeout',
      'timeout',
      'busy',
    ]);
  });
});

describe('leaders', () => {
  it('are followed by redirect to a configured member', async () => {
    const state = new FakeState();
    const second = await serve({ state });
    const first = await serve({ state, script: () => notProposed({ leader: second.peerId }) });
    const client = clientOf([first, second]);
    second.leader = () => first.peerId;
    expect(await client.exchange(1n, 5n)).toBe(0n);
    expect(client.leader).toBe(second.peerId);
    expect(second.batches).toHaveLength(1);
  });

  it('are followed by redirect to a member that only the others know', async () => {
    const state = new FakeState();
    const second = await serve({ state });
    const first = await serve({ state, script: () => notProposed({ leader: second.peerId }) });
    first.peers = () => [first.peerId, second.peerId];
    const client = clientOf([first]);
    expect(await client.exchange(1n, 5n)).toBe(0n);
    expect(client.leader).toBe(second.peerId);
  });

  it('are not followed to a stranger', async () => {
    const stranger = await serve();
    let redirects = 0;
    const first = await serve({
      script: () => {
        redirects += 1;
        return redirects < 4 ? notProposed({ leader: stranger.peerId }) : { type: 'apply' };
      },
    });
    expect(await clientOf([first]).exchange(1n, 5n)).toBe(0n);
    expect(stranger.messages).toHaveLength(0);
    expect(first.batches).toHaveLength(4);
  });

  it('that die are replaced: reads and new writes go to the next one', async () => {
    const state = new FakeState();
    const [first, second, third] = [
      await serve({ state }),
      await serve({ state }),
      await serve({ state }),
    ];
    let leader = first;
    for (const server of [first, second, third]) server.leader = () => leader.peerId;
    const client = clientOf([first, second, third]);
    await client.exchange(1n, 5n);
    expect(client.leader).toBe(first.peerId);
    await first[Symbol.asyncDispose]();
    // The others go on naming the dead leader until they have elected another.
    const read = client.get(1n);
    await until(() => second.leaderQuestions + third.leaderQuestions > 6);
    leader = third;
    expect(await read).toBe(5n);
    expect(client.leader).toBe(third.peerId);
    expect(await client.exchange(1n, 6n)).toBe(5n);
  });

  it('that fall silent are left when another member says that it leads', async () => {
    const state = new FakeState();
    const second = await serve({ state });
    const first = await serve({ state, script: () => ({ type: 'silence' }) });
    second.leader = () => first.peerId;
    const client = clientOf([first, second], { stallMs: 50 });
    const read = client.get(1n);
    const write = errorOf(client.exchange(1n, 5n));
    await until(() => first.batches.length === 2);
    first.leader = () => undefined;
    second.leader = () => second.peerId;
    expect(await read).toBe(0n);
    expect(await write).toMatchObject({ code: 'connectionLost', outcome: 'unknown' });
    expect(client.leader).toBe(second.peerId);
  });
});

describe('exactly-once', () => {
  it('repeats a write whose outcome is unknown, with the same number, and it counts once', async () => {
    const server = await serve({
      script: script({ type: 'applyThenBreak' }, { type: 'applyThenUnknown' }),
    });
    const client = clientOf([server], { exactlyOnce: true });
    const results = await Promise.all([1n, 2n].map((id) => cas(client, id, 0n, 1n)));
    expect(results).toEqual(Array.from({ length: 2 }, () => ({ exchanged: true, oldValue: 0n })));
    const numbers = server.batches.map(({ firstWriteId }) => firstWriteId);
    expect(numbers).toEqual(
      Array.from({ length: 3 }, () => ({ sessionId: 1, serial: 1, lowestUnanswered: 1 })),
    );
    await client.exchange(3n, 1n);
    expect(server.batches.at(-1)?.firstWriteId).toEqual({
      sessionId: 1,
      serial: 3,
      lowestUnanswered: 3,
    });
  });

  it('carries the session over to the next leader', async () => {
    const state = new FakeState();
    const second = await serve({ state });
    let leader: FakeAtomicServer;
    const stepDown = (): Reply => {
      leader = second;
      return { type: 'applyThenBreak' };
    };
    const first = await serve({ state, script: stepDown });
    leader = first;
    for (const server of [first, second]) server.leader = () => leader.peerId;
    const client = clientOf([first, second], { exactlyOnce: true });
    expect(await cas(client, 1n, 0n, 1n)).toEqual({ exchanged: true, oldValue: 0n });
    expect(second.batches[0]?.firstWriteId).toMatchObject({ sessionId: 1, serial: 1 });
    expect(state.values.get(1n)).toBe(1n);
  });

  it('opens another session when the first one has expired', async () => {
    const expired = notProposed({ reason: 'SESSION_EXPIRED' });
    const server = await serve({ script: script(expired) });
    const client = clientOf([server], { exactlyOnce: true });
    expect(await client.exchange(1n, 5n)).toBe(0n);
    expect(server.batches.map(({ firstWriteId }) => firstWriteId?.sessionId)).toEqual([1, 2]);
  });

  it('does not repeat in a new session what may have happened in the old one', async () => {
    const expired = notProposed({ reason: 'SESSION_EXPIRED' });
    const server = await serve({ script: script({ type: 'applyThenUnknown' }, expired) });
    const client = clientOf([server], { exactlyOnce: true });
    expect(await errorOf(client.exchange(1n, 5n))).toMatchObject({
      code: 'sessionExpired',
      outcome: 'unknown',
    });
    expect(server.batches).toHaveLength(2);
  });

  it('a write given up as not proposed does not happen with the others of its batch later', async () => {
    const busy = notProposed({ status: status.RESOURCE_EXHAUSTED, reason: 'EBUSY' });
    let room = false;
    const server = await serve({ script: () => (room ? { type: 'apply' } : busy) });
    const client = clientOf([server], { exactlyOnce: true });
    const abandoned = errorOf(client.exchange(1n, 5n, { timeoutMs: 150 }));
    const patient = client.exchange(2n, 5n);
    expect(await abandoned).toMatchObject({ code: 'timeout', outcome: 'notProposed' });
    expect(server.batches[0]?.kinds).toHaveLength(2);
    room = true;
    await patient;
    expect([...server.state.values.keys()]).toEqual([2n]);
  });

  it('gives up a number only when nobody waits for it any more', async () => {
    const server = await serve({ script: script({ type: 'silence' }) });
    const client = clientOf([server], { exactlyOnce: true });
    const abandoned = errorOf(client.exchange(1n, 5n, { timeoutMs: 150 }));
    await until(() => server.batches.length === 1);
    await client.exchange(2n, 5n);
    expect(server.batches[1]?.firstWriteId).toMatchObject({ serial: 2, lowestUnanswered: 1 });
    expect(await abandoned).toMatchObject({ code: 'timeout', outcome: 'unknown' });
  });

  it('runs at most 1,024 numbers ahead of the lowest that is unanswered', async () => {
    const server = await serve({ script: script({ type: 'silence' }) });
    const client = clientOf([server], { exactlyOnce: true });
    const stuck = errorOf(client.exchange(0n, 1n, { timeoutMs: 1_000 }));
    await until(() => server.batches.length === 1);
    const others = Array.from({ length: 3_000 }, (_, at) => client.exchange(BigInt(at), 1n));
    await others[0];
    expect(server.batches.slice(1).map(({ kinds }) => kinds.length)).toEqual([1_023]);
    await stuck;
    await Promise.all(others);
    for (const { kinds, firstWriteId } of server.batches) {
      const { serial = 0, lowestUnanswered = 0 } = firstWriteId ?? {};
      expect(serial + kinds.length - lowestUnanswered).toBeLessThanOrEqual(1_024);
    }
  });
});
