/** The public API of `atomicraft/client`. */
export {
  AtomicClient,
  connect,
  type CallOptions,
  type ConnectOptions,
  type GetOptions,
  type ReadConsistency,
} from './atomic-client.ts';
export { AtomicError, type AtomicErrorCode, type Outcome } from './atomic-error.ts';
export {
  historyFromJson,
  HistoryRecorder,
  historyToJson,
  type History,
  type HistoryCall,
  type HistoryOperation,
  type HistoryResult,
  type OpenCall,
} from './history.ts';
export {
  MembershipClient,
  type Guard,
  type MemberList,
  type MembershipChange,
  type MembershipClientOptions,
  type MemberStatus,
} from './membership-client.ts';
export { MembershipError } from './membership-error.ts';
export type { CompareExchangeResult } from './operation.ts';
export {
  ReplicaClient,
  type ReplicaClientOptions,
  type ReplicaGuard,
  type ReplicaStatus,
} from './replica-client.ts';
export { RouteTable, type LeaderSelection, type RouteUpdate } from './route-table.ts';
export { judge, operationText, type Verdict, type Violation } from './verdict.ts';
