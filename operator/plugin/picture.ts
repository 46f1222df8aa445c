import type { AtomicClusterStatus, MemberState } from '../api/atomic-cluster.ts';
import { conditionOf } from '../api/condition.ts';
import type { PodView } from '../cluster/observed.ts';
import { claimName, ordinalOf } from '../resources/names.ts';
import { known } from './known.ts';
import type { Look } from './look.ts';
import { conditionsAmiss } from './amiss.ts';
import type { PageMember } from './page.ts';
import { podTrouble } from './pod-trouble.ts';
import { unseenText } from './rights.ts';

/** One member as a person sees it; what is not known is left out. */
export type MemberPicture = {
  readonly pod: string;
  readonly node?: string;
  readonly role: MemberState['role'];
  readonly state: MemberState['state'];
  readonly votes: boolean;
  readonly version?: string;
  readonly appliedIndex?: number;
  /** Entries that the leader has committed and it has not applied. */
  readonly lag?: number;
  /** Milliseconds since it last answered the leader. */
  readonly lastContactMs?: number;
  /** Why it does not run, or does not answer. */
  readonly trouble?: string;
};

/** A group at one moment: the output of `status -o json`. */
export type Picture = {
  readonly namespace: string;
  readonly name: string;
  /** The reason of the condition Ready. */
  readonly status: string;
  readonly message: string;
  readonly leader?: string;
  readonly term?: number;
  readonly voters?: number;
  readonly quorum?: number;
  readonly faultTolerance?: number;
  readonly committedIndex?: number;
  readonly version?: string;
  readonly operation?: NonNullable<AtomicClusterStatus['operation']>;
  readonly members: readonly MemberPicture[];
  /** What is not as it should be. */
  readonly amiss: readonly string[];
  /** What this picture lacks, and the command that tells which right is missing. */
  readonly unseen: readonly string[];
};

export function pictureOf(look: Look): Picture {
  const { cluster, observed, status: group } = look;
  const noted = cluster.status ?? {};
  const ready = conditionOf(noted, 'Ready');
  const committedIndex = committedOf(look, group.leader);
  const { leader, term, voters, quorum, faultTolerance } = group;
  return {
    ...{ namespace: observed.namespace, name: observed.name },
    status: ready?.reason ?? 'Unknown',
    message: ready?.message ?? 'the operator has not looked at it yet: does it run?',
    ...known({ leader, term, voters, quorum, faultTolerance, committedIndex }),
    ...known({ version: noted.version, operation: noted.operation }),
    members: (group.members ?? []).map((member) => memberPicture(look, member, committedIndex)),
    amiss: amissOf(look),
    unseen: look.missingRights.map(unseenText),
  };
}

function memberPicture(
  look: Look,
  member: MemberState,
  committedIndex: number | undefined,
): MemberPicture {
  const { observed } = look;
  const ordinal = ordinalOf(observed.name, member.name);
  const pod = observed.pods.find((one) => one.ordinal === ordinal);
  const { name, role, state, votes, node, version } = member;
  const live = ordinal === undefined ? undefined : liveMember(look, ordinal);
  const appliedIndex = live?.status?.appliedIndex;
  const lag =
    committedIndex === undefined || appliedIndex === undefined
      ? undefined
      : Math.max(0, committedIndex - appliedIndex);
  return {
    pod: name,
    ...known({ node }),
    ...{ role, state, votes },
    ...known({ version, appliedIndex, lag }),
    ...known({ lastContactMs: live?.lastContactMs, trouble: troubleOf(look, ordinal, pod) }),
  };
}

/** What the pages tell of a member: its own word, with what the leader knows of it. */
function liveMember({ pages, observed }: Look, ordinal: number): PageMember | undefined {
  const own = pages.read.get(ordinal)?.members.find(({ self }) => self);
  const leader = observed.group?.leader;
  const host = `${observed.name}-${String(ordinal)}.`;
  const ofLeader = leader === undefined ? undefined : pages.read.get(leader);
  const heard = ofLeader?.members.find(({ peer }) => peer.startsWith(host));
  if (own === undefined) return heard;
  const { lastContactMs } = heard ?? {};
  return { ...own, ...known({ lastContactMs }) };
}

function committedOf({ pages, observed }: Look, leader: string | undefined): number | undefined {
  const ordinal = leader === undefined ? undefined : ordinalOf(observed.name, leader);
  const page = ordinal === undefined ? undefined : pages.read.get(ordinal);
  return page?.members.find(({ self }) => self)?.status?.committedIndex;
}

function troubleOf(
  { pages, isWhole }: Look,
  ordinal: number | undefined,
  pod: PodView | undefined,
): string | undefined {
  if (!isWhole || ordinal === undefined) return undefined;
  const silence = pages.silent.get(ordinal);
  const isHeard = silence === undefined;
  return podTrouble(pod) ?? (isHeard ? undefined : `its status page does not answer: ${silence}`);
}

function amissOf({ cluster, observed }: Look): readonly string[] {
  const { metadata, status } = cluster;
  const isBehind =
    status?.observedGeneration !== undefined && status.observedGeneration !== metadata.generation;
  const aside = observed.claims.filter(({ quarantinedAt }) => quarantinedAt !== undefined);
  const { name, spec } = observed;
  return [
    ...(isBehind ? ['the operator has not seen the newest spec yet: does it run?'] : []),
    ...conditionsAmiss(status?.conditions ?? []).map(
      ({ type, reason, message }) => `${type} (${reason}): ${message}`,
    ),
    ...aside.map(
      ({ ordinal, quarantinedAt = '' }) =>
        `volume ${claimName(name, ordinal)} is set aside since ${quarantinedAt.slice(0, 19)}Z, kept ${spec.storage.retention.quarantineTTL}`,
    ),
  ];
}
