import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Plan } from '../../../../operator/cluster/action.ts';
import type { Observed } from '../../../../operator/cluster/observed.ts';
import { plan } from '../../../../operator/cluster/plan/plan.ts';
import { RollSlots } from '../../../../operator/cluster/roll-slots.ts';
import { group, observed, pod, statefulSet, voter } from '../../../support/operator/observed.ts';

const NEW = 'rev-2';
/** As the operator before this one has left it. */
const inherited = observed(3, { statefulSet: statefulSet(3, { templateHash: 'hash-0' }) });
const rolling = observed(3, { statefulSet: statefulSet(3, { updateRevision: NEW }) });
const whole = observed(3, {
  statefulSet: statefulSet(3, { updateRevision: NEW }),
  pods: [0, 1, 2].map((ordinal) => pod(ordinal, { revision: NEW })),
});

let slots: RollSlots;
beforeEach(() => {
  slots = new RollSlots(1);
});

function admitted(key: string, seen: Observed): Plan['action'] {
  return slots.admit(key, seen, plan(seen)).action;
}

describe('clusters for which a new operator makes other pods', () => {
  it('are rolled one after the other', () => {
    expect(admitted('a', inherited)?.type).toBe('applyTemplate');
    expect(admitted('b', inherited)).toBeUndefined();
    expect(admitted('a', rolling)?.type).toBe('evictPod');
    expect(admitted('b', inherited)).toBeUndefined();
    expect(admitted('a', whole)).toBeUndefined();
    expect(admitted('b', inherited)?.type).toBe('applyTemplate');
  });

  it('wait while the first is short of a member, or of a leader', () => {
    admitted('a', inherited);
    const short = group([0, 1, voter(2, { participating: false })]);
    for (const state of [short, undefined]) {
      admitted('a', { ...whole, group: state, statefulSet: rolling.statefulSet, pods: [pod(0)] });
      expect(admitted('b', inherited)).toBeUndefined();
    }
  });

  it('go on when the first is deleted', () => {
    admitted('a', inherited);
    slots.forget('a');
    expect(admitted('b', inherited)?.type).toBe('applyTemplate');
  });

  it('do not look as if something was wrong while they wait', () => {
    admitted('a', inherited);
    const { operation, stalled } = slots.admit('b', inherited, plan(inherited));
    expect({ operation, stalled }).toEqual({ operation: undefined, stalled: undefined });
  });
});

describe('a change that a person makes', () => {
  it('does not wait for others', () => {
    admitted('a', inherited);
    expect(admitted('b', observed(3))).toBeUndefined();
    expect(admitted('b', observed(3, { templateHash: 'hash-2' }))?.type).toBe('applyTemplate');
  });
});
