import { describe, expect, it } from '@jest/globals';
import { plan } from '../../../../../operator/cluster/plan/plan.ts';
import { facts, group, observed, spec } from '../../../../support/operator/observed.ts';

describe('planFence', () => {
  const work = { spec: spec({ replicas: 1 }) };

  it('claims the group before anything is changed', () => {
    const next = plan(observed(3, { ...work, fence: undefined }));
    expect(next.action).toEqual({ type: 'claimFence', fence: 2, configurationIndex: 10 });
  });

  it('respects another claim for a while and then takes the group over', () => {
    const taken = observed(3, { ...work, group: group([0, 1, 2], { fence: 2 }) });
    expect(plan(taken).stalled?.reason).toBe('OperatorConflict');
    expect(plan(taken).action).toBeUndefined();
    const later = plan({ ...taken, facts: facts('fenceLost') });
    expect(later.action).toEqual({ type: 'claimFence', fence: 3, configurationIndex: 10 });
  });
});

describe('planChangeInFlight', () => {
  it('begins nothing while a change is under way', () => {
    const busy = group([0, 1, 2], { stable: false });
    const next = plan(observed(3, { group: busy, spec: spec({ replicas: 5 }) }));
    expect(next.action).toBeUndefined();
  });
});

describe('planNothing', () => {
  it.each([{ spec: spec({ paused: true, replicas: 5 }) }, { deleting: true }])(
    'leaves a paused or deleted cluster alone: %j',
    (more) => {
      expect(plan(observed(3, more)).action).toBeUndefined();
    },
  );
});
