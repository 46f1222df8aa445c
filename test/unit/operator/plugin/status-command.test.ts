import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ApiError } from '../../../../operator/controller/api-error.ts';
import { PluginRun } from '../../../support/operator/plugin-run.ts';

const C0 = { namespace: 'demo', name: 'c0' };
const SECOND_MS = 1_000;

let run: PluginRun;
beforeEach(() => {
  run = new PluginRun();
});
afterEach(() => run.stop());

async function linesOf(...argv: readonly string[]): Promise<readonly string[]> {
  const { out, err, code } = await run.run(...argv);
  expect({ err, code }).toEqual({ err: '', code: 0 });
  return out.split('\n');
}

describe('status of one group', () => {
  beforeEach(() => run.settle());

  it('shows who leads and every member', async () => {
    expect(await linesOf('status', 'c0')).toEqual([
      'demo/c0: Running, 3 members take part',
      'c0-0 leads, term 1, quorum 2 of 3, 1 more may fail, committed 3, version 1.0.0',
      '',
      '  POD   NODE    ROLE      STATE          APPLIED  LAG  VERSION',
      '* c0-0  node-0  Leader    Participating        3    0  1.0.0',
      '  c0-1  node-1  Follower  Participating        3    0  1.0.0',
      '  c0-2  node-2  Follower  Participating        3    0  1.0.0',
    ]);
  });

  it('needs no name where there is one', async () => {
    expect(await linesOf('status')).toEqual(await linesOf('status', 'c0'));
  });

  it('shows a silent member, and what the operator makes of it', async () => {
    run.down.add('c0-2');
    await run.clock.advance(20 * SECOND_MS);
    expect(await linesOf('status', 'c0')).toEqual([
      'demo/c0: MembersMissing, 2 of 3 members take part',
      'c0-0 leads, term 1, quorum 2 of 3, 0 more may fail, committed 3, version 1.0.0',
      '',
      '  POD   NODE    ROLE      STATE          APPLIED  LAG  VERSION',
      '* c0-0  node-0  Leader    Participating        3    0  1.0.0',
      '  c0-1  node-1  Follower  Participating        3    0  1.0.0',
      '! c0-2  node-2  Follower  Unreachable          -    -  -',
      '',
      'c0-2: its status page does not answer: error trying to reach service: connection refused',
      '',
      'Degraded (MembersMissing): 0 more members may fail',
    ]);
  });

  it('sees a new leader before the operator has noted it', async () => {
    run.kubernetes.members.lead(C0, 2);
    const [, group, , , , , last] = await linesOf('status', 'c0');
    expect(group).toContain('c0-2 leads, term 2');
    expect(last).toMatch(/^\* c0-2 /);
    expect(run.kubernetes.cluster(0)?.status?.leader).toBe('c0-0');
  });

  it('without a leader does not take members for removed', async () => {
    run.down.add('c0-0');
    await run.clock.advance(20 * SECOND_MS);
    const lines = await linesOf('status', 'c0');
    expect(lines.slice(0, 6)).toEqual([
      'demo/c0: NoLeader, no member leads with a quorum behind it',
      'nobody leads, quorum 2 of 3, version 1.0.0',
      '',
      '  POD   NODE    ROLE      STATE        APPLIED  LAG  VERSION',
      '! c0-0  node-0  Follower  Unreachable        -    -  -',
      '! c0-1  node-1  Follower  Lagging            3    -  1.0.0',
    ]);
    expect(lines[8]).toMatch(/^Repair for 1\ds: no member leads with a quorum behind it$/);
  });

  it('says why a pod does not run', async () => {
    const message = '0/3 nodes are available';
    const conditions = [{ type: 'PodScheduled', status: 'False', message }];
    run.breakPod('c0-2', { phase: 'Pending', conditions });
    expect(await linesOf('status', 'c0')).toContain(
      'c0-2: it cannot be scheduled: 0/3 nodes are available',
    );
  });

  it('tells which volumes are set aside', async () => {
    await run.settle(1, { replicas: 1 });
    expect(await linesOf('status', 'c0')).toContainEqual(
      expect.stringMatching(/^volume data-c0-2 is set aside since 2026-01-01T.*Z, kept 168h$/),
    );
  });

  it('tells when the operator has not seen the newest spec', async () => {
    await run.stop();
    run.kubernetes.applyClusters(1, { replicas: 5 });
    expect(await linesOf('status', 'c0')).toContain(
      'the operator has not seen the newest spec yet: does it run?',
    );
  });

  it('prints everything as JSON', async () => {
    const { out } = await run.run('status', 'c0', '-o', 'json');
    expect(JSON.parse(out)).toMatchObject({
      ...{ namespace: 'demo', name: 'c0', status: 'Running', leader: 'c0-0', term: 1 },
      ...{ quorum: 2, faultTolerance: 1, committedIndex: 3, amiss: [], unseen: [] },
      members: [
        { pod: 'c0-0', role: 'Leader', lag: 0 },
        { pod: 'c0-1', role: 'Follower', appliedIndex: 3, lastContactMs: 100 },
        { pod: 'c0-2', node: 'node-2', state: 'Participating', votes: true },
      ],
    });
  });
});

