// The runtime's and the operator's tests trust the fake API server: it must behave like a real one.
import { describe, expect, it } from '@jest/globals';
import { ApiError } from '../../../../operator/controller/api-error.ts';
import type { WatchEvent } from '../../../../operator/controller/api-client.ts';
import {
  FakeApiServer,
  type FakeApiServerOptions,
} from '../../../support/kubernetes/fake-api-server.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import {
  CONFIG_MAPS,
  PODS,
  RUNTIME_KINDS,
  widget,
  WIDGETS,
  type Widget,
} from '../../../support/kubernetes/kinds.ts';
import { settled } from '../../../support/manual-clock.ts';

const KEY = { namespace: 'demo', name: 'a' };

function setUp(options: Partial<FakeApiServerOptions> = {}) {
  const clock = new FakeClock();
  const server = new FakeApiServer({ clock, kinds: RUNTIME_KINDS, ...options });
  const object = (): Widget => server.peek<Widget>(WIDGETS, KEY) ?? { metadata: { name: '' } };
  return { clock, server, object };
}

function owned(name: string, ...uids: readonly string[]) {
  const ownerReferences = uids.map((uid) => ({ apiVersion: 'v1', kind: 'Owner', name: uid, uid }));
  return { metadata: { name, namespace: 'demo', ownerReferences } };
}

describe('objects of the fake API server', () => {
  it('get uid, version, generation and time; a status only by its subresource', async () => {
    const { server } = setUp();
    const created = await server.create(WIDGETS, { ...widget('a', { size: 1 }), status: { b: 1 } });
    expect(created).toEqual({
      ...{ apiVersion: 'test.example.com/v1', kind: 'Widget', spec: { size: 1 } },
      metadata: {
        ...{ name: 'a', namespace: 'demo', uid: 'uid-1', resourceVersion: '2', generation: 1 },
        creationTimestamp: '2026-01-01T00:00:00Z',
      },
    });
    await expect(server.create(WIDGETS, widget('a'))).rejects.toMatchObject({
      ...{ code: 409, reason: 'AlreadyExists' },
    });
  });

  it('change by patches, the spec with a new generation, the status without', async () => {
    const { server, object } = setUp();
    await server.create(WIDGETS, widget('a', { size: 1, old: { x: 1 } }));
    await server.patch(WIDGETS, KEY, {
      body: { spec: { size: 2, old: null, list: [1] }, status: { ignored: true } },
    });
    expect([object().spec, object().status, object().metadata.generation]).toEqual([
      ...[{ size: 2, list: [1] }, undefined, 2],
    ]);
    await server.patch(WIDGETS, KEY, {
      ...{ body: { spec: { size: 9 }, status: { ready: 1 } }, subresource: 'status' },
    });
    expect([object().spec?.['size'], object().status, object().metadata]).toMatchObject([
      ...[2, { ready: 1 }, { generation: 2, resourceVersion: '4' }],
    ]);
    await server.patch(WIDGETS, KEY, { body: { spec: { size: 2 } } });
    expect(object().metadata.resourceVersion).toBe('4');
  });

  it.each([
    { preconditions: { resourceVersion: '0' }, code: 409 },
    { preconditions: { resourceVersion: '0', uid: 'other' }, code: 409 },
    { preconditions: { uid: 'other' }, code: 422 },
  ])('are kept from requests under conditions that do not hold: %j', async (conditions) => {
    const { preconditions, code } = conditions;
    const { server } = setUp();
    await server.create(WIDGETS, widget('a'));
    const body = { metadata: preconditions, spec: { size: 2 } };
    await expect(server.patch(WIDGETS, KEY, { body })).rejects.toMatchObject({ code });
    const applied = { metadata: { ...KEY, ...preconditions } };
    const apply = server.apply(WIDGETS, applied, { fieldManager: 'me' });
    await expect(apply).rejects.toMatchObject({ code });
    const deletion = server.delete(WIDGETS, KEY, { preconditions });
    await expect(deletion).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
  });

  it('are not made by an apply that expects one', async () => {
    const { server } = setUp();
    const applied = { metadata: { ...KEY, uid: 'uid-1' } };
    const apply = server.apply(WIDGETS, applied, { fieldManager: 'me' });
    await expect(apply).rejects.toMatchObject({ code: 409 });
  });

  it('are made by an apply that names a version, if there is none', async () => {
    const { server } = setUp();
    const applied = { metadata: { ...KEY, resourceVersion: '1' } };
    const apply = () => server.apply(WIDGETS, applied, { fieldManager: 'me' });
    expect((await apply()).metadata.uid).toBe('uid-1');
    await expect(apply()).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
  });

  it('are not found where there are none', async () => {
    const { server } = setUp();
    expect(await server.get(WIDGETS, KEY)).toBeUndefined();
    await server.delete(WIDGETS, KEY);
    await expect(server.patch(WIDGETS, KEY, { body: {} })).rejects.toMatchObject({ code: 404 });
    const unknown = { ...WIDGETS, plural: 'gadgets' };
    await expect(server.list(unknown)).rejects.toMatchObject({ code: 404 });
  });

  it('cannot be changed by who got them', async () => {
    const { server } = setUp();
    const list = [1];
    const created = await server.create(WIDGETS, { ...widget('a'), spec: { list } });
    expect(() => created.spec.list.push(2)).toThrow(TypeError);
  });

  it('go with their last owner', async () => {
    const { server } = setUp();
    const { metadata } = await server.create(WIDGETS, widget('a'));
    const uid = metadata.uid ?? '';
    for (const object of [owned('alone', uid), owned('shared', uid, 'other'), owned('free')]) {
      server.put(CONFIG_MAPS, object);
    }
    await server.delete(WIDGETS, KEY);
    const left = server.peekAll(CONFIG_MAPS);
    expect(left.map((each) => [each.metadata.name, each.metadata.ownerReferences])).toEqual([
      ['free', []],
      ['shared', [expect.objectContaining({ uid: 'other' })]],
    ]);
  });

  it('stay when the owner is deleted as an orphaner', async () => {
    const { server } = setUp();
    const { metadata } = await server.create(WIDGETS, widget('a'));
    server.put(CONFIG_MAPS, owned('child', metadata.uid ?? ''));
    await server.delete(WIDGETS, KEY, { propagationPolicy: 'Orphan' });
    const [child] = server.peekAll(CONFIG_MAPS);
    expect(child?.metadata).toMatchObject({ name: 'child' });
    expect(child?.metadata.ownerReferences).toBeUndefined();
  });

  it('wait for their finalizers', async () => {
    const { server, object } = setUp();
    server.put(WIDGETS, { metadata: { ...KEY, finalizers: ['x'] } });
    await server.delete(WIDGETS, KEY);
    expect(object().metadata.deletionTimestamp).toBe('2026-01-01T00:00:00Z');
    await server.patch(WIDGETS, KEY, { body: { metadata: { finalizers: null } } });
    expect(server.peek(WIDGETS, KEY)).toBeUndefined();
  });
});

