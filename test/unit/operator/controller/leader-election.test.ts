import { describe, expect, it } from '@jest/globals';
import { ApiError } from '../../../../operator/controller/api-error.ts';
import { delay, type Clock } from '../../../../operator/controller/clock.ts';
import {
  LeaderElection,
  LeadershipLost,
  LEASES,
  type Lease,
  type LeaderElectionOptions,
} from '../../../../operator/controller/leader-election.ts';
import { FakeApiServer, type FakeRequest } from '../../../support/kubernetes/fake-api-server.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import { RUNTIME_KINDS } from '../../../support/kubernetes/kinds.ts';
import { recordingLogger } from '../../../support/kubernetes/recording-logger.ts';

const KEY = { namespace: 'system', name: 'operator' };
const DOWN = new ApiError('connection refused', { code: 0 });

type Fault = (request: FakeRequest) => 'proceed' | ApiError;

function setUp() {
  const clock = new FakeClock();
  const faults: { before?: Fault } = {};
  const server = new FakeApiServer({
    clock,
    kinds: RUNTIME_KINDS,
    before: (request) => faults.before?.(request) ?? 'proceed',
  });
  const spec = (): Lease['spec'] => server.peek<Lease>(LEASES, KEY)?.spec;
  const put = (next: Lease['spec']): void => {
    server.put(LEASES, { metadata: KEY, spec: next } as Lease);
  };
  return { clock, server, faults, spec, put };
}

/** One process: starts its candidacy and holds office until `finish` is called. */
function candidate(
  identity: string,
  clock: FakeClock,
  options: Pick<LeaderElectionOptions, 'api'> & Partial<LeaderElectionOptions>,
) {
  const logger = recordingLogger();
  const told: boolean[] = [];
  const election = new LeaderElection({
    ...{ lease: KEY, identity, clock, logger, random: () => 0 },
    metrics: { leading: (isLeading) => told.push(isLeading) },
    ...options,
  });
  const [stop, finish] = [new AbortController(), Promise.withResolvers<undefined>()];
  const state = { leads: false, lost: false, ended: '' };
  const onLeading = async (lost: AbortSignal): Promise<void> => {
    state.leads = true;
    lost.addEventListener('abort', () => (state.lost = true));
    await finish.promise;
  };
  const end = (how: string): void => {
    state.leads = false;
    state.ended = how;
  };
  const running = election.run(stop.signal, onLeading).then(
    () => {
      end('released');
    },
    (error: unknown) => {
      end(error instanceof LeadershipLost ? 'lost' : String(error));
    },
  );
  return { state, stop, finish, running, told, logger };
}

