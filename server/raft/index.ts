// The Raft library's public entry: all that a program built on it needs.
export { RaftError, type RaftErrorCode } from './error.ts';
export {
  Incarnation,
  Lineage,
  LogIndex,
  Term,
  type LogId,
  type MonotonicMs,
  type PeerId,
} from './core/ids.ts';
export type {
  Configuration,
  ConfigurationRecord,
  IndexedConfiguration,
} from './core/membership.ts';
export {
  ANY_PEER,
  parsePeerId,
  parsePeers,
  peerAddress,
  peerFields,
  peersText,
  type ParsedPeerId,
  type PeerFields,
} from './core/peer-id.ts';
export { crc32c } from './encoding/crc32c.ts';
export { systemClock, type Clock } from './node/clock.ts';
export { silentLogger, type LogFields, type Logger } from './node/logger.ts';
export { Node } from './node/node.ts';
export { raftStat } from './node/raft-stat.ts';
export type { ChangeGuard, MembershipResult, NodeApi } from './node/node-api.ts';
export type { NodeOptions, NodeStorage, Task } from './node/node-options.ts';
export type { ResetPlan } from './node/planned-reset.ts';
export type { LeaderLeaseStatus, NodeState, NodeStatus, PeerStatus } from './node/node-status.ts';
export type {
  ApplyIterator,
  LeaderChangeContext,
  NodeError,
  StateMachine,
} from './node/state-machine.ts';
export type { SnapshotReader, SnapshotWriter } from './storage/snapshot-storage.ts';
