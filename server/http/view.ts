import type { ActivitySample } from '../activity/activity-log.ts';

/** A group as one server sees it: the answer to /status.json and what the status page draws. */
export type ClusterView = {
  readonly group: string;
  /** All groups of this server. */
  readonly groups: readonly string[];
  readonly server: {
    readonly peer: string;
    readonly version: string;
    readonly pid: number;
    readonly ready: boolean;
    /** Why it is not ready; empty when it is. */
    readonly reason: string;
  };
  /** The leader that a reachable member names for the highest term. */
  readonly leader: string | null;
  readonly term: number;
  readonly configurationIndex: number;
  /** A change of members is under way. */
  readonly changing: boolean;
  /** Everyone in the configuration this server has, and this server, ordered by peer. */
  readonly members: readonly MemberView[];
};

export type MemberView = {
  readonly peer: string;
  readonly self: boolean;
  readonly role: 'voter' | 'outgoing' | 'learner' | 'outsider';
  readonly reachable: boolean;
  /** Why it is not reachable. */
  readonly error?: string;
  readonly status?: MemberStatusView;
  readonly activity?: MemberActivityView;
  /** Milliseconds since it last answered the leader. */
  readonly lastContactMs?: number;
  readonly installingSnapshot?: boolean;
};

export type MemberStatusView = {
  readonly state: string;
  readonly leader: string | null;
  readonly term: number;
  readonly readonly: boolean;
  readonly joined: boolean;
  readonly committedIndex: number;
  readonly appliedIndex: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly diskIndex: number;
  readonly snapshotIndex: number;
};

export type MemberActivityView = {
  readonly version: string;
  readonly uptimeMs: number;
  readonly memoryBytes: number;
  /** `host:port` of its status page; empty: none. */
  readonly httpAddress: string;
  readonly appliedOperations: number;
  readonly counters: number;
  readonly samples: readonly ActivitySample[];
};