describe('LeaderElection', () => {
  it('lets the first of two lead and records it in the Lease', async () => {
    const { clock, server, spec } = setUp();
    const a = candidate('a', clock, { api: server });
    const b = candidate('b', clock, { api: server });
    await clock.advance(60_000);
    expect([a.state.leads, b.state.leads]).toEqual([true, false]);
    expect(spec()).toEqual({
      ...{ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 },
      ...{ acquireTime: '2026-01-01T00:00:00.000000Z', renewTime: '2026-01-01T00:01:00.000000Z' },
    });
    expect([a.told, b.told]).toEqual([[false, true], [false]]);
  });

  it('lets the other take over at once when the Lease is released', async () => {
    const { clock, server, spec } = setUp();
    const a = candidate('a', clock, { api: server });
    const b = candidate('b', clock, { api: server });
    await clock.advance(5_000);
    a.stop.abort();
    await clock.advance(30_000);
    expect([a.state.leads, spec()?.holderIdentity]).toEqual([true, 'a']);
    a.finish.resolve(undefined);
    await a.running;
    expect([a.state, spec()?.holderIdentity]).toEqual([
      { leads: false, lost: false, ended: 'released' },
      '',
    ]);
    await clock.advance(2_000);
    expect([b.state.leads, spec()?.holderIdentity, spec()?.leaseTransitions]).toEqual([
      ...[true, 'b', 1],
    ]);
  });

  it('takes over from a holder that shows no life for the duration of the Lease', async () => {
    const { clock, server, put, spec } = setUp();
    put({ holderIdentity: 'dead', leaseDurationSeconds: 15, leaseTransitions: 7 });
    const b = candidate('b', clock, { api: server });
    await clock.advance(14_999);
    expect(b.state.leads).toBe(false);
    await clock.advance(2_000);
    expect([b.state.leads, spec()?.leaseTransitions]).toEqual([true, 8]);
  });

  it.each(['1999-01-01T00:00:00.000000Z', '2099-01-01T00:00:00.000000Z'])(
    'believes no clock but its own: a Lease renewed at %s',
    async (renewTime) => {
      const { clock, server, put } = setUp();
      const skewed = { holderIdentity: 'skewed', leaseDurationSeconds: 15, renewTime };
      put({ ...skewed, leaseTransitions: 0 });
      const b = candidate('b', clock, { api: server });
      for (let renewal = 1; renewal <= 10; renewal++) {
        await clock.advance(14_000);
        put({ ...skewed, leaseTransitions: renewal });
      }
      expect(b.state.leads).toBe(false);
      await clock.advance(19_000);
      expect(b.state.leads).toBe(true);
    },
  );

  it('heeds the duration that the holder wrote', async () => {
    const { clock, server, put } = setUp();
    put({ holderIdentity: 'slow', leaseDurationSeconds: 60 });
    const b = candidate('b', clock, { api: server });
    await clock.advance(59_000);
    expect(b.state.leads).toBe(false);
    await clock.advance(3_000);
    expect(b.state.leads).toBe(true);
  });

  it('lets one of two win when both see an expired Lease', async () => {
    const { clock, server, put } = setUp();
    put({ holderIdentity: 'dead', leaseDurationSeconds: 15 });
    const [a, b] = [candidate('a', clock, { api: server }), candidate('b', clock, { api: server })];
    await clock.advance(40_000);
    expect([a.state.leads, b.state.leads].filter(Boolean)).toHaveLength(1);
  });

  it('does not take what another took between its look and its write', async () => {
    const { clock, server, faults, put, spec } = setUp();
    put({ holderIdentity: '', leaseDurationSeconds: 1 });
    faults.before = ({ verb }) => {
      if (verb === 'patch') put({ holderIdentity: 'faster', leaseDurationSeconds: 15 });
      return 'proceed';
    };
    const a = candidate('a', clock, { api: server });
    await clock.advance(1_000);
    expect([a.state.leads, spec()?.holderIdentity]).toEqual([false, 'faster']);
  });

  it('does not lead by an answer that came when the Lease may have passed on', async () => {
    const { clock, server } = setUp();
    let pausedMs = 0;
    const paused: Clock = {
      now: () => clock.now() + pausedMs,
      after: (delayMs, callback) => clock.after(delayMs, callback),
      wallTime: () => clock.wallTime(),
    };
    const api: LeaderElectionOptions['api'] = {
      get: (type, key) => server.get(type, key),
      create: (type, object) => {
        pausedMs += 20_000;
        return server.create(type, object);
      },
      patch: (type, key, patch) => server.patch(type, key, patch),
    };
    const a = candidate('a', clock, { api, clock: paused });
    await clock.advance(1_000);
    expect(a.state.leads).toBe(false);
    await clock.advance(1_000);
    expect(a.state.leads).toBe(true);
  });

  it('ends quietly when it is told to before it leads', async () => {
    const { clock, server, put, spec } = setUp();
    put({ holderIdentity: 'other', leaseDurationSeconds: 15 });
    const b = candidate('b', clock, { api: server });
    await clock.advance(3_000);
    b.stop.abort();
    await b.running;
    expect([b.state.ended, spec()?.holderIdentity, clock.pending]).toEqual([
      'released',
      'other',
      0,
    ]);
  });

  it('gives back what it got while it was told to end', async () => {
    const { clock, server, faults, spec } = setUp();
    const stop = new AbortController();
    faults.before = ({ verb }) => {
      if (verb === 'create') stop.abort();
      return 'proceed';
    };
    const election = new LeaderElection({
      ...{ api: server, lease: KEY, identity: 'a', clock, random: () => 0 },
      logger: recordingLogger(),
    });
    await election.run(stop.signal, () => Promise.reject(new Error('must not lead')));
    expect([spec()?.holderIdentity, clock.pending]).toEqual(['', 0]);
  });

  it('releases the Lease and passes on what its work throws', async () => {
    const { clock, server, spec } = setUp();
    const a = candidate('a', clock, { api: server });
    await clock.advance(1);
    a.finish.reject(new Error('work failed'));
    await a.running;
    expect([a.state.ended, spec()?.holderIdentity]).toEqual(['Error: work failed', '']);
  });

  it.each([{ renewDeadlineMs: 15_000 }, { retryPeriodMs: 10_000 }, { leaseDurationMs: 9_000 }])(
    'refuses times that cannot work: %j',
    (times) => {
      const { clock, server } = setUp();
      expect(() => candidate('a', clock, { api: server, ...times })).toThrow(
        'leader election needs',
      );
    },
  );
});

