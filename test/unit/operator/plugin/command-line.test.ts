import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ApiError } from '../../../../operator/controller/api-error.ts';
import { PluginRun } from '../../../support/operator/plugin-run.ts';

let run: PluginRun;
beforeEach(() => {
  run = new PluginRun();
});
afterEach(() => run.stop());

describe('transfer-leader', () => {
  beforeEach(() => run.settle());

  it('hands over and waits until it has arrived', async () => {
    const { out, code } = await run.run('transfer-leader', 'c0', '--to', 'c0-2');
    expect(out).toBe('c0-2 leads in term 2; before it was c0-0');
    expect(code).toBe(0);
    expect(run.secrets).toHaveLength(1);
    expect(run.secrets[0]).toMatch(/^[\w-]{43}$/);
  });

  it('does nothing for one that leads already', async () => {
    const { out, code } = await run.run('transfer-leader', 'c0', '--to', 'c0-0');
    expect({ out, code }).toEqual({ out: 'c0-0 leads already', code: 0 });
    expect(run.secrets).toEqual([]);
  });

  it.each(['c0-7', 'other-0', 'c0'])('refuses %s, which is no member', async (pod) => {
    const { err, code } = await run.run('transfer-leader', 'c0', '--to', pod);
    expect(err).toBe(`kubectl atomic: ${pod} is no voter of c0: choose one of c0-0, c0-1, c0-2`);
    expect(code).toBe(1);
  });

  it('refuses a member that does not take part', async () => {
    run.down.add('c0-1');
    const { err, code } = await run.run('transfer-leader', 'c0', '--to', 'c0-1');
    expect(err).toContain('c0-1 is Unreachable and cannot lead now');
    expect(code).toBe(1);
  });

  it('says so when nobody leads', async () => {
    run.down.add('c0-0').add('c0-1');
    await run.clock.advance(10_000);
    const { err, code } = await run.run('transfer-leader', 'c0', '--to', 'c0-2');
    expect(err).toMatch(/nobody leads c0|cannot lead now/);
    expect(code).toBe(1);
  });

  it.each([
    ['get secrets', 'kubectl auth can-i get secrets -n demo'],
    ['get pods/portforward', 'kubectl auth can-i get pods --subresource=portforward -n demo'],
  ])('tells that it needs %s', async (right, command) => {
    run.denied.add(right);
    const { err, code } = await run.run('transfer-leader', 'c0', '--to', 'c0-2');
    expect(code).toBe(1);
    expect(err).toContain(command);
  });
});

describe('the switches', () => {
  beforeEach(() => run.settle());

  it.each([
    ['pause', 'paused', 'paused: the operator only watches; whatever was under way stays as it is'],
    [
      'hibernate',
      'hibernate',
      'hibernating: all pods end, and nothing is served until kubectl atomic wake',
    ],
  ] as const)('%s sets its field once', async (command, field, text) => {
    const object = 'atomiccluster.atomicraft.dev/c0';
    expect((await run.run(command, 'c0')).out).toBe(`${object} ${text}`);
    expect(run.kubernetes.cluster(0)?.spec?.[field]).toBe(true);
    expect(run.writes).toBe(1);
    expect((await run.run(command, 'c0')).out).toMatch(/ unchanged \(it is /);
    expect(run.writes).toBe(1);
  });

  it.each([
    ['pause', 'resume', 'paused'],
    ['hibernate', 'wake', 'hibernate'],
  ] as const)('%s is taken back by %s', async (set, unset, field) => {
    await run.run(set, 'c0');
    expect((await run.run(unset, 'c0')).code).toBe(0);
    expect(run.kubernetes.cluster(0)?.spec?.[field]).toBe(false);
  });

  it('hibernate of a paused cluster says that nothing happens', async () => {
    await run.run('pause', 'c0');
    expect((await run.run('hibernate', 'c0')).out).toContain('but it is paused');
  });

  it('tell which right is missing', async () => {
    run.denied.add('patch atomicclusters');
    const { err, code } = await run.run('pause', 'c0');
    expect(code).toBe(1);
    expect(err).toContain('kubectl auth can-i patch atomicclusters.atomicraft.dev -n demo');
  });
});

describe('what cannot be done', () => {
  it.each([
    [['status', 'nope'], 'there is no AtomicCluster nope in namespace demo: there are c0'],
    [['explain', 'nope'], 'there is no AtomicCluster nope in namespace demo'],
    [['plan', 'c0', '-n', 'empty'], 'there are none at all; give its namespace with -n'],
    [['status', '-n', 'empty'], 'there is no AtomicCluster in namespace empty'],
  ])('%p ends with 1 and says what to do', async (argv, text) => {
    await run.settle();
    const { out, err, code } = await run.run(...argv);
    expect({ out, code }).toEqual({ out: '', code: 1 });
    expect(err).toContain(text);
  });

  it.each([['status'], ['status', 'c0'], ['pause', 'c0']])(
    '%s says so where the kind is not installed',
    async (...argv) => {
      run.kubernetes.servesAtomicClusters = false;
      const { err, code } = await run.run(...argv);
      expect(code).toBe(1);
      expect(err).toContain('this Kubernetes does not know AtomicClusters: install the chart');
    },
  );

  it.each([
    [0, 'the API server cannot be reached (it went wrong): try kubectl cluster-info'],
    [401, 'the API server does not accept these credentials: log in again'],
    [500, 'it went wrong'],
  ])('an API server that answers %d is told', async (status, text) => {
    run.outage = new ApiError('it went wrong', { code: status });
    const { err, code } = await run.run('status', 'c0');
    expect(code).toBe(1);
    expect(err).toContain(text);
  });

  it.each([
    [[], 'which command?'],
    [['bogus'], "unknown command 'bogus'"],
    [['explain'], "missing required argument 'NAME'"],
    [['plan', 'c0', '--replicas', '0'], 'expected 1 to 9'],
    [['plan', 'c0', '--replicas', '11'], 'expected 1 to 9'],
    [['plan', 'c0', '--version', 'a b'], 'expected the tag of an image'],
    [['transfer-leader', 'c0'], "required option '--to <pod>' not specified"],
    [['transfer-leader', 'c0', '--to', 'c0-1', '--timeout', 'soon'], 'expected a duration'],
    [['status', '-A', 'c0'], 'give one of NAME and -A'],
    [['status', '-o', 'yaml'], 'Allowed choices are text, json'],
  ])('%p is bad usage: 2', async (argv, text) => {
    const { out, err, code } = await run.run(...argv);
    expect({ out, code }).toEqual({ out: '', code: 2 });
    expect(err).toContain(text);
    expect(err).toContain('--help');
  });

  it('prints its version and help', async () => {
    expect(await run.run('version')).toMatchObject({ out: '1.0.0', code: 0 });
    const { out, code } = await run.run('status', '--help');
    expect(code).toBe(0);
    expect(out).toContain('--kubeconfig');
  });
});
