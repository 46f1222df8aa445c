import { describe, expect, it } from '@jest/globals';
import { LeadershipLost } from '../../../../operator/controller/leader-election.ts';
import { Manager, type ManagerOptions } from '../../../../operator/controller/manager.ts';
import { recordingLogger } from '../../../support/kubernetes/recording-logger.ts';
import { settled } from '../../../support/manual-clock.ts';

/** A part whose life the test directs and which writes its story into `story`. */
function part(name: string, story: string[]) {
  const [synced, drained] = [
    Promise.withResolvers<undefined>(),
    Promise.withResolvers<undefined>(),
  ];
  const run = async (stop: AbortSignal, lost?: AbortSignal): Promise<void> => {
    story.push(`${name} starts`);
    stop.addEventListener('abort', () => story.push(`${name} is to stop`));
    lost?.addEventListener('abort', () => story.push(`${name} is aborted`));
    await drained.promise;
    story.push(`${name} ended`);
  };
  return { name, run, synced: synced.promise, sync: synced.resolve, drained };
}

function fakeElection(story: string[]) {
  const [elected, lost] = [Promise.withResolvers<undefined>(), new AbortController()];
  const failed = Promise.withResolvers<never>();
  const run: NonNullable<ManagerOptions['election']>['run'] = async (signal, onLeading) => {
    const stopped = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        resolve();
      });
    });
    await Promise.race([elected.promise, stopped]);
    if (signal.aborted) return;
    await Promise.race([onLeading(lost.signal), failed.promise]);
    story.push('released');
  };
  const lose = (): void => {
    lost.abort();
    failed.reject(new LeadershipLost('lost'));
  };
  return { election: { run }, elect: elected.resolve, lose };
}

function setUp() {
  const story: string[] = [];
  const [source, worker] = [part('source', story), part('worker', story)];
  const { election, elect, lose } = fakeElection(story);
  const stop = new AbortController();
  const manager = new Manager({
    ...{ sources: [source], workers: [worker], election, logger: recordingLogger() },
  });
  const running = manager.run(stop.signal).then(
    () => 'ended',
    (error: unknown) => String(error),
  );
  return { story, source, worker, elect, lose, stop, manager, running };
}

/** A manager that leads. */
async function leading() {
  const all = setUp();
  all.source.sync(undefined);
  all.elect(undefined);
  await settled();
  all.story.length = 0;
  return all;
}

describe('Manager', () => {
  it('starts workers when it has synced and leads, and not before', async () => {
    const { story, source, elect, manager } = setUp();
    elect(undefined);
    await settled();
    expect([story, manager.problem()]).toEqual([
      ['source starts'],
      'the first lists from the API server are not complete',
    ]);
    source.sync(undefined);
    await settled();
    expect([story, manager.problem()]).toEqual([['source starts', 'worker starts'], undefined]);
  });

  it('is ready while another leads', async () => {
    const { story, source, manager } = setUp();
    source.sync(undefined);
    await settled();
    expect([story, manager.problem()]).toEqual([['source starts'], undefined]);
  });

  it('needs no election', async () => {
    const story: string[] = [];
    const worker = part('worker', story);
    const manager = new Manager({ sources: [], workers: [worker], logger: recordingLogger() });
    const stop = new AbortController();
    const running = manager.run(stop.signal);
    await settled();
    stop.abort();
    worker.drained.resolve(undefined);
    await running;
    expect(story).toEqual(['worker starts', 'worker is to stop', 'worker ended']);
  });

  it('shuts down in order: workers drain, the Lease is released, sources end', async () => {
    const { story, source, worker, stop, running } = await leading();
    stop.abort();
    await settled();
    expect(story).toEqual(['worker is to stop']);
    worker.drained.resolve(undefined);
    await settled();
    source.drained.resolve(undefined);
    expect(await running).toBe('ended');
    expect(story).toEqual([
      ...['worker is to stop', 'worker ended', 'released', 'source is to stop', 'source ended'],
    ]);
  });

  it('ends when told to before it has synced', async () => {
    const { story, source, stop, running } = setUp();
    stop.abort();
    await settled();
    source.drained.resolve(undefined);
    expect(await running).toBe('ended');
    expect(story).not.toContain('worker starts');
  });

  it('ends when told to while another leads', async () => {
    const { source, stop, running } = setUp();
    source.sync(undefined);
    await settled();
    stop.abort();
    await settled();
    source.drained.resolve(undefined);
    expect(await running).toBe('ended');
  });

  it('aborts the workers and fails without waiting for them when leadership is lost', async () => {
    const { story, source, lose, running } = await leading();
    lose();
    source.drained.resolve(undefined);
    expect(await running).toBe('LeadershipLost: lost');
    expect(story).toContain('worker is aborted');
    expect(story).not.toContain('worker ended');
  });

  it.each([
    ['source', 'fails', 'Error: broken'],
    ['source', 'ends', 'Error: source ended although nothing asked it to'],
    ['worker', 'fails', 'Error: broken'],
    ['worker', 'ends', 'Error: worker ended although nothing asked it to'],
  ] as const)('shuts down and fails when a %s %s', async (name, how, message) => {
    const all = await leading();
    const [broken, other] = name === 'source' ? [all.source, all.worker] : [all.worker, all.source];
    if (how === 'fails') broken.drained.reject(new Error('broken'));
    else broken.drained.resolve(undefined);
    await settled();
    other.drained.resolve(undefined);
    expect(await all.running).toBe(message);
    expect(all.story).toContain('released');
    expect(all.story).toContain(`${other.name} is to stop`);
  });

  it('fails when a source fails before it has synced', async () => {
    const { source, running } = setUp();
    source.drained.reject(new Error('broken'));
    expect(await running).toBe('Error: broken');
  });
});
