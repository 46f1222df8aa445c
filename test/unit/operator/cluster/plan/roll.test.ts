import { describe, expect, it } from '@jest/globals';
import {
  canaryFact,
  factsSeen,
  participatesFact,
} from '../../../../../operator/cluster/evidence.ts';
import type { Observed } from '../../../../../operator/cluster/observed.ts';
import { plan } from '../../../../../operator/cluster/plan/plan.ts';
import { statusOf } from '../../../../../operator/cluster/status.ts';
import {
  brokenPod,
  emptyReport,
  facts,
  group,
  observed,
  pod,
  report,
  spec,
  statefulSet,
  voter,
} from '../../../../support/operator/observed.ts';

const NEW = 'rev-2';
const applied = { statefulSet: statefulSet(3, { updateRevision: NEW }) };
const silent = (ordinal: number) => voter(ordinal, { participating: false });
const isNew = (ordinal: number, uid = `new-${String(ordinal)}`) =>
  pod(ordinal, { uid, revision: NEW });

describe('planRoll', () => {
  it('hands a template out only when every member takes part', () => {
    const old = { statefulSet: statefulSet(3, { templateHash: 'hash-0' }) };
    expect(plan(observed(3, old)).action).toEqual({ type: 'applyTemplate' });
    const missing = plan(observed(3, { ...old, group: group([0, 1, silent(2)]) }));
    expect(missing.action).toBeUndefined();
    expect(missing.operation?.message).toContain('c-2');
  });

  it('evicts the last follower first', () => {
    const next = plan(observed(3, applied));
    expect(next.action).toEqual({ type: 'evictPod', ordinal: 2, uid: 'pod-2' });
  });

  it.each([
    ['does not take part', group([0, 1, silent(2)]), facts()],
    ['has only just begun to', group([0, 1, 2]), facts()],
  ])('waits when the member before %s', (_, seen, held) => {
    const pods = [pod(0), pod(1), pod(2, { uid: 'new-2', revision: NEW, ready: false })];
    expect(
      plan(observed(3, { ...applied, pods, group: seen, facts: held })).action,
    ).toBeUndefined();
  });

  it('goes on when the member before is ready and takes part', () => {
    const pods = [pod(0), pod(1), isNew(2)];
    const held = facts(participatesFact(isNew(2)));
    const next = plan(observed(3, { ...applied, pods, facts: held }));
    expect(next.action).toEqual({ type: 'evictPod', ordinal: 1, uid: 'pod-1' });
  });

  it('moves leadership to a new member before the leader restarts', () => {
    const pods = [pod(0), isNew(1), isNew(2)];
    const held = facts(participatesFact(isNew(1)), participatesFact(isNew(2)));
    const next = plan(observed(3, { ...applied, pods, facts: held }));
    expect(next.action).toEqual({ type: 'transferLeader', to: 1 });
  });

  it('restarts who does not take part first', () => {
    const next = plan(observed(3, { ...applied, group: group([0, silent(1), 2]) }));
    expect(next.action).toEqual({ type: 'deletePod', ordinal: 1, uid: 'pod-1' });
  });

  it.each([
    ['the template is out', applied],
    [
      'the template is to be handed out',
      { statefulSet: statefulSet(2, { templateHash: 'hash-0', updateRevision: NEW }) },
    ],
  ])('does not restart one that lags and is needed for the quorum when %s', (_, set) => {
    const lagging = group([0, silent(1)]);
    const two = observed(2, { ...set, group: lagging, spec: spec({ replicas: 2 }) });
    expect(plan(two).action).toBeUndefined();
  });

  it('takes a newer template when the one before has never worked', () => {
    const pods = [pod(0), pod(1), isNew(2)];
    const newer = statefulSet(3, { updateRevision: NEW, templateHash: 'hash-0' });
    const seen = observed(3, { statefulSet: newer, pods, group: group([0, 1, silent(2)]) });
    expect(plan(seen).action).toBeUndefined();
    const overdue = { ...seen, facts: facts(canaryFact(NEW)) };
    expect(plan(overdue).action).toEqual({ type: 'applyTemplate' });
  });
});

