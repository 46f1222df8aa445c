import { describe, expect, it } from '@jest/globals';
import { ApiError } from '../../../../operator/controller/api-error.ts';
import {
  EventRecorder,
  EVENTS,
  type EventObject,
  type RecordedEvent,
} from '../../../../operator/controller/event-recorder.ts';
import { FakeApiServer } from '../../../support/kubernetes/fake-api-server.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import { RUNTIME_KINDS } from '../../../support/kubernetes/kinds.ts';
import { recordingLogger } from '../../../support/kubernetes/recording-logger.ts';

const REGARDING = {
  apiVersion: 'test.example.com/v1',
  kind: 'Widget',
  metadata: { name: 'a', namespace: 'demo', uid: 'uid-a', resourceVersion: '7' },
};

function setUp(options: { burst?: number } = {}) {
  const clock = new FakeClock();
  const faults: ApiError[] = [];
  const server = new FakeApiServer({
    clock,
    kinds: RUNTIME_KINDS,
    before: () => faults.shift() ?? 'proceed',
  });
  const counts = { failed: 0, dropped: 0 };
  const logger = recordingLogger();
  let suffixes = 0;
  const recorder = new EventRecorder({
    ...{ api: server, clock, logger, reportingController: 'example.com/operator' },
    reportingInstance: 'operator-0',
    newSuffix: () => `s${++suffixes}`,
    metrics: { failed: () => counts.failed++, dropped: () => counts.dropped++ },
    ...options,
  });
  const record = async (event: Partial<RecordedEvent> = {}): Promise<void> => {
    const usual = { regarding: REGARDING, type: 'Normal', reason: 'Scaled' } as const;
    recorder.event({ ...usual, action: 'Scale', note: 'now 3', ...event });
    await recorder.flush();
  };
  const events = (): readonly EventObject[] => server.peekAll<EventObject>(EVENTS);
  return { clock, server, faults, counts, logger, recorder, record, events };
}

describe('EventRecorder', () => {
  it('writes an event', async () => {
    const { record, events } = setUp();
    await record();
    expect(events()).toEqual([
      {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: expect.objectContaining({ name: 'a.s1', namespace: 'demo' }) as unknown,
        eventTime: '2026-01-01T00:00:00.000000Z',
        reportingController: 'example.com/operator',
        reportingInstance: 'operator-0',
        ...{ type: 'Normal', reason: 'Scaled', action: 'Scale', note: 'now 3' },
        regarding: {
          ...{ apiVersion: 'test.example.com/v1', kind: 'Widget', namespace: 'demo', name: 'a' },
          ...{ uid: 'uid-a', resourceVersion: '7' },
        },
      },
    ]);
  });

  it('counts the same again within ten minutes as a series', async () => {
    const { clock, record, events } = setUp();
    await record();
    for (let again = 0; again < 2; again++) {
      await clock.advance(9 * 60_000);
      await record();
    }
    expect(events()).toHaveLength(1);
    expect(events()[0]?.series).toEqual({
      ...{ count: 3, lastObservedTime: '2026-01-01T00:18:00.000000Z' },
    });
    await clock.advance(10 * 60_000);
    await record();
    expect(events().map(({ series }) => series?.count)).toEqual([3, undefined]);
  });

  it.each<Partial<RecordedEvent>>([
    { note: 'now 4' },
    { reason: 'Other' },
    { type: 'Warning' },
    { regarding: { ...REGARDING, metadata: { ...REGARDING.metadata, uid: 'uid-b' } } },
  ])('makes a new event of another %j', async (event) => {
    const { record, events } = setUp();
    await record();
    await record(event);
    expect(events().map(({ series }) => series)).toEqual([undefined, undefined]);
  });

  it('starts a new series when the server forgot the event', async () => {
    const { server, record, events } = setUp();
    await record();
    server.remove(EVENTS, { namespace: 'demo', name: 'a.s1' });
    await record();
    expect(events().map(({ metadata }) => metadata.name)).toEqual(['a.s2']);
  });

  it('allows an object a burst, then one more for every five minutes', async () => {
    const { clock, record, events, counts } = setUp();
    const storm = async (from: number): Promise<void> => {
      for (let each = from; each < from + 40; each++) await record({ note: `note ${each}` });
    };
    await storm(0);
    expect([events().length, counts.dropped]).toEqual([25, 15]);
    await clock.advance(5 * 60_000 - 1);
    await storm(100);
    expect(events()).toHaveLength(25);
    await clock.advance(1);
    await storm(200);
    expect(events()).toHaveLength(26);
    await clock.advance(50 * 60_000);
    await storm(300);
    expect(events()).toHaveLength(36);
  });

  it('limits each object for itself', async () => {
    const { record, events } = setUp({ burst: 1 });
    const other = { ...REGARDING, metadata: { ...REGARDING.metadata, name: 'b', uid: 'uid-b' } };
    await record();
    await record({ note: 'one too many' });
    await record({ regarding: other });
    expect(events().map(({ regarding }) => regarding.name)).toEqual(['a', 'b']);
  });

  it('logs and counts what cannot be sent, and sends the next', async () => {
    const { faults, record, events, counts, logger } = setUp();
    faults.push(new ApiError('forbidden', { code: 403 }));
    await record();
    expect([events().length, counts.failed, logger.lines[0]?.level]).toEqual([0, 1, 'warn']);
    await record();
    expect(events()).toHaveLength(1);
  });

  it.each([
    { note: 'x'.repeat(2000), kept: 'x'.repeat(1024) },
    { note: `x${'€'.repeat(500)}`, kept: `x${'€'.repeat(341)}` },
    { note: 'short', kept: 'short' },
  ])('cuts a note to 1 kB between characters', async ({ note, kept }) => {
    const { record, events } = setUp();
    await record({ note });
    expect(events()[0]?.note).toBe(kept);
  });

  it('keeps names and instances within the limits, and has a place for cluster-wide objects', async () => {
    const { record, events } = setUp();
    await record({ regarding: { kind: 'Node', metadata: { name: 'n'.repeat(253) } } });
    expect(events()[0]?.metadata.name).toBe(`${'n'.repeat(250)}.s1`);
    expect(events()[0]?.metadata.namespace).toBe('default');
  });
});
