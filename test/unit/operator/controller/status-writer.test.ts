import { describe, expect, it } from '@jest/globals';
import {
  mergeConditions,
  writeStatus,
  type Condition,
} from '../../../../operator/controller/status-writer.ts';
import { FakeApiServer } from '../../../support/kubernetes/fake-api-server.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import { RUNTIME_KINDS, widget, WIDGETS, type Widget } from '../../../support/kubernetes/kinds.ts';

const BEFORE = '2026-01-01T00:00:00Z';
const NOW = '2026-01-02T00:00:00Z';

function setUp(status: Widget['status']) {
  const server = new FakeApiServer({ clock: new FakeClock(), kinds: RUNTIME_KINDS });
  server.put(WIDGETS, { ...widget('a', { size: 1 }), ...(status && { status }) });
  const object = server.peek<Widget>(WIDGETS, widget('a').metadata) as Widget;
  const write = (next: Readonly<Record<string, unknown>>, from = object): Promise<Widget> =>
    writeStatus(server, { type: WIDGETS, object: from, status: next, fieldManager: 'test' });
  return { server, object, write };
}

describe('writeStatus', () => {
  it.each([
    ['equal', { a: 1, list: [{ b: 2 }] }, { list: [{ b: 2 }], a: 1 }],
    ['equal but for undefined fields', { a: 1 }, { a: 1, b: undefined }],
    ['empty, where there is none', undefined, {}],
  ])('writes nothing when the status is %s', async (_, old, current) => {
    const { server, object, write } = setUp(old);
    expect(await write(current)).toBe(object);
    expect(server.requests).toEqual([]);
  });

  it.each([
    ['a changed field', { a: 1, b: 1 }, { a: 2, b: 1 }],
    ['a vanished field', { a: 1, b: 1 }, { a: 1 }],
    ['a vanished inner field', { a: { b: 1, c: { d: 1 } } }, { a: { c: {} } }],
    ['a map in place of a list', { a: [1] }, { a: { b: 1 } }],
    ['a shorter list', { a: [1, 2] }, { a: [1] }],
    ['the first status', undefined, { a: 1 }],
    ['an emptied status', { a: 1 }, {}],
  ])('makes the status what it should be: %s', async (_, old, current) => {
    const { server, object, write } = setUp(old);
    const written = await write(current);
    expect(written.status).toEqual(current);
    expect(server.writes).toHaveLength(1);
    const stored = server.peek<Widget>(WIDGETS, object.metadata);
    expect([stored?.status, stored?.spec]).toEqual([current, { size: 1 }]);
    await write(current, written);
    expect(server.writes).toHaveLength(1);
  });

  it.each([
    ['changed meanwhile', { resourceVersion: '0' }, 409],
    ['is another of the same name', { uid: 'other' }, 422],
  ])('is refused when the object %s', async (_, metadata, code) => {
    const { object, write } = setUp({ a: 1 });
    const stale = { ...object, metadata: { ...object.metadata, ...metadata } };
    await expect(write({ a: 2 }, stale)).rejects.toMatchObject({ code });
  });
});

describe('mergeConditions', () => {
  const ready: Condition = {
    ...{ type: 'Ready', status: 'True', reason: 'Fine', message: '' },
    lastTransitionTime: BEFORE,
  };

  it.each([
    ['keeps the time while only reason and message change', 'True', BEFORE],
    ['takes the present time when the status changes', 'False', NOW],
  ] as const)('%s', (_, status, time) => {
    const changed = { type: 'Ready', status, reason: 'Other', message: 'text' };
    expect(mergeConditions([ready], [changed], NOW)).toEqual([
      { ...changed, lastTransitionTime: time },
    ]);
  });

  it('adds new conditions and drops those that are not there any more', () => {
    const paused = { type: 'Paused', status: 'Unknown', reason: 'New', message: '' } as const;
    expect(mergeConditions([ready], [paused], NOW)).toEqual([
      { ...paused, lastTransitionTime: NOW },
    ]);
  });
});
