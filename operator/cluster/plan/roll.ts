import { durationMs } from '../../api/duration.ts';
import type { Action, Plan } from '../action.ts';
import { canaryFact, participatesFact } from '../evidence.ts';
import type { GroupView, Observed, PodView, StatefulSetView } from '../observed.ts';
import {
  bestOf,
  decidesWithout,
  needsVotersFirst,
  participating,
  podOf,
  SPARE_VOTERS_MIN,
  voterOf,
} from './membership.ts';
import { isBroken } from './presence.ts';
import { gate, LOOK_LATER_MS, LOOK_SOON_MS } from './waiting.ts';

const SECONDS = 1_000;

/**
 * A template that fails with its first pod is taken back before a second one gets it. Pods that
 * others re-create meanwhile, in a drain or after a crash, then get the good one too.
 */
export function planRollBack(observed: Observed): Plan | undefined {
  const { statefulSet, status, spec, pods } = observed;
  const revision = statefulSet?.updateRevision;
  // A status that was lost says nothing: then it is what those have that do take part.
  const other = pods.find(
    (pod) => pod.revision !== revision && voterOf(observed, pod.ordinal)?.participating,
  );
  const lastGoodRevision = status.lastGoodRevision ?? other?.revision;
  if (statefulSet === undefined || revision === undefined) return undefined;
  if (lastGoodRevision === undefined || lastGoodRevision === revision) return undefined;
  // A newer template than the failing one may be the cure.
  if (statefulSet.templateHash !== observed.templateHash) return undefined;
  const begun = statefulSet.templateHash === status.failedTemplate;
  if (!begun && !hasFailed(observed, revision)) return undefined;
  const { canaryDeadline } = spec.updateStrategy;
  const message = `the first member with the new template did not take part in ${canaryDeadline}`;
  return {
    action: {
      type: 'rollBack',
      revision: lastGoodRevision,
      failedTemplate: statefulSet.templateHash,
    },
    operation: { type: 'RollBack', message },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

function hasFailed(observed: Observed, revision: string): boolean {
  const { pods } = observed;
  const firstOnly = pods.length === 1 || pods.some((pod) => pod.revision !== revision);
  return firstOnly && isOverdue(observed, revision);
}

/** No member with this revision has taken part for so long that none will. */
function isOverdue({ facts, spec }: Observed, revision: string): boolean {
  const heldMs = facts.get(canaryFact(revision))?.heldMs ?? 0;
  return heldMs >= durationMs(spec.updateStrategy.canaryDeadline);
}

/**
 * Brings a new template to the members one by one: those that do not run first, the leader last,
 * the next only when all that have it take part.
 */
export function planRoll(observed: Observed): Plan | undefined {
  const { group, statefulSet, status, templateHash, spec } = observed;
  if (group === undefined || statefulSet === undefined) return undefined;
  if (statefulSet.templateHash !== templateHash && templateHash !== status.failedTemplate) {
    return planTemplate(observed, group, statefulSet);
  }
  const revision = statefulSet.updateRevision;
  if (revision === undefined) return gate('Roll', 'waiting for the StatefulSet controller');
  const outdated = observed.pods.filter((pod) => pod.revision !== revision);
  if (outdated.length === 0 || spec.updateStrategy.type === 'OnDelete') return undefined;
  const ending = outdated.find(({ deleting }) => deleting);
  if (ending !== undefined) {
    const { ordinal, trouble } = ending;
    const why = trouble === undefined ? '' : `: ${trouble}`;
    return gate('Roll', `waiting for ${observed.name}-${String(ordinal)} to end${why}`);
  }
  return planNextPod(observed, group, { statefulSet, outdated, revision });
}

/** The template alone restarts nothing, but whoever loses a pod now gets the new one. */
function planTemplate(
  observed: Observed,
  group: GroupView,
  { updateRevision }: StatefulSetView,
): Plan | undefined {
  const { spec } = observed;
  const missing = group.voters.filter((voter) => !voter.participating);
  const failed = updateRevision !== undefined && isOverdue(observed, updateRevision);
  const cure = failed || observed.pods.some(isBroken);
  if (!cure && mayGrowFirst(observed)) return undefined;
  if (missing.length > 0 && !cure) {
    // It may still have a template that was taken back.
    const odd = missing
      .map(({ ordinal }) => podOf(observed, ordinal))
      .find(
        (pod) =>
          pod !== undefined &&
          !pod.deleting &&
          pod.revision !== updateRevision &&
          isIdle(observed, group, pod.ordinal),
      );
    const isOurs = updateRevision !== undefined && spec.updateStrategy.type !== 'OnDelete';
    if (odd !== undefined && isOurs) return planRestart(observed, odd, 'deletePod');
    const names = missing.map(({ ordinal }) => `${observed.name}-${String(ordinal)}`).join(', ');
    return gate('Roll', `waiting for ${names} to take part before a new template is rolled out`);
  }
  return {
    action: { type: 'applyTemplate' },
    operation: { type: 'Roll', message: 'handing the new template to the StatefulSet' },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

/** More voters are on their way, on the template that is known to work: scale.ts has the word. */
function mayGrowFirst(observed: Observed): boolean {
  const heldMs = observed.facts.get('fewVoters')?.heldMs ?? 0;
  const { canaryDeadline } = observed.spec.updateStrategy;
  return needsVotersFirst(observed) && heldMs < durationMs(canaryDeadline);
}

function planNextPod(
  observed: Observed,
  group: GroupView,
  roll: {
    readonly statefulSet: StatefulSetView;
    readonly outdated: readonly PodView[];
    readonly revision: string;
  },
): Plan | undefined {
  const { outdated, revision } = roll;
  const idle = outdated.find(({ ordinal }) => isIdle(observed, group, ordinal));
  if (idle !== undefined) return planRestart(observed, idle, 'deletePod');
  // Newcomers have the new template by now: they are the first to prove it.
  if (needsVotersFirst(observed)) return undefined;
  const waitingFor = notSettled(observed, revision);
  if (waitingFor !== undefined) return waitingFor;
  const followers = outdated.filter(({ ordinal }) => ordinal !== group.leader);
  const next = followers.reduce<PodView | undefined>(
    (last, pod) => (last === undefined || pod.ordinal > last.ordinal ? pod : last),
    undefined,
  );
  const voters = group.voters.length;
  if (next === undefined) return planLeader(observed, group, revision);
  if (voters >= SPARE_VOTERS_MIN && !decidesWithout(group, [next.ordinal], voters)) {
    const name = `${observed.name}-${String(next.ordinal)}`;
    return gate('Roll', `${name} is needed for the quorum: waiting for another member`);
  }
  return planRestart(observed, next, voters >= SPARE_VOTERS_MIN ? 'evictPod' : 'deletePod');
}

/** It takes no part, and others have a quorum: whoever lags may still be needed for that. */
function isIdle(observed: Observed, group: GroupView, ordinal: number): boolean {
  const voter = voterOf(observed, ordinal);
  if (voter === undefined) return true;
  return !voter.participating && decidesWithout(group, [ordinal], group.voters.length);
}

/** All pods that have the new template, and all that are being restarted, must take part first. */
function notSettled(observed: Observed, revision: string): Plan | undefined {
  const { group, name } = observed;
  for (const { ordinal } of group?.voters ?? []) {
    const state = unsettled(observed, ordinal, revision);
    if (state !== undefined)
      return gate('Roll', `waiting for ${name}-${String(ordinal)}: ${state}`);
  }
  return undefined;
}

/** What is still missing of a member; undefined when it is as it should be. */
function unsettled(observed: Observed, ordinal: number, revision: string): string | undefined {
  const { facts, spec } = observed;
  const pod = podOf(observed, ordinal);
  if (pod === undefined) return 'it has no pod yet';
  if (pod.deleting) return pod.trouble ?? 'it is being stopped';
  if (voterOf(observed, ordinal)?.participating !== true) {
    return pod.trouble ?? 'it does not take part yet';
  }
  if (pod.revision !== revision) return undefined;
  const heldMs = facts.get(participatesFact(pod))?.heldMs ?? 0;
  const settled = pod.ready && heldMs >= spec.updateStrategy.minReadySeconds * SECONDS;
  return settled ? undefined : 'it has not been ready for long enough';
}

function planLeader(observed: Observed, group: GroupView, revision: string): Plan {
  const heirs = participating(group).filter(({ ordinal }) => {
    return ordinal !== group.leader && podOf(observed, ordinal)?.revision === revision;
  });
  const heir = bestOf(heirs);
  const leader = group.leader === undefined ? undefined : podOf(observed, group.leader);
  if (heir === undefined && leader !== undefined) return planRestart(observed, leader, 'deletePod');
  if (heir === undefined) return gate('Roll', 'waiting for the pod of the leader');
  const message = `leadership moves to ${observed.name}-${String(heir)}, which is up to date`;
  return {
    action: { type: 'transferLeader', to: heir },
    operation: { type: 'Roll', message },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

function planRestart(
  { name }: Observed,
  { ordinal, uid }: PodView,
  type: 'evictPod' | 'deletePod',
): Plan {
  const action: Action = { type, ordinal, uid };
  const message = `restarting ${name}-${String(ordinal)} with the new template`;
  return { action, operation: { type: 'Roll', message }, requeueAfterMs: LOOK_LATER_MS };
}
