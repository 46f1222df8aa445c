import { describe, expect, it } from '@jest/globals';
import { ApiError } from '../../../../operator/controller/api-error.ts';
import type { KubernetesObject } from '../../../../operator/controller/kubernetes-object.ts';
import { ObjectStore } from '../../../../operator/controller/object-store.ts';
import { Reflector, type ReflectorOptions } from '../../../../operator/controller/reflector.ts';
import { FakeApiServer, type FakeRequest } from '../../../support/kubernetes/fake-api-server.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import { RUNTIME_KINDS, widget, WIDGETS } from '../../../support/kubernetes/kinds.ts';
import { recordingLogger } from '../../../support/kubernetes/recording-logger.ts';
import { settled } from '../../../support/manual-clock.ts';

const BROKEN = new ApiError('connection reset', { code: 0 });

type Setup = {
  readonly before?: (request: FakeRequest) => 'proceed' | ApiError;
  readonly random?: number;
  readonly options?: Partial<ReflectorOptions<KubernetesObject>>;
};

async function setUp({ before, random = 0, options = {} }: Setup = {}) {
  const clock = new FakeClock();
  const requests: string[] = [];
  const server = new FakeApiServer({
    clock,
    kinds: RUNTIME_KINDS,
    before: (request) => {
      requests.push(`${clock.now()} ${request.verb}`);
      return before?.(request) ?? 'proceed';
    },
  });
  server.put(WIDGETS, widget('a'));
  const logger = recordingLogger();
  const changes: string[] = [];
  const reflector = new Reflector({
    ...{ api: server, type: WIDGETS, store: new ObjectStore(), clock, logger },
    random: () => random,
    handlers: [
      (key, { old, current }) => {
        const versions = [old, current].map((object) => object?.metadata.resourceVersion ?? '-');
        changes.push(`${key} ${versions.join(' ')}`);
      },
    ],
    ...options,
  });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  await settled();
  return { clock, server, logger, changes, requests, reflector, stop, running };
}

function namesIn({ store }: { readonly store: ObjectStore<KubernetesObject> }): readonly string[] {
  return store.list().map(({ metadata }) => metadata.name);
}

describe('Reflector', () => {
  it('lists, then follows every change', async () => {
    const { server, changes, reflector, requests } = await setUp();
    await reflector.synced;
    server.put(WIDGETS, widget('b'));
    server.put(WIDGETS, widget('a', { size: 2 }));
    server.remove(WIDGETS, widget('b').metadata);
    await settled();
    expect(changes).toEqual(['demo/a - 2', 'demo/b - 3', 'demo/a 2 4', 'demo/b 3 -']);
    expect(namesIn(reflector)).toEqual(['a']);
    expect(requests).toEqual(['0 list', '0 watch']);
  });

  it('asks again from where it is when a watch ends in time', async () => {
    const { clock, server, changes, requests } = await setUp();
    await clock.advance(290_000);
    server.put(WIDGETS, widget('b'));
    await settled();
    expect(requests).toEqual(['0 list', '0 watch', '290000 watch']);
    expect(changes).toEqual(['demo/a - 2', 'demo/b - 3']);
  });

  it.each([
    { random: 0, seconds: 290 },
    { random: 0.999999, seconds: 590 },
  ])('keeps a watch open for $seconds s when chance is $random', async ({ random, seconds }) => {
    const { clock, requests } = await setUp({ random });
    await clock.advance(seconds * 1000 - 1);
    expect(requests).toHaveLength(2);
    await clock.advance(1);
    expect(requests).toHaveLength(3);
  });

  it('needs no list when a bookmark moved it past what the server forgot', async () => {
    const { clock, server, requests } = await setUp();
    server.put({ ...WIDGETS, plural: 'configmaps', group: '' }, widget('other'));
    server.bookmark(WIDGETS);
    await settled();
    server.compact();
    await clock.advance(290_000);
    expect(requests).toEqual(['0 list', '0 watch', '290000 watch']);
  });

  it('has only the namespace and labels it asks for', async () => {
    const options = { namespace: 'demo', labelSelector: 'app=x' };
    const { server, reflector } = await setUp({ options });
    const labels = { app: 'x' };
    server.put(WIDGETS, { metadata: { name: 'b', namespace: 'demo', labels } });
    server.put(WIDGETS, { metadata: { name: 'c', namespace: 'other', labels } });
    await settled();
    expect(namesIn(reflector)).toEqual(['b']);
    server.put(WIDGETS, { metadata: { name: 'b', namespace: 'demo' } });
    await settled();
    expect(namesIn(reflector)).toEqual([]);
  });

  it('runs once at a time', async () => {
    const { reflector } = await setUp();
    await expect(reflector.run(new AbortController().signal)).rejects.toThrow('runs already');
  });

  it('ends when told to, whether it lists, watches or waits', async () => {
    for (const failing of ['list', 'watch', 'none']) {
      const before = ({ verb }: FakeRequest) => (verb === failing ? BROKEN : 'proceed');
      const { clock, server, stop, running } = await setUp({ before });
      stop.abort();
      await running;
      expect([server.openWatches, clock.pending]).toEqual([0, 0]);
    }
  });
});