describe('server-side apply of the fake', () => {
  it('leaves what others own and takes away what its manager dropped', async () => {
    const { server, object } = setUp();
    const apply = (spec: Record<string, unknown>): Promise<Widget> =>
      server.apply(WIDGETS, widget('a', spec), { fieldManager: 'base' });
    await apply({ size: 1, pod: { image: 'x', labels: { a: 'b' } } });
    const body = { spec: { replicas: 3 } };
    await server.patch(WIDGETS, KEY, { body, fieldManager: 'scaler' });
    await apply({ size: 2, pod: { image: 'x' } });
    expect(object().spec).toEqual({ size: 2, pod: { image: 'x' }, replicas: 3 });
    const version = object().metadata.resourceVersion;
    await apply({ size: 2, pod: { image: 'x' } });
    expect(object().metadata.resourceVersion).toBe(version);
  });

  it('keeps a field that two own until both dropped it', async () => {
    const { server, object } = setUp();
    const apply = (fieldManager: string, spec: Record<string, unknown>): Promise<Widget> =>
      server.apply(WIDGETS, widget('a', spec), { fieldManager });
    await apply('one', { size: 1, x: 1 });
    await apply('two', { size: 1 });
    await apply('one', { x: 1 });
    expect(object().spec).toEqual({ size: 1, x: 1 });
    await apply('two', {});
    expect(object().spec).toEqual({ x: 1 });
  });

  it('refuses to take a field over without force', async () => {
    const { server, object } = setUp();
    await server.apply(WIDGETS, widget('a', { size: 1 }), { fieldManager: 'one' });
    const mine = widget('a', { size: 2 });
    const gentle = server.apply(WIDGETS, mine, { fieldManager: 'two', force: false });
    await expect(gentle).rejects.toMatchObject({ code: 409 });
    await server.apply(WIDGETS, mine, { fieldManager: 'two' });
    await server.apply(WIDGETS, widget('a', {}), { fieldManager: 'one' });
    expect(object().spec).toEqual({ size: 2 });
  });

  it('changes nothing in a dry run', async () => {
    const { server } = setUp();
    const options = { fieldManager: 'me', dryRun: true };
    expect(await server.apply(WIDGETS, widget('a', { size: 1 }), options)).toMatchObject({
      spec: { size: 1 },
    });
    expect(server.peek(WIDGETS, KEY)).toBeUndefined();
  });
});

