import { durationMs } from '../../api/duration.ts';
import type { Plan } from '../action.ts';
import { absentFact, diskLostFact } from '../evidence.ts';
import type { GroupView, Observed, VoterView } from '../observed.ts';
import { decidesWithout, hasLostDisk, podOf } from './membership.ts';
import { gate, LOOK_SOON_MS } from './waiting.ts';

/** An empty disk under a voter's name must have been seen this long, and more than once. */
export const PROOF_MS = 30_000;
const PROOF_PASSES = 2;

/**
 * A voter whose disk is gone has forgotten its votes and what it acknowledged: it is removed, by a
 * quorum of those that have not, and comes back later as a new member (scale.ts).
 */
export function planReplacement(observed: Observed): Plan | undefined {
  const { group, spec, fence, facts } = observed;
  if (group === undefined || fence === undefined) return undefined;
  for (const voter of group.voters) {
    const why = lossOf(observed, voter);
    if (why === undefined) continue;
    const held = facts.get(why.fact);
    const proven = (held?.heldMs ?? 0) >= why.afterMs && (held?.passes ?? 0) >= PROOF_PASSES;
    return planRemoval(observed, group, { voter, why: why.text, proven, fence, policy: spec });
  }
  return undefined;
}

type Loss = { readonly fact: string; readonly afterMs: number; readonly text: string };

function lossOf(observed: Observed, voter: VoterView): Loss | undefined {
  const { ordinal } = voter;
  const pod = podOf(observed, ordinal);
  const name = `${observed.name}-${String(ordinal)}`;
  if (hasLostDisk(voter, pod)) {
    const fact = diskLostFact(ordinal, pod?.report?.incarnation ?? '');
    return { fact, afterMs: PROOF_MS, text: `${name} has lost its disk` };
  }
  const fact = absentFact(ordinal);
  if (!observed.facts.has(fact)) return undefined;
  const afterMs = durationMs(observed.spec.memberLossGracePeriod);
  return { fact, afterMs, text: `the volume of ${name}, or the node that it was on, is gone` };
}

function planRemoval(
  { name }: Observed,
  group: GroupView,
  loss: {
    readonly voter: VoterView;
    readonly why: string;
    readonly proven: boolean;
    readonly fence: number;
    readonly policy: Observed['spec'];
  },
): Plan {
  const { voter, why, proven, fence, policy } = loss;
  if (policy.storage.onMemberDiskLoss === 'Manual') {
    const advice = 'onMemberDiskLoss is Manual: nothing is done';
    return gate('Replace', `${why}; ${advice}`);
  }
  if (!proven) return gate('Replace', `${why}: waiting until this has held for long enough`);
  if (!decidesWithout(group, [voter.ordinal], group.voters.length)) {
    return gate('Replace', `${why}, and the other members have no quorum to remove it`);
  }
  const voters = group.voters.map(({ ordinal }) => ordinal).filter((o) => o !== voter.ordinal);
  const { configurationIndex } = group;
  return {
    action: { type: 'changePeers', voters, configurationIndex, fence },
    operation: {
      type: 'Replace',
      message: `${why}: removing ${name}-${String(voter.ordinal)} from the group`,
    },
    requeueAfterMs: LOOK_SOON_MS,
  };
}
