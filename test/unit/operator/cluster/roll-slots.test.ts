import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Plan } from '../../../../operator/cluster/action.ts';
import type { Observed } from '../../../../operator/cluster/observed.ts';
import { RollSlots } from '../../../../operator/cluster/roll-slots.ts';
import {
  claim,
  facts,
  group,
  observed,
  pod,
  spec,
  statefulSet,
  voter,
} from '../../../support/operator/observed.ts';

const NEW = 'rev-2';
/** As the operator before this one has left it. */
const lacking = { statefulSet: statefulSet(3, { templateHash: 'hash-0' }) };
const told = { clusterID: 'cluster', lineage: { id: 'lineage', sequence: 0 } };
const inherited = observed(3, { ...lacking, status: { ...told, observedGeneration: 1 } });
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
  return slots.plan(key, seen).action;
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

  it.each([
    ['a change of members is under way', { group: group([0, 1, 2], { stable: false }) }],
    ['the operator has to claim it first', { fence: undefined }],
  ])('wait while the first is in the middle of its roll and %s', (_, seen) => {
    admitted('a', inherited);
    admitted('a', { ...rolling, ...seen });
    expect(admitted('b', inherited)).toBeUndefined();
  });

  it.each([
    ['stopped it', { ...rolling, spec: spec({ paused: true }) }],
    ['must bring its majority back', { ...rolling, group: undefined, facts: facts('noLeader') }],
  ])('go on when a person %s', (_, seen) => {
    admitted('a', inherited);
    admitted('a', seen);
    expect(admitted('b', inherited)?.type).toBe('applyTemplate');
  });

  it('wait for a roll that an operator before has begun', () => {
    expect(admitted('a', rolling)?.type).toBe('evictPod');
    expect(admitted('b', inherited)).toBeUndefined();
  });

  it('are scaled and healed while they wait', () => {
    admitted('a', inherited);
    const short = observed(3, {
      ...inherited,
      spec: spec({ replicas: 4 }),
      group: group([0, 1, 2]),
    });
    expect(admitted('b', short)).toEqual({ type: 'setReplicas', replicas: 4 });
    const grown = observed(3, { ...inherited, spec: spec({ storage: { size: '5Gi' } }) });
    expect(admitted('c', grown)?.type).toBe('growClaim');
  });

  it('keep their StatefulSet while they wait: another one would bring the template', () => {
    admitted('a', inherited);
    const large = [0, 1, 2].map((at) => claim(at, { requestedBytes: 5e9, capacityBytes: 5e9 }));
    const grown = observed(3, {
      ...inherited,
      claims: large,
      spec: spec({ storage: { size: '4Gi' } }),
    });
    expect(admitted('b', grown)).toBeUndefined();
  });

  it('go on when the first is deleted', () => {
    admitted('a', inherited);
    slots.forget('a');
    expect(admitted('b', inherited)?.type).toBe('applyTemplate');
  });

  it('do not look as if something was wrong while they wait', () => {
    admitted('a', inherited);
    const { operation, stalled } = slots.plan('b', inherited);
    expect({ operation, stalled }).toEqual({ operation: undefined, stalled: undefined });
  });
});

describe('a change that a person makes', () => {
  it('does not wait for others', () => {
    admitted('a', inherited);
    expect(admitted('b', observed(3))).toBeUndefined();
    expect(admitted('b', observed(3, { templateHash: 'hash-2' }))?.type).toBe('applyTemplate');
  });

  it('does not wait when it was made while no operator ran', () => {
    admitted('a', inherited);
    const changed = observed(3, { ...inherited, generation: 2 });
    expect(admitted('b', changed)?.type).toBe('applyTemplate');
  });

  it('does not wait either when the cluster waited before', () => {
    admitted('a', inherited);
    expect(admitted('b', inherited)).toBeUndefined();
    const changed = { ...inherited, templateHash: 'hash-2' };
    expect(admitted('b', changed)?.type).toBe('applyTemplate');
  });
});
