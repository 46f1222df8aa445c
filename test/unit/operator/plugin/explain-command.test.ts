import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EVENTS } from '../../../../operator/controller/event-recorder.ts';
import { PluginRun } from '../../../support/operator/plugin-run.ts';

const SECOND_MS = 1_000;

let run: PluginRun;
beforeEach(async () => {
  run = new PluginRun();
  await run.settle();
});
afterEach(() => run.stop());

async function explained(): Promise<readonly string[]> {
  const { out, err, code } = await run.run('explain', 'c0');
  expect({ err, code }).toEqual({ err: '', code: 0 });
  return out.split('\n');
}

/** The lines under a title. */
function under(title: string, lines: readonly string[]): readonly string[] {
  const from = lines.indexOf(title) + 1;
  const end = lines.indexOf('', from);
  return from === 0 ? [] : lines.slice(from, end === -1 ? undefined : end);
}

const UNSCHEDULABLE = {
  phase: 'Pending',
  conditions: [{ type: 'PodScheduled', status: 'False', message: 'no room' }],
};

describe('explain', () => {
  it('says that nothing is waited for', async () => {
    const lines = await explained();
    expect(lines[0]).toBe(
      'demo/c0: Running, nothing is waited for, everything is as the spec asks',
    );
    expect(under('what happened', lines).join('\n')).toContain('starting 1 pods');
  });

  it('names the gate, since when, what is missing and what to do', async () => {
    run.breakPod('c0-2', UNSCHEDULABLE);
    run.kubernetes.applyClusters(1, { replicas: 5 });
    await run.clock.advance(90 * SECOND_MS);
    const lines = await explained();
    expect(lines.slice(0, 14)).toEqual([
      'demo/c0: Scaling',
      '',
      'what holds it up',
      '  ScaleUp waits, for 1m30s: only 2 of 3 voters take part: waiting for a quorum of 5',
      '  Degraded (MembersMissing), for 1m30s: 0 more members may fail',
      '',
      'what is missing',
      '  that c0-2 takes part: it cannot be scheduled: no room',
      '  that c0-3 takes part: it has no pod',
      '  that c0-4 takes part: it has no pod',
      '',
      'what you can do',
      '  see why c0-2 does not run: kubectl describe pod c0-2 -n demo',
      '',
    ]);
  });

  it('tells what the loss of the quorum waits for', async () => {
    run.down.add('c0-0');
    await run.clock.advance(10 * SECOND_MS);
    expect(under('what is missing', await explained())).toEqual([
      '  a leader; quorumLossGracePeriod 5m without one counts as the loss of the quorum',
      '  that c0-0 takes part: its server does not answer',
    ]);
    await run.clock.advance(300 * SECOND_MS);
    const lines = await explained();
    expect(lines.join('\n')).toContain('Stalled (QuorumLost)');
    expect(under('what you can do', lines)).toEqual([
      '  bring the nodes and volumes of a majority back; as long as one may come back, delete nothing',
      '  see what its server says: kubectl logs c0-0 -n demo',
    ]);
  });

  it('says what a person has stopped, and how to go on', async () => {
    run.changeCluster({ spec: { hibernate: true } });
    await run.clock.advance(10 * SECOND_MS);
    const lines = await explained();
    expect(under('what holds it up', lines)).toEqual([
      '  Hibernated (Hibernated), for 10s: the pods are off',
    ]);
    expect(under('what you can do', lines)).toEqual([
      '  start the pods: kubectl atomic wake c0 -n demo',
    ]);
  });

  it('by its own plan tells what an operator that does not run would do', async () => {
    await run.stop();
    run.kubernetes.applyClusters(1, { replicas: 5 });
    const lines = await explained();
    expect(under('what the operator would do next, by what is seen from here', lines)).toEqual([
      '  adding c0-3, c0-4',
    ]);
    expect(under('what you can do', lines)).toEqual([
      '  the operator has not seen the newest spec; see whether it runs: kubectl get pods -A -l app.kubernetes.io/name=atomic-operator',
    ]);
  });

  it('shows warnings about pods and volumes, and events of older components', async () => {
    const at = (name: string) => ({ metadata: { namespace: 'demo', name } });
    const warning = { type: 'Warning', eventTime: null };
    const tell = (name: string, event: object): void => {
      run.kubernetes.api.put(EVENTS, { ...at(name), ...warning, ...event });
    };
    const pod = { kind: 'Pod', name: 'c0-1' };
    const deprecatedLastTimestamp = '2026-01-01T00:00:00Z';
    tell('a', {
      ...{ regarding: pod, reason: 'BackOff', note: 'again', deprecatedCount: 4 },
      deprecatedLastTimestamp,
    });
    tell('b', { regarding: { ...pod, name: 'c0-1-other' }, reason: 'Foreign' });
    tell('c', { regarding: pod, type: 'Normal', reason: 'Pulled' });
    tell('d', {
      regarding: { kind: 'PersistentVolumeClaim', name: 'data-c0-1' },
      reason: 'NoSpace',
    });
    const events = under('what happened', await explained()).join('\n');
    expect(events).toContain('BackOff');
    expect(events).toContain('again (4 times)');
    expect(events).toContain('NoSpace');
    expect(events).not.toMatch(/Foreign|Pulled/);
  });

  it('without rights says what it could not see, and guesses nothing', async () => {
    run.denied.add('list pods').add('list events').add('list nodes').add('get pods/proxy');
    const lines = await explained();
    expect(under('what is missing', lines)).toEqual([]);
    expect(under('what could not be seen', lines)).toEqual([
      '  the pods: you may not look, as kubectl auth can-i list pods -n demo tells',
      '  whether the nodes of volumes exist: you may not look, as kubectl auth can-i list nodes tells',
      '  the events: you may not look, as kubectl auth can-i list events.events.k8s.io -n demo tells',
    ]);
  });

  it('prints everything as JSON', async () => {
    run.down.add('c0-2');
    await run.clock.advance(20 * SECOND_MS);
    const { out } = await run.run('explain', 'c0', '-o', 'json');
    expect(JSON.parse(out)).toMatchObject({
      status: 'MembersMissing',
      gates: [{ what: 'Degraded (MembersMissing)' }],
      missing: ['that c0-2 takes part: its server does not answer'],
      advice: ['see what its server says: kubectl logs c0-2 -n demo'],
      unseen: [],
    });
  });
});
