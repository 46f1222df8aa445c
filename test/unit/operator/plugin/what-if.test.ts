import { describe, expect, it } from '@jest/globals';
import type { Observed } from '../../../../operator/cluster/observed.ts';
import { whatIf, type Step } from '../../../../operator/plugin/what-if/what-if.ts';
import {
  brokenPod,
  claim,
  emptyReport,
  group,
  nothingYet,
  observed,
  pod,
  spec,
  statefulSet,
  voter,
} from '../../../support/operator/observed.ts';

const scaled = (members: number, replicas: number, more: Partial<Observed> = {}): Observed =>
  observed(members, { spec: spec({ replicas }), ...more });

const rolled = (members: number, more: Partial<Observed> = {}): Observed =>
  observed(members, { spec: spec({ replicas: members }), templateHash: 'hash-2', ...more });

function text({ type, message, voters, toleranceMeanwhile, tolerance }: Step): string {
  const [low, end] = [toleranceMeanwhile, tolerance].map((one) => String(one ?? '-'));
  const numbers = `${String(voters ?? '-')} voters, ${low ?? ''}/${end ?? ''}`;
  return `${type === 'wait' ? 'waits: ' : ''}${message} (${numbers})`;
}

const steps = (start: Observed): readonly string[] => whatIf(start).steps.map(text);

function voters({ end }: ReturnType<typeof whatIf>): readonly number[] | undefined {
  return end.group?.voters.map(({ ordinal }) => ordinal);
}

describe('a what-if', () => {
  it('has no step where nothing is left to do', () => {
    const result = whatIf(observed(3));
    expect(result.steps).toEqual([]);
    expect(result.blockedBy).toBeUndefined();
  });

  it('grows from three to five by one joint change', () => {
    const start = scaled(3, 5);
    expect(steps(start)).toEqual([
      'adding c-3, c-4 (3 voters, 1/1)',
      'adding c-3, c-4 (5 voters, 1/2)',
    ]);
    const result = whatIf(start);
    expect(result.blockedBy).toBeUndefined();
    expect(voters(result)).toEqual([0, 1, 2, 3, 4]);
    expect(result.end.pods).toHaveLength(5);
  });

  it('grows from one to three', () => {
    const result = whatIf(scaled(1, 3));
    expect(result.blockedBy).toBeUndefined();
    expect(voters(result)).toEqual([0, 1, 2]);
  });

  it('shrinks from five to three, leadership first, and sets the volumes aside', () => {
    const start = scaled(5, 3, { group: group([0, 1, 2, 3, 4], { leader: 4 }) });
    expect(steps(start)).toEqual([
      'leadership moves to c-0 (5 voters, 2/2)',
      'removing c-3, c-4 (3 voters, 1/1)',
      'stopping pods from c-3 on (3 voters, 1/1)',
      'data-c-3 is set aside: its member was scaled away (3 voters, 1/1)',
      'data-c-4 is set aside: its member was scaled away (3 voters, 1/1)',
    ]);
    const result = whatIf(start);
    expect(result.blockedBy).toBeUndefined();
    expect(voters(result)).toEqual([0, 1, 2]);
    expect(result.end.pods).toHaveLength(3);
    expect(result.end.claims).toHaveLength(5);
  });

  it('lets a volume that was set aside be used again by a new member', () => {
    const kept = claim(3, { quarantinedAt: '2029-12-31T00:00:00.000Z' });
    const claims = [claim(0), claim(1), claim(2), kept];
    expect(steps(scaled(3, 4, { claims }))).toEqual([
      'adding c-3 (3 voters, 1/1)',
      'c-3 puts its old data aside (3 voters, 1/1)',
      'adding c-3 (3 voters, 1/1)',
      'adding c-3 (4 voters, 1/1)',
    ]);
  });

  it('rolls three members, the leader last', () => {
    const start = rolled(3);
    expect(steps(start)).toEqual([
      'handing the new template to the StatefulSet (3 voters, 1/1)',
      'restarting c-2 with the new template (3 voters, 0/1)',
      'restarting c-1 with the new template (3 voters, 0/1)',
      'leadership moves to c-1, which is up to date (3 voters, 1/1)',
      'restarting c-0 with the new template (3 voters, 0/1)',
    ]);
    const { end, blockedBy } = whatIf(start);
    expect(blockedBy).toBeUndefined();
    expect(new Set(end.pods.map(({ revision }) => revision))).toEqual(new Set(['planned']));
  });

  it('rolls and then grows when both are asked for', () => {
    const result = whatIf(rolled(3, { spec: spec({ replicas: 5 }) }));
    expect(result.blockedBy).toBeUndefined();
    expect(voters(result)).toEqual([0, 1, 2, 3, 4]);
    expect(result.steps.map(({ operation }) => operation)).toEqual([
      ...['Roll', 'Roll', 'Roll', 'Roll', 'Roll'],
      ...['ScaleUp', 'ScaleUp'],
    ]);
  });

  it('begins from nothing', () => {
    const result = whatIf(nothingYet());
    expect(result.blockedBy).toBeUndefined();
    expect(voters(result)).toEqual([0, 1, 2]);
    expect(result.steps.map(({ action }) => action)).toEqual([
      ...['createStatefulSet', 'recordClusterId', 'bootstrap', 'claimFence', 'setReplicas'],
      'changePeers',
    ]);
  });

  it('grows volumes and makes the StatefulSet anew', () => {
    const result = whatIf(observed(3, { spec: spec({ storage: { size: '2Gi' } }) }));
    expect(result.blockedBy).toBeUndefined();
    expect(result.steps.map(({ action }) => action)).toEqual([
      ...['growClaim', 'growClaim', 'growClaim', 'orphanPods', 'createStatefulSet'],
    ]);
  });

  it('replaces a lost disk once it has been seen for long enough', () => {
    const pods = [pod(0), pod(1), pod(2, { report: emptyReport(2) })];
    const lost = pods.map((one) =>
      one.ordinal === 2 && one.report !== undefined
        ? { ...one, report: { ...one.report, incarnation: 'another' } }
        : one,
    );
    const result = whatIf(observed(3, { pods: lost, group: group([0, 1, 2]) }));
    expect(result.steps.map(text)).toEqual([
      'waits: c-2 has lost its disk: waiting until this has held for long enough (3 voters, 1/1)',
      'c-2 has lost its disk: removing c-2 from the group (2 voters, 0/0)',
      'adding c-2 (3 voters, 0/1)',
    ]);
    expect(result.blockedBy).toBeUndefined();
  });
});

