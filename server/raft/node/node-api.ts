import type { LogIndex, PeerId, Term } from '../core/ids.ts';
import type { MembershipChange } from '../core/membership.ts';
import type { Task } from './node-options.ts';
import type { LeaderLeaseStatus, NodeStatus } from './node-status.ts';

/** The voters before and after a membership change. */
export type MembershipResult = {
  readonly oldVoters: readonly PeerId[];
  readonly newVoters: readonly PeerId[];
};

/** Guards of a membership change (see MembershipChange). */
export type ChangeGuard = Omit<MembershipChange, 'target'>;

/**
 * One member of one group in this process: braft's Node, method by method, with promises in place
 * of closures. Failures are RaftErrors with braft's codes. `node.ts` implements it.
 */
export type NodeApi<Context> = {
  readonly group: string;
  readonly peer: PeerId;
  /** braft node_id: `group:host:port:index:role`. */
  nodeId(): string;
  leaderId(): PeerId | undefined;
  isLeader(): boolean;
  isLeaderLeaseValid(): boolean;
  leaderLeaseStatus(): LeaderLeaseStatus;
  /** Stops: a leader wakes its best successor first. Idempotent (braft shutdown). */
  shutdown(): Promise<void>;
  /** Resolves when the node has stopped (braft join). */
  join(): Promise<void>;
  /**
   * Replicates a task; resolves with its log id once applied on this node.
   *
   * @throws RaftError EPERM (not leader, or expectedTerm passed, or stopped), EBUSY (transferring,
   *   or too much pending), EREADONLY, ENOSPC: all `notProposed`; EPERM `unknown` when leadership
   *   was lost after it was proposed; ESTATEMACHINE.
   */
  apply(task: Task<Context>): Promise<{ readonly index: LogIndex; readonly term: Term }>;
  /**
   * Resolves once the state machine reflects everything committed before this call (ReadIndex,
   * dissertation §6.4), or at once under a valid lease when asked for.
   *
   * @throws RaftError EPERM (not leader).
   */
  readIndex(options?: { readonly consistency?: 'linearizable' | 'lease' }): Promise<LogIndex>;
  /** The voters, on the leader only. @throws RaftError EPERM. */
  listPeers(): readonly PeerId[];
  addPeer(peer: PeerId, guard?: ChangeGuard): Promise<MembershipResult>;
  removePeer(peer: PeerId, guard?: ChangeGuard): Promise<MembershipResult>;
  changePeers(voters: ReadonlySet<PeerId>, guard?: ChangeGuard): Promise<MembershipResult>;
  addLearner(peer: PeerId, guard?: ChangeGuard): Promise<MembershipResult>;
  removeLearner(peer: PeerId, guard?: ChangeGuard): Promise<MembershipResult>;
  promoteLearner(peer: PeerId, guard?: ChangeGuard): Promise<MembershipResult>;
  claimOperator(guard: ChangeGuard): Promise<MembershipResult>;
  /** This node alone adopts `voters`; for a group whose majority is gone. */
  resetPeers(voters: ReadonlySet<PeerId>): Promise<void>;
  /**
   * Makes an empty disk the only voter of a new group of the cluster `clusterId`; resolves once
   * that is committed. Repeating it is harmless, and finishes what a crash interrupted.
   *
   * @throws RaftError EINVAL for an empty id or beside initial voters; EEXIST when the disk belongs
   *   to a group or to another cluster; EBUSY while a leader is just taking it in.
   */
  bootstrap(clusterId: string): Promise<void>;
  /** Saves a snapshot now. Without anything new since the last one: success, nothing saved. */
  snapshot(): Promise<void>;
  vote(electionTimeoutMs: number): Promise<void>;
  /** One argument: the sum with the clock drift stays; two: both are set. */
  resetElectionTimeoutMs(electionTimeoutMs: number, clockDriftMaxMs?: number): Promise<void>;
  /** 'any' lets the most up-to-date follower lead. Resolves when the transfer has started. */
  transferLeadershipTo(target: PeerId | 'any'): Promise<void>;
  /** First DATA entry at or after `index`, up to the applied index. */
  readCommittedUserLog(index: number): Promise<{ index: LogIndex; data: Uint8Array }>;
  status(): NodeStatus;
  enterReadonlyMode(): Promise<void>;
  leaveReadonlyMode(): Promise<void>;
  readonly(): boolean;
};