describe('status without a right', () => {
  beforeEach(() => run.settle());

  it('shows what the operator has noted where pages may not be read', async () => {
    run.denied.add('get pods/proxy');
    const lines = await linesOf('status', 'c0');
    expect(lines[4]).toBe('* c0-0  node-0  Leader    Participating        -    -  1.0.0');
    expect(lines.slice(-2)).toEqual([
      '',
      'indexes and lag: you may not look, as kubectl auth can-i get pods --subresource=proxy -n demo tells',
    ]);
  });

  it('shows members even where pods may not be listed', async () => {
    run.denied.add('list pods').add('get statefulsets').add('list persistentvolumeclaims');
    const lines = await linesOf('status', 'c0');
    expect(lines[1]).toBe('c0-0 leads, term 1, quorum 2 of 3, 1 more may fail, version 1.0.0');
    expect(lines[6]).toBe('  c0-2  node-2  Follower  Participating        -    -  1.0.0');
    expect(lines.slice(-3)).toEqual([
      'the StatefulSet: you may not look, as kubectl auth can-i get statefulsets.apps -n demo tells',
      'the pods: you may not look, as kubectl auth can-i list pods -n demo tells',
      'the volumes: you may not look, as kubectl auth can-i list persistentvolumeclaims -n demo tells',
    ]);
  });

  it('cannot do without the AtomicCluster itself', async () => {
    run.denied.add('get atomicclusters');
    const { err, code } = await run.run('status', 'c0');
    expect(code).toBe(1);
    expect(err).toContain('kubectl auth can-i get atomicclusters.atomicraft.dev -n demo');
  });
});

describe('status of many groups', () => {
  beforeEach(() => run.settle(2));

  it('is a list', async () => {
    const expected = [
      'NAMESPACE  NAME  MEMBERS  LEADER  TERM  TOLERANCE  STATUS   VERSION  OPERATION',
      'demo       c0    3/3      c0-0       1          1  Running  1.0.0    -',
      'demo       c1    3/3      c1-0       1          1  Running  1.0.0    -',
    ];
    expect(await linesOf('status')).toEqual(expected);
    expect(await linesOf('status', '-A', '-n', 'other')).toEqual(expected);
  });

  it('is a list as JSON too', async () => {
    const { out } = await run.run('status', '-A', '-o', 'json');
    expect(JSON.parse(out)).toMatchObject({
      items: [
        { name: 'c0', participating: 3 },
        { name: 'c1', status: 'Running' },
      ],
    });
  });
});

describe('status that is watched', () => {
  beforeEach(() => run.settle());

  it('is drawn anew on a screen, and stays when it ends', async () => {
    const watching = run.start(['status', 'c0', '-w'], { screen: true });
    await run.clock.advance(SECOND_MS);
    run.kubernetes.members.lead(C0, 1);
    await run.clock.advance(2 * SECOND_MS);
    watching.stop();
    const { out, screens, code } = await watching.ended;
    expect(code).toBe(0);
    expect(screens[0]).toContain('c0-0 leads, term 1');
    expect(screens.at(-1)).toContain('c0-1 leads, term 2');
    expect(out).toBe(screens.at(-1));
  });

  it('prints what changes, a line each, where there is no screen', async () => {
    const watching = run.start(['status', 'c0', '-w']);
    await run.clock.advance(3 * SECOND_MS);
    expect(watching.out).toEqual([
      expect.stringMatching(/^2026-01-01T00:00:\d\dZ demo\/c0: Running, c0-0 leads, term 1, /),
      expect.stringMatching(/^\S+ demo\/c0: c0-0, Leader, Participating, on node-0, 1\.0\.0$/),
      expect.stringMatching(/^\S+ demo\/c0: c0-1, Follower, /),
      expect.stringMatching(/^\S+ demo\/c0: c0-2, Follower, /),
    ]);
    run.kubernetes.members.lead(C0, 1);
    await run.clock.advance(1 * SECOND_MS);
    watching.stop();
    const { out } = await watching.ended;
    expect(out.split('\n').slice(4)).toEqual([
      expect.stringContaining('demo/c0: Running, c0-1 leads, term 2'),
      expect.stringContaining('demo/c0: c0-0, Follower, '),
      expect.stringContaining('demo/c0: c0-1, Leader, '),
    ]);
  });

  it('goes on after an outage of the API server', async () => {
    const watching = run.start(['status', 'c0', '-w'], { screen: true });
    await run.clock.advance(SECOND_MS);
    run.outage = new ApiError('connect ECONNREFUSED', { code: 0 });
    await run.clock.advance(2 * SECOND_MS);
    run.outage = undefined;
    await run.clock.advance(2 * SECOND_MS);
    watching.stop();
    const { screens, code } = await watching.ended;
    expect(code).toBe(0);
    expect(screens.filter((text) => text.includes('as it was last; cannot look'))).toHaveLength(2);
    expect(screens.at(-1)).toBe(screens[0]);
  });

  it('as JSON is a document a line, one for each change', async () => {
    const watching = run.start(['status', 'c0', '-w', '-o', 'json'], { screen: true });
    await run.clock.advance(3 * SECOND_MS);
    run.kubernetes.members.lead(C0, 1);
    await run.clock.advance(2 * SECOND_MS);
    watching.stop();
    const { out, screens } = await watching.ended;
    expect(screens).toEqual([]);
    const leaders = out.split('\n').map((line) => (JSON.parse(line) as { leader: string }).leader);
    expect(leaders).toEqual(['c0-0', 'c0-1']);
  });
});