describe('a what-if with a member missing', () => {
  const missing = group([0, 1, voter(2, { participating: false })]);
  const pods = [pod(0), pod(1), brokenPod(2)];

  it('stops a growth at the quorum of the larger group', () => {
    const { steps: found, blockedBy } = whatIf(scaled(3, 5, { pods, group: missing }));
    expect(found.map(({ type }) => type)).toEqual(['wait']);
    expect(blockedBy).toBe('only 2 of 3 voters take part: waiting for a quorum of 5');
  });

  it('stops a roll before its template', () => {
    const silent = [pod(0), pod(1), pod(2, { report: undefined })];
    const { blockedBy } = whatIf(rolled(3, { pods: silent, group: missing }));
    expect(blockedBy).toBe('waiting for c-2 to take part before a new template is rolled out');
  });

  it('stops a shrinkage that would leave no quorum', () => {
    const down = (ordinal: number) => voter(ordinal, { participating: false });
    const weak = group([0, down(1), down(2), 3, 4]);
    const { blockedBy } = whatIf(scaled(5, 3, { group: weak }));
    expect(blockedBy).toBe(
      'c-0, c-1, c-2 would have no quorum without c-3, c-4: waiting for them to take part',
    );
  });

  it('stops without a leader', () => {
    const { blockedBy, steps: found } = whatIf(scaled(3, 5, { group: undefined }));
    expect(found.map(({ message }) => message)).toEqual([
      'no member leads with a quorum behind it',
    ]);
    expect(blockedBy).toContain('a majority of the members has not taken part');
  });

  it('stops at a newcomer that cannot be scheduled', () => {
    const newcomer = brokenPod(3, { node: undefined, trouble: 'it cannot be scheduled: no room' });
    const start = scaled(3, 4, {
      pods: [pod(0), pod(1), pod(2), newcomer],
      statefulSet: statefulSet(4),
      claims: [claim(0), claim(1), claim(2), claim(3, { clusterId: undefined })],
    });
    expect(whatIf(start).blockedBy).toBe('waiting for pod c-3: it cannot be scheduled: no room');
  });

  it('takes a template back whose first pod does not run', () => {
    const start = observed(3, {
      status: { ...observed(3).status, lastGoodRevision: 'rev-0' },
      pods: [
        pod(0, { revision: 'rev-0' }),
        pod(1, { revision: 'rev-0' }),
        brokenPod(2, { report: undefined }),
      ],
      group: missing,
    });
    const { steps: found, blockedBy } = whatIf(start);
    expect(found.map(({ action }) => action)).toEqual([
      undefined,
      'rollBack',
      'deletePod',
      undefined,
    ]);
    expect(blockedBy).toContain('correct the spec');
  });
});

it('a change of members that is under way is waited for first', () => {
  const start = scaled(3, 5, { group: group([0, 1, 2], { stable: false }) });
  expect(steps(start)[0]).toBe('waits: a change of members is under way (3 voters, 1/1)');
});