describe('the leader', () => {
  it('goes on through failures shorter than the deadline', async () => {
    const { clock, server, faults } = setUp();
    const a = candidate('a', clock, { api: server });
    await clock.advance(4_000);
    faults.before = () => DOWN;
    await clock.advance(7_000);
    delete faults.before;
    await clock.advance(60_000);
    expect(a.state).toEqual({ leads: true, lost: false, ended: '' });
  });

  it('aborts its work and fails when it cannot renew until the deadline', async () => {
    const { clock, server, faults, spec } = setUp();
    const a = candidate('a', clock, { api: server });
    await clock.advance(4_000);
    faults.before = () => DOWN;
    await clock.advance(9_999);
    expect(a.state.lost).toBe(false);
    await clock.advance(1);
    expect(a.state).toEqual({ leads: false, lost: true, ended: 'lost' });
    expect([a.told.at(-1), spec()?.holderIdentity, clock.pending]).toEqual([false, 'a', 0]);
  });

  it('is out before the next can be in', async () => {
    const { clock, server } = setUp();
    let isCut = false;
    const cut = <V>(request: () => Promise<V>): Promise<V> =>
      isCut ? Promise.reject(DOWN) : request();
    const api: LeaderElectionOptions['api'] = {
      get: (type, key) => cut(() => server.get(type, key)),
      create: (type, object) => cut(() => server.create(type, object)),
      patch: (type, key, patch) => cut(() => server.patch(type, key, patch)),
    };
    const a = candidate('a', clock, { api });
    const b = candidate('b', clock, { api: server });
    await clock.advance(4_000);
    isCut = true;
    await clock.advance(10_000);
    expect([a.state.lost, b.state.leads]).toEqual([true, false]);
    await clock.advance(9_000);
    expect(b.state.leads).toBe(true);
  });

  it('keeps the deadline when requests hang, but survives one that does', async () => {
    const { clock, server } = setUp();
    let hanging = 0;
    const maybe = <V>(request: () => Promise<V>): Promise<V> =>
      hanging-- > 0 ? new Promise<V>(() => undefined) : request();
    const api: LeaderElectionOptions['api'] = {
      get: (type, key) => maybe(() => server.get(type, key)),
      create: (type, object) => server.create(type, object),
      patch: (type, key, patch) => server.patch(type, key, patch),
    };
    const a = candidate('a', clock, { api });
    await clock.advance(3_000);
    hanging = 1;
    await clock.advance(20_000);
    expect(a.state.leads).toBe(true);
    hanging = 1_000;
    await clock.advance(10_000);
    expect(a.state.ended).toBe('lost');
  });

  it('counts the deadline from when it asked, not from when it was answered', async () => {
    const { clock, server, faults } = setUp();
    let delayMs = 0;
    const api: LeaderElectionOptions['api'] = {
      get: async (type, key) => {
        await delay(clock, delayMs, new AbortController().signal);
        return server.get(type, key);
      },
      create: (type, object) => server.create(type, object),
      patch: (type, key, patch) => server.patch(type, key, patch),
    };
    const a = candidate('a', clock, { api });
    await clock.advance(1_000);
    delayMs = 4_000;
    await clock.advance(5_500);
    faults.before = () => DOWN;
    await clock.advance(5_499);
    expect(a.state.lost).toBe(false);
    await clock.advance(1);
    expect(a.state.lost).toBe(true);
  });

  it('gives up at once when another holds the Lease', async () => {
    const { clock, server, put, spec } = setUp();
    const a = candidate('a', clock, { api: server });
    await clock.advance(3_000);
    put({ holderIdentity: 'usurper', leaseDurationSeconds: 15 });
    await clock.advance(2_000);
    expect([a.state.ended, a.state.lost, spec()?.holderIdentity]).toEqual([
      ...['lost', true, 'usurper'],
    ]);
  });

  it('makes the Lease again when somebody deleted it', async () => {
    const { clock, server, spec } = setUp();
    const a = candidate('a', clock, { api: server });
    await clock.advance(3_000);
    server.remove(LEASES, KEY);
    await clock.advance(2_000);
    expect([a.state.leads, spec()?.holderIdentity]).toEqual([true, 'a']);
  });

  it('yields to another that made the deleted Lease first', async () => {
    const { clock, server, put } = setUp();
    const a = candidate('a', clock, { api: server });
    await clock.advance(3_000);
    server.remove(LEASES, KEY);
    put({ holderIdentity: 'b', leaseDurationSeconds: 15 });
    await clock.advance(2_000);
    expect(a.state.ended).toBe('lost');
  });

  it('does not release a Lease that is not its own any more', async () => {
    const { clock, server, put, spec } = setUp();
    const a = candidate('a', clock, { api: server });
    await clock.advance(3_000);
    put({ holderIdentity: 'usurper', leaseDurationSeconds: 15 });
    a.finish.resolve(undefined);
    await a.running;
    expect(spec()?.holderIdentity).toBe('usurper');
  });
});