describe('watches of the fake', () => {
  async function follow(server: FakeApiServer, resourceVersion: string): Promise<string[]> {
    const signal = new AbortController().signal;
    const options = { resourceVersion, timeoutSeconds: 300, signal, labelSelector: 'app=x' };
    const seen: string[] = [];
    const tell = ({ type, object }: WatchEvent): void => {
      seen.push(`${type} ${object.metadata.name} ${object.metadata.resourceVersion ?? ''}`);
    };
    void (async () => {
      for await (const event of server.watch(WIDGETS, options)) tell(event);
      seen.push('ended');
    })().catch((error: unknown) => seen.push(String(error)));
    await settled();
    return seen;
  }
  const labelled = (app: string): Widget => ({ metadata: { ...KEY, labels: { app } } });

  it('tell the history from a version on, then what happens, as the selection sees it', async () => {
    const { clock, server } = setUp();
    server.put(WIDGETS, labelled('x'));
    const changed: Widget = { ...labelled('x'), spec: { size: 1 } };
    server.put(WIDGETS, changed);
    const [late, early] = [await follow(server, '3'), await follow(server, '1')];
    server.put(WIDGETS, labelled('y'));
    server.put(WIDGETS, labelled('x'));
    server.remove(WIDGETS, KEY);
    await clock.advance(300_000);
    const after = ['DELETED a 4', 'ADDED a 5', 'DELETED a 6', 'ended'];
    expect(late).toEqual(after);
    expect(early).toEqual(['ADDED a 2', 'MODIFIED a 3', ...after]);
    expect(server.openWatches).toBe(0);
  });

  it('refuse versions that were compacted away', async () => {
    const { server } = setUp();
    server.put(WIDGETS, labelled('x'));
    server.compact();
    expect(await follow(server, '1')).toEqual(['ApiError: too old resource version: 1']);
    expect(await follow(server, '2')).toEqual([]);
  });
});

describe('faults of the fake', () => {
  it('fail a request before or after its effect, by its number', async () => {
    const lost = new ApiError('answer lost', { code: 0 });
    const { server } = setUp({
      before: ({ number }) => (number === 1 ? lost : 'proceed'),
      after: ({ number }) => (number === 2 ? lost : 'proceed'),
    });
    await expect(server.create(WIDGETS, widget('a'))).rejects.toBe(lost);
    expect(server.peek(WIDGETS, KEY)).toBeUndefined();
    await expect(server.create(WIDGETS, widget('a'))).rejects.toBe(lost);
    expect(server.peek(WIDGETS, KEY)).toBeDefined();
    expect(server.writes.map(({ verb, number }) => [verb, number])).toEqual([
      ['create', 1],
      ['create', 2],
    ]);
  });

  it('let disruption budgets refuse an eviction', async () => {
    const budget = { allows: false };
    const { server } = setUp({ mayEvict: () => budget.allows });
    const pod = server.put(PODS, { metadata: KEY });
    const uid = pod.metadata.uid ?? '';
    await expect(server.evict(KEY, { uid })).rejects.toMatchObject({ code: 429 });
    budget.allows = true;
    await expect(server.evict(KEY, { uid: 'other' })).rejects.toMatchObject({ code: 409 });
    await server.evict(KEY, { uid, dryRun: true });
    expect(server.peek(PODS, KEY)).toBeDefined();
    await server.evict(KEY, { uid });
    expect(server.peek(PODS, KEY)).toBeUndefined();
  });
});
