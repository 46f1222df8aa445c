import type { Observed, PodView } from '../cluster/observed.ts';
import { hasLostDisk, podOf, voterOf } from '../cluster/plan/membership.ts';
import { PROOF_MS } from '../cluster/plan/replacement.ts';
import { podName } from '../resources/names.ts';
import { podTrouble } from './pod-trouble.ts';
import { durationText } from './text.ts';

/** What the operator would have to see before it goes on. */
export function missingEvidence(observed: Observed): readonly string[] {
  return [...facts(observed), ...members(observed), ...revisions(observed)];
}

/** Facts that must go on for a while before they are acted on. */
function facts({ facts: seen, spec, name }: Observed): readonly string[] {
  return [...seen.keys()].flatMap((fact) => {
    const [kind = '', ordinal = ''] = fact.split(':');
    const pod = `${name}-${ordinal}`;
    const wait = (setting: string): string => `for ${setting} without a break`;
    switch (kind) {
      case 'diskLost':
        return `that the disk of ${pod} is another one, ${wait(durationText(PROOF_MS))}`;
      case 'absent':
      case 'claimLost':
        return `that the node of the volume of ${pod} is gone, ${wait(`memberLossGracePeriod ${spec.memberLossGracePeriod}`)}`;
      case 'canary':
        return `that a pod with the new template takes part, within canaryDeadline ${spec.updateStrategy.canaryDeadline}`;
      case 'noLeader':
        return `a leader; quorumLossGracePeriod ${spec.disasterRecovery.quorumLossGracePeriod} without one counts as the loss of the quorum`;
      default:
        return [];
    }
  });
}

/** Members, present and to come, that do not take part. */
function members(observed: Observed): readonly string[] {
  const { spec, group, status, name } = observed;
  if (spec.hibernate) return [];
  const noted = (status.members ?? []).filter(({ votes }) => votes).map((one) => one.name);
  const voters = group?.voters.map(({ ordinal }) => podName(name, ordinal)) ?? noted;
  const wanted = Array.from({ length: spec.replicas }, (_, ordinal) => podName(name, ordinal));
  return [...new Set([...voters, ...wanted])].flatMap((pod) => {
    const why = absenceOf(observed, Number(pod.slice(name.length + 1)));
    return why === undefined ? [] : `that ${pod} takes part: ${why}`;
  });
}

/** Why a member does not take part; undefined when it does, or cannot without a leader. */
function absenceOf(observed: Observed, ordinal: number): string | undefined {
  const voter = voterOf(observed, ordinal);
  if (voter?.participating === true) return undefined;
  const pod = podOf(observed, ordinal);
  const silence = silenceOf(pod);
  if (silence !== undefined) return silence;
  if (observed.group === undefined) return undefined;
  if (voter === undefined) return 'it is no voter yet';
  if (hasLostDisk(voter, pod)) return 'its disk is not the one that it had';
  return 'the leader has not heard from it lately, or it is far behind';
}

function silenceOf(pod: PodView | undefined): string | undefined {
  const isSilent = pod?.report === undefined;
  return podTrouble(pod) ?? (isSilent ? 'its server does not answer' : undefined);
}

function revisions({ statefulSet, pods, name }: Observed): readonly string[] {
  const revision = statefulSet?.updateRevision;
  if (revision === undefined) return [];
  const outdated = pods.filter((pod) => pod.revision !== revision);
  return outdated.map(
    ({ ordinal }) => `that ${podName(name, ordinal)} runs the newest template: it has an older one`,
  );
}
