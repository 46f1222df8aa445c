import { describe, expect, it } from '@jest/globals';
import { absentFact, diskLostFact } from '../../../../../operator/cluster/evidence.ts';
import { plan } from '../../../../../operator/cluster/plan/plan.ts';
import {
  claim,
  emptyReport,
  facts,
  group,
  observed,
  pod,
  spec,
  voter,
} from '../../../../support/operator/observed.ts';

const silent = voter(1, { participating: false });
const emptied = pod(1, { report: { ...emptyReport(1), incarnation: 'new-disk' } });
const lost = { pods: [pod(0), emptied, pod(2)], group: group([0, silent, 2]) };
const PROOF = diskLostFact(1, 'new-disk');
const REMOVAL = { type: 'changePeers', voters: [0, 2], configurationIndex: 10, fence: 1 };

describe('planReplacement', () => {
  it('removes a voter whose empty disk has been seen for long enough', () => {
    expect(plan(observed(3, { ...lost, facts: facts(PROOF) })).action).toEqual(REMOVAL);
  });

  it.each([
    ['too short', { heldMs: 29_000, passes: 9 }],
    ['seen once', { heldMs: 60_000, passes: 1 }],
  ])('does nothing on proof that is %s', (_, fact) => {
    const next = plan(observed(3, { ...lost, facts: facts([PROOF, fact]) }));
    expect(next.action).toBeUndefined();
    expect(next.operation?.type).toBe('Replace');
  });

  it('never removes a voter that is only silent', () => {
    const pods = [pod(0), pod(1, { report: undefined }), pod(2)];
    const next = plan(observed(3, { pods, group: group([0, silent, 2]), facts: facts(PROOF) }));
    expect(next.action).toBeUndefined();
  });

  it('removes nobody when the others have no quorum', () => {
    const other = voter(2, { participating: false });
    const next = plan(
      observed(3, { ...lost, group: group([0, silent, other]), facts: facts(PROOF) }),
    );
    expect(next.action).toBeUndefined();
  });

  it('only tells when a person wants to decide', () => {
    const manual = spec({ storage: { onMemberDiskLoss: 'Manual' } });
    const next = plan(observed(3, { ...lost, spec: manual, facts: facts(PROOF) }));
    expect(next.action).toBeUndefined();
    expect(next.operation?.message).toContain('Manual');
  });

  it('removes a voter whose node is gone, then gives its pod a new volume, then takes it in', () => {
    const pending = pod(1, { node: undefined, report: undefined });
    const pods = [pod(0), pending, pod(2)];
    const claims = [claim(0), claim(1, { lost: true }), claim(2)];
    const gone = observed(3, {
      pods,
      claims,
      group: group([0, silent, 2]),
      facts: facts(absentFact(1)),
    });
    expect(plan(gone).action).toEqual(REMOVAL);
    const unsure = { ...gone, group: group([0, 2]), facts: facts() };
    expect(plan(unsure).action).toBeUndefined();
    const removed = { ...unsure, facts: facts('claimLost:1:claim-1') };
    expect(plan(removed).action).toEqual({ type: 'deleteClaim', ordinal: 1, uid: 'claim-1' });
    const fresh = [pod(0), pod(1, { report: emptyReport(1) }), pod(2)];
    expect(plan({ ...removed, pods: fresh, claims: [] }).action).toEqual({
      ...{ type: 'changePeers', voters: [0, 1, 2], configurationIndex: 10, fence: 1 },
    });
  });

  it('keeps the volume of a voter even when its node is gone', () => {
    const pods = [pod(0), pod(1, { node: undefined, report: undefined }), pod(2)];
    const claims = [claim(0), claim(1, { lost: true }), claim(2)];
    const next = plan(observed(3, { pods, claims, group: group([0, silent, 2]) }));
    expect(next.action?.type).not.toBe('deleteClaim');
  });
});