describe('a group of two that is to be three', () => {
  // Member 1 was replaced: 0 and 2 vote, 1 waits to be added.
  const newcomer = (more: object) => pod(1, { report: emptyReport(1), ...more });
  const few = (more: Partial<Observed>) =>
    observed(3, {
      pods: [pod(0), newcomer({ revision: NEW }), pod(2)],
      group: group([0, 2]),
      ...more,
    });

  it('gets its third voter before one of the two restarts', () => {
    expect(plan(few(applied)).action).toMatchObject({ type: 'changePeers', voters: [0, 1, 2] });
  });

  it('is not handed a new template meanwhile', () => {
    const pods = [pod(0), newcomer({}), pod(2)];
    const old = { pods, statefulSet: statefulSet(3, { templateHash: 'hash-0' }) };
    expect(plan(few(old)).action).toMatchObject({ type: 'changePeers', voters: [0, 1, 2] });
  });

  it.each([
    ['the newcomer cannot run with the old one', { pods: [pod(0), brokenPod(1), pod(2)] }],
    ['no newcomer has come for long', { facts: facts('fewVoters') }],
  ])('is handed it all the same when %s', (_, seen) => {
    const old = { statefulSet: statefulSet(3, { templateHash: 'hash-0' }) };
    expect(plan(few({ ...old, ...seen })).action).toEqual({ type: 'applyTemplate' });
  });

  it('has the newcomer prove a template, and takes back what it fails with', () => {
    const pods = [pod(0), brokenPod(1, { revision: NEW }), pod(2)];
    const failing = few({ ...applied, pods, status: { lastGoodRevision: 'rev-1' } });
    expect(factsSeen(failing).has(canaryFact(NEW))).toBe(true);
    const overdue = plan({ ...failing, facts: facts(canaryFact(NEW)) });
    expect(overdue.action).toMatchObject({ type: 'rollBack', revision: 'rev-1' });
  });

  it('does not blame a template for a newcomer that waits for one that cannot run', () => {
    const waits = newcomer({ revision: NEW });
    const pods = [pod(0), waits, brokenPod(2, { revision: NEW, node: undefined })];
    const growing = few({ ...applied, pods, group: group([0]) });
    expect(factsSeen(growing).has(canaryFact(NEW))).toBe(false);
    const alone = few({ ...applied, pods: [pod(0), waits, pod(2)] });
    expect(factsSeen(alone).has(canaryFact(NEW))).toBe(true);
  });

  it('does not take a newcomer that is being brought up to date for a failed one', () => {
    const learners = [{ incarnation: 'disk-1', answers: true }];
    const learning = few({ ...applied, group: group([0, 2], { learners }) });
    expect(factsSeen(learning).has(canaryFact(NEW))).toBe(false);
    const silent = group([0, 2], { learners: [{ incarnation: 'disk-1', answers: false }] });
    expect(factsSeen({ ...learning, group: silent }).has(canaryFact(NEW))).toBe(true);
  });
});

describe('a template that was taken back', () => {
  it('is taken from its pod before a newer one is handed out', () => {
    const back = statefulSet(3, { templateHash: 'rolled-back-to-rev-1' });
    const pods = [pod(0), pod(1), isNew(2)];
    const seen = observed(3, { statefulSet: back, pods, group: group([0, 1, silent(2)]) });
    expect(plan(seen).action).toEqual({ type: 'deletePod', ordinal: 2, uid: 'new-2' });
  });
});

describe('planRollBack', () => {
  const bad: Partial<Observed> = {
    ...applied,
    pods: [pod(0), pod(1), brokenPod(2, { revision: NEW })],
    group: group([0, 1, silent(2)]),
  };
  const undone = { type: 'rollBack', revision: 'rev-1', failedTemplate: 'hash-1' };

  it('puts the last good template back after the deadline, not before', () => {
    const status = { lastGoodRevision: 'rev-1' };
    expect(plan(observed(3, { ...bad, status })).action).toBeUndefined();
    const late = observed(3, { ...bad, status, facts: facts(canaryFact(NEW)) });
    expect(plan(late).action).toEqual(undone);
  });

  it('knows the last good template from those that take part when status is lost', () => {
    const late = observed(3, { ...bad, status: {}, facts: facts(canaryFact(NEW)) });
    expect(plan(late).action).toEqual(undone);
  });

  it('does not go back when the spec has a newer template', () => {
    const status = { lastGoodRevision: 'rev-1', failedTemplate: 'hash-1' };
    const seen = observed(3, {
      ...bad,
      status,
      templateHash: 'hash-2',
      facts: facts(canaryFact(NEW)),
    });
    expect(plan(seen).action).toEqual({ type: 'applyTemplate' });
  });

  it('does not try the failed template again until the spec changes', () => {
    const status = { lastGoodRevision: 'rev-1', failedTemplate: 'hash-1' };
    const back = statefulSet(3, { templateHash: 'rolled-back-to-rev-1' });
    const next = plan(observed(3, { statefulSet: back, status }));
    expect(next.action).toBeUndefined();
    expect(next.stalled?.reason).toBe('RolloutFailed');
    const told = statusOf(observed(3, { statefulSet: back, status }), next);
    expect(told.failedTemplate).toBe('hash-1');
    const corrected = observed(3, { statefulSet: back, status, templateHash: 'hash-2' });
    expect(plan(corrected).action).toEqual({ type: 'applyTemplate' });
  });
});

describe('the canary', () => {
  it('is not seen to work because a pod outside of the group has the new template', () => {
    const newcomer = pod(3, { revision: NEW, report: report(3) });
    const pods = [pod(0), pod(1), brokenPod(2, { revision: NEW }), newcomer];
    const seen = observed(3, { ...applied, pods, group: group([0, 1, silent(2)]) });
    expect(factsSeen(seen).has(canaryFact(NEW))).toBe(true);
  });
});