describe('Reflector, on failures,', () => {
  it('lists again when the version expired, and tells the difference', async () => {
    const { clock, server, changes, requests } = await setUp();
    server.endWatches(WIDGETS, BROKEN);
    server.put(WIDGETS, widget('b'));
    server.remove(WIDGETS, widget('a').metadata);
    server.compact();
    await clock.advance(5_000);
    expect(requests.slice(2)).toEqual(['800 watch', '2400 list', '2400 watch']);
    expect(changes.slice(1)).toEqual(['demo/a 2 -', 'demo/b - 3']);
  });

  it('lists again at once on an ERROR event of expiry', async () => {
    const { server, requests } = await setUp();
    server.failWatches(WIDGETS, { code: 410, reason: 'Expired' });
    await settled();
    expect(requests).toEqual(['0 list', '0 watch', '0 list', '0 watch']);
  });

  it('does not storm a server that calls everything expired', async () => {
    const expired = new ApiError('too old', { code: 410, reason: 'Expired' });
    const before = ({ verb }: FakeRequest) => (verb === 'watch' ? expired : 'proceed');
    const { clock, requests } = await setUp({ before });
    await clock.advance(120_000);
    expect(requests.length).toBeLessThan(25);
  });

  it('watches on from the last version after other ERROR events', async () => {
    const { clock, server, requests } = await setUp();
    server.failWatches(WIDGETS, { code: 500, reason: 'InternalError' });
    await clock.advance(1_000);
    expect(requests).toEqual(['0 list', '0 watch', '800 watch']);
  });

  it('backs off while the server fails, up to 30 s, and starts anew after an event', async () => {
    let isDown = false;
    const before = () => (isDown ? BROKEN : 'proceed');
    const { clock, server, requests } = await setUp({ before });
    isDown = true;
    server.endWatches(WIDGETS, BROKEN);
    await clock.advance(110_000);
    const times = requests.slice(2).map((line) => Number(line.split(' ')[0]));
    const pauses = times.map((time, index) => time - (times[index - 1] ?? 0));
    expect(pauses).toEqual([800, 1600, 3200, 6400, 12_800, 25_600, 30_000]);
    isDown = false;
    await clock.advance(30_000);
    server.put(WIDGETS, widget('b'));
    await settled();
    const failedAt = clock.now();
    server.endWatches(WIDGETS, BROKEN);
    await clock.advance(800);
    expect(requests.at(-1)).toBe(`${failedAt + 800} watch`);
  });

  it('adds jitter', async () => {
    const { clock, server, requests } = await setUp({ random: 0.5 });
    server.endWatches(WIDGETS, BROKEN);
    await clock.advance(1_200);
    expect(requests.at(-1)).toBe('1200 watch');
  });

  it('waits as long as the server asks', async () => {
    const busy = new ApiError('busy', { code: 500, retryAfterMs: 7_000 });
    let answers = [busy];
    const before = ({ verb }: FakeRequest) =>
      verb === 'watch' ? (answers.shift() ?? 'proceed') : 'proceed';
    const { clock, requests } = await setUp({ before });
    answers = [];
    await clock.advance(6_999);
    expect(requests).toHaveLength(2);
    await clock.advance(1);
    expect(requests.slice(2)).toEqual(['7000 watch']);
  });

  it('is not synced before a list succeeded', async () => {
    const failures = [BROKEN];
    const { clock, reflector } = await setUp({ before: () => failures.shift() ?? 'proceed' });
    let isSynced = false;
    void reflector.synced.then(() => (isSynced = true));
    await clock.advance(799);
    expect(isSynced).toBe(false);
    await clock.advance(1);
    expect(isSynced).toBe(true);
  });

  it('takes a watch that ends at once as a failure', async () => {
    const { clock, server, requests } = await setUp();
    server.endWatches(WIDGETS);
    await settled();
    expect(requests).toHaveLength(2);
    await clock.advance(800);
    expect(requests.at(-1)).toBe('800 watch');
  });

  it('aborts a watch that neither delivers nor ends', async () => {
    const silent = new FakeApiServer({ clock: new FakeClock(), kinds: RUNTIME_KINDS });
    const { clock, logger, stop, running } = await setUp({ options: { api: silent } });
    await clock.advance(434_999);
    expect(silent.openWatches).toBe(1);
    await clock.advance(1);
    expect(silent.openWatches).toBe(0);
    expect(logger.lines.at(-1)?.fields['error']).toContain('stalled');
    await clock.advance(800);
    expect(silent.openWatches).toBe(1);
    stop.abort();
    await running;
  });

  it('keeps a watch that delivers, however long the server leaves it open', async () => {
    const frozen = new FakeApiServer({ clock: new FakeClock(), kinds: RUNTIME_KINDS });
    const { clock, reflector } = await setUp({ options: { api: frozen } });
    for (const name of ['b', 'c']) {
      await clock.advance(400_000);
      frozen.put(WIDGETS, widget(name));
    }
    await settled();
    expect(frozen.requests.map(({ verb }) => verb)).toEqual(['list', 'watch']);
    expect(namesIn(reflector)).toEqual(['b', 'c']);
  });

  it('goes on when a handler throws, and tells the others', async () => {
    const told: string[] = [];
    let failures = 0;
    const { server, logger, reflector } = await setUp({
      options: {
        metrics: {
          listed: () => undefined,
          failed: () => undefined,
          handlerFailed: () => failures++,
        },
        handlers: [
          () => {
            throw new Error('handler is broken');
          },
          (key) => told.push(key),
        ],
      },
    });
    server.put(WIDGETS, widget('b'));
    await settled();
    expect([told, failures]).toEqual([['demo/a', 'demo/b'], 2]);
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(2);
    expect(namesIn(reflector)).toEqual(['a', 'b']);
  });
});

describe('the health of a Reflector', () => {
  it('is judged by its last contact', async () => {
    let isDown = false;
    const { clock, server, reflector } = await setUp({
      before: () => (isDown ? BROKEN : 'proceed'),
    });
    await clock.advance(100_000);
    expect(reflector.lastContactMs()).toBe(100_000);
    server.bookmark(WIDGETS);
    await settled();
    expect(reflector.lastContactMs()).toBe(0);
    isDown = true;
    server.endWatches(WIDGETS, BROKEN);
    await clock.advance(3 * 290_000);
    expect(reflector.problem()).toBeUndefined();
    await clock.advance(1);
    expect(reflector.problem()).toBe('no contact with the API server about widgets for 870 s');
    isDown = false;
    await clock.advance(30_000);
    server.bookmark(WIDGETS);
    await settled();
    expect(reflector.problem()).toBeUndefined();
  });
});
