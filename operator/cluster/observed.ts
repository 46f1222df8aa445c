import type { AtomicClusterSpec, AtomicClusterStatus } from '../api/atomic-cluster.ts';

/** All that a plan is made from: plain data, read just before. */
export type Observed = {
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  readonly deleting: boolean;
  readonly spec: AtomicClusterSpec;
  readonly status: AtomicClusterStatus;
  /** What a person answered to ForeignDisks: the id of the cluster to take over. */
  readonly adoptClusterId: string | undefined;
  /** Hash of the pod template that the spec asks for. */
  readonly templateHash: string;
  readonly statefulSet: StatefulSetView | undefined;
  readonly pods: readonly PodView[];
  readonly claims: readonly ClaimView[];
  /** What the leader says, confirmed by a quorum; undefined when nobody answers as leader. */
  readonly group: GroupView | undefined;
  /** The fence that this operator has claimed, undefined before it has. */
  readonly fence: number | undefined;
  /** Why Kubernetes has lately refused to grow a volume to the size that the spec asks for. */
  readonly growthRefused: string | undefined;
  /** What became of the ServiceMonitor, if one is wanted and was looked at. */
  readonly monitored: Monitored | undefined;
  /** How long each of the facts of evidence.ts has held without a break. */
  readonly facts: ReadonlyMap<string, Fact>;
  /** Wall clock, ISO 8601. */
  readonly now: string;
};

export type Monitored = {
  readonly reason: 'Made' | 'NotServed' | 'ForeignObject' | 'Refused';
  readonly message: string;
};

/** Something that was seen in every one of the last `passes` looks, for `heldMs`. */
export type Fact = { readonly heldMs: number; readonly passes: number };

export type StatefulSetView = {
  readonly uid: string;
  readonly replicas: number;
  /** Hash of the template that was last applied. */
  readonly templateHash: string;
  /** Revision of that template; undefined until the controller has seen it. */
  readonly updateRevision: string | undefined;
  /** Size of the volumes that it makes, as Kubernetes writes it. */
  readonly claimSize: string | undefined;
  readonly deleting: boolean;
};

export type PodView = {
  readonly ordinal: number;
  readonly uid: string;
  readonly revision: string;
  readonly ready: boolean;
  readonly deleting: boolean;
  readonly node: string | undefined;
  /** Why it does not run, in words: unschedulable, an image that cannot be pulled, a crash. */
  readonly trouble: string | undefined;
  /** What its server says of its disk; undefined when it does not answer. */
  readonly report: MemberReport | undefined;
};

/** What a server says of its own disk, with or without a leader. */
export type MemberReport = {
  readonly incarnation: string;
  /** Empty on a disk that has joined no cluster. */
  readonly clusterId: string;
  readonly lineage: string;
  readonly joined: boolean;
  readonly lastIndex: number;
  readonly committedIndex: number;
  readonly configurationIndex: number;
  /** Ordinals of the voters in its latest configuration, those that are leaving included. */
  readonly voters: readonly number[];
  readonly version: string;
};

export type ClaimView = {
  readonly ordinal: number;
  readonly uid: string;
  readonly bound: boolean;
  readonly deleting: boolean;
  /** The cluster whose data it holds, as far as the operator has noted. */
  readonly clusterId: string | undefined;
  /** ISO 8601; set while its member is scaled away. */
  readonly quarantinedAt: string | undefined;
  /** Its volume is gone, or can only be used on a node that is. */
  readonly lost: boolean;
  /** What was asked for, and what it has; undefined when Kubernetes does not say. */
  readonly requestedBytes: number | undefined;
  readonly capacityBytes: number | undefined;
  /** What its growth waits for, in words. */
  readonly growth: string | undefined;
};

export type GroupView = {
  readonly clusterId: string;
  readonly lineage: string;
  readonly term: number;
  /** Ordinal; undefined for a leader that is none of our pods. */
  readonly leader: number | undefined;
  readonly commitIndex: number;
  readonly configurationIndex: number;
  /** The configuration is committed and not joint. */
  readonly stable: boolean;
  readonly fence: number;
  readonly voters: readonly VoterView[];
  /** Members outside of the configuration that the leader is bringing up to date. */
  readonly learners: readonly LearnerView[];
};

export type LearnerView = {
  readonly incarnation: string;
  /** It has answered the leader just now. */
  readonly answers: boolean;
};

export type VoterView = {
  readonly ordinal: number;
  /** The disk that the configuration binds; empty when none is bound yet. */
  readonly incarnation: string;
  readonly matchIndex: number;
  /** It answers the leader and is close to the end of the log. */
  readonly participating: boolean;
};
