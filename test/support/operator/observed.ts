import { atomicClusterSpecSchema } from '../../../operator/api/atomic-cluster.ts';
import type {
  ClaimView,
  Fact,
  GroupView,
  MemberReport,
  Observed,
  PodView,
  StatefulSetView,
  VoterView,
} from '../../../operator/cluster/observed.ts';

/** The revision and the hash of the template that everything below has unless told otherwise. */
export const REVISION = 'rev-1';
export const TEMPLATE = 'hash-1';

export function spec(input: object = {}): Observed['spec'] {
  return atomicClusterSpecSchema.parse(input);
}

/** The disk of an ordinal. */
export const diskOf = (ordinal: number): string => `disk-${String(ordinal)}`;

export function report(ordinal: number, more: Partial<MemberReport> = {}): MemberReport {
  return {
    ...{ incarnation: diskOf(ordinal), clusterId: 'cluster', lineage: 'lineage', joined: true },
    ...{ lastIndex: 100, committedIndex: 100, configurationIndex: 10, voters: [0, 1, 2] },
    version: '1.0.0',
    ...more,
  };
}

/** A server on an empty disk. */
export function emptyReport(ordinal: number): MemberReport {
  const nothing = { clusterId: '', lineage: '', joined: false, lastIndex: 0, committedIndex: 0 };
  return report(ordinal, { ...nothing, configurationIndex: 0, voters: [] });
}

export function pod(ordinal: number, more: Partial<PodView> = {}): PodView {
  return {
    ...{ ordinal, uid: `pod-${String(ordinal)}`, revision: REVISION, ready: true },
    ...{ deleting: false, node: `node-${String(ordinal)}`, trouble: undefined },
    report: report(ordinal),
    ...more,
  };
}

/** A pod whose image cannot be pulled. */
export function brokenPod(ordinal: number, more: Partial<PodView> = {}): PodView {
  return pod(ordinal, { ready: false, report: undefined, trouble: 'ImagePullBackOff', ...more });
}

export function claim(ordinal: number, more: Partial<ClaimView> = {}): ClaimView {
  return {
    ...{ ordinal, uid: `claim-${String(ordinal)}`, bound: true, deleting: false },
    ...{ clusterId: 'cluster', quarantinedAt: undefined, lost: false },
    ...{ requestedBytes: 2 ** 30, capacityBytes: 2 ** 30, growth: undefined },
    ...more,
  };
}

export function voter(ordinal: number, more: Partial<VoterView> = {}): VoterView {
  return { ordinal, incarnation: diskOf(ordinal), matchIndex: 100, participating: true, ...more };
}

/** A settled group led by 0. */
export function group(
  voters: readonly (number | VoterView)[],
  more: Partial<GroupView> = {},
): GroupView {
  return {
    ...{ clusterId: 'cluster', lineage: 'lineage', term: 3, leader: 0, commitIndex: 100 },
    ...{ configurationIndex: 10, stable: true, fence: 1, learners: [] },
    voters: voters.map((one) => (typeof one === 'number' ? voter(one) : one)),
    ...more,
  };
}

export function statefulSet(
  replicas: number,
  more: Partial<StatefulSetView> = {},
): StatefulSetView {
  return {
    ...{ uid: 'set', replicas, templateHash: TEMPLATE, updateRevision: REVISION, deleting: false },
    claimSize: '1Gi',
    ...more,
  };
}

/** Facts that have held for long, or as long as told. */
export function facts(...names: readonly (string | readonly [string, Fact])[]): Observed['facts'] {
  return new Map(
    names.map((one) =>
      typeof one === 'string' ? ([one, { heldMs: 3_600_000, passes: 100 }] as const) : one,
    ),
  );
}

/** A whole cluster of `members` that needs nothing; `more` changes what a test is about. */
export function observed(members = 3, more: Partial<Observed> = {}): Observed {
  const ordinals = Array.from({ length: members }, (_, ordinal) => ordinal);
  return {
    ...{ namespace: 'demo', name: 'c', generation: 1, deleting: false, spec: spec() },
    status: { clusterID: 'cluster', lineage: { id: 'lineage', sequence: 0 } },
    ...{ adoptClusterId: undefined, templateHash: TEMPLATE, statefulSet: statefulSet(members) },
    pods: ordinals.map((ordinal) =>
      pod(ordinal, { report: report(ordinal, { voters: ordinals }) }),
    ),
    claims: ordinals.map((ordinal) => claim(ordinal)),
    ...{
      group: group(ordinals),
      fence: 1,
      growthRefused: undefined,
      monitored: undefined,
      facts: facts(),
      now: '2030-01-01T00:00:00.000Z',
    },
    ...more,
  };
}

/** Nothing exists but the AtomicCluster. */
export function nothingYet(more: Partial<Observed> = {}): Observed {
  const none = { status: {}, statefulSet: undefined, pods: [], claims: [], group: undefined };
  return observed(0, { ...none, fence: undefined, ...more });
}
