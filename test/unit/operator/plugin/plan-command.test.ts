import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { PluginRun } from '../../../support/operator/plugin-run.ts';

let run: PluginRun;
beforeEach(async () => {
  run = new PluginRun();
  await run.settle();
});
afterEach(() => run.stop());

async function planned(...argv: readonly string[]): Promise<readonly string[]> {
  const before = run.writes;
  const { out, err, code } = await run.run('plan', 'c0', ...argv);
  expect({ err, code }).toEqual({ err: '', code: 0 });
  expect(run.writes).toBe(before);
  return out.split('\n');
}

describe('plan', () => {
  it('shows every step of a growth', async () => {
    expect(await planned('--replicas', '5')).toEqual([
      'demo/c0: to 5 members of version 1.0.0',
      '',
      'STEP  OPERATION  ACTION       WHAT               LEADER  VOTERS  TOLERANCE',
      '   1  ScaleUp    SetReplicas  adding c0-3, c0-4  c0-0         3          1',
      '   2  ScaleUp    ChangePeers  adding c0-3, c0-4  c0-0         5  1, then 2',
      '',
      '2 steps, if nothing else happens; nothing was written',
    ]);
  });

  it('shows how a roll goes, and that it moves leadership', async () => {
    expect((await planned('--version', '2.0.0')).slice(2)).toEqual([
      'STEP  OPERATION  ACTION          WHAT                                           LEADER  VOTERS  TOLERANCE',
      '   1  Roll       ApplyTemplate   handing the new template to the StatefulSet    c0-0         3          1',
      '   2  Roll       EvictPod        restarting c0-2 with the new template          c0-0         3  0, then 1',
      '   3  Roll       EvictPod        restarting c0-1 with the new template          c0-0         3  0, then 1',
      '   4  Roll       TransferLeader  leadership moves to c0-1, which is up to date  c0-1         3          1',
      '   5  Roll       EvictPod        restarting c0-0 with the new template          c0-1         3  0, then 1',
      '',
      '5 steps, if nothing else happens; nothing was written',
    ]);
  });

  it('of a single member tells the outage', async () => {
    await run.settle(1, { replicas: 1 });
    expect((await planned('--version', '2.0.0')).join('\n')).toContain('outage, then 0');
  });

  it.each([[[]], [['--replicas', '3']], [['--version', '1.0.0']]])(
    'has nothing to say about %p, which changes nothing',
    async (argv) => {
      expect(await planned(...argv)).toEqual([
        'demo/c0: to 3 members of version 1.0.0',
        '',
        'nothing is left to do; nothing was written',
      ]);
    },
  );

  it('does not take another way of building templates for a change', async () => {
    // As if the operator were of another release: what it wants is what its status says.
    const cluster = run.kubernetes.cluster(0);
    await run.stop();
    run.changeCluster({
      spec: { ...cluster?.spec, image: { repository: 'elsewhere/atomicraft' } },
    });
    const { status, metadata } = run.kubernetes.cluster(0) ?? {};
    const { generation } = metadata ?? {};
    const conditions = (status?.conditions ?? []).map((one) => ({
      ...one,
      ...(generation !== undefined && { observedGeneration: generation }),
    }));
    run.changeCluster({ status: { ...status, conditions } });
    expect(await planned()).toContain('nothing is left to do; nothing was written');
    expect(await planned('--version', '2.0.0')).toContain(
      '5 steps, if nothing else happens; nothing was written',
    );
  });

  it('names the gate where it would wait', async () => {
    run.down.add('c0-2');
    expect((await planned('--replicas', '5')).slice(2)).toEqual([
      'STEP  OPERATION  ACTION  WHAT                                                     LEADER  VOTERS  TOLERANCE',
      'wait  ScaleUp    -       only 2 of 3 voters take part: waiting for a quorum of 5  c0-0         3          0',
      '',
      'after 0 steps it would wait for as long as that lasts',
    ]);
  });

  it('of a paused cluster says that nothing happens yet', async () => {
    await run.run('pause', 'c0');
    const lines = await planned('--replicas', '1');
    expect(lines.at(-1)).toBe(
      'note: spec.paused is set: nothing of it happens before it is resumed',
    );
    expect(lines).toContain('4 steps, if nothing else happens; nothing was written');
  });

  it('goes by what the operator has noted where pages may not be read', async () => {
    run.denied.add('get pods/proxy');
    expect((await planned('--replicas', '5')).slice(-3)).toEqual([
      '2 steps, if nothing else happens; nothing was written',
      'note: no status page could be read: members are as the operator has noted them',
      'note: indexes and lag: you may not look, as kubectl auth can-i get pods --subresource=proxy -n demo tells',
    ]);
  });

  it('does not guess without seeing the pods', async () => {
    run.denied.add('list pods');
    const { out, err, code } = await run.run('plan', 'c0', '--replicas', '5');
    expect({ out, code }).toEqual({ out: '', code: 1 });
    expect(err).toContain('kubectl auth can-i list pods -n demo');
  });

  it('does not guess about a cluster that hibernates', async () => {
    await run.run('hibernate', 'c0');
    const { err, code } = await run.run('plan', 'c0', '--replicas', '5');
    expect(code).toBe(1);
    expect(err).toContain('kubectl atomic wake c0');
  });

  it('prints its steps as JSON', async () => {
    const { out } = await run.run('plan', 'c0', '--replicas', '1', '-o', 'json');
    expect(JSON.parse(out)).toMatchObject({
      steps: [{ type: 'act', action: 'changePeers', voters: 1 }, {}, {}, {}],
      blockedBy: null,
      notes: [],
    });
  });
});
