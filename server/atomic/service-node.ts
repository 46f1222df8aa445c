import type { NodeApi } from '../raft/index.ts';
import type { Proposal } from './proposal.ts';

/** What the service needs of a node. */
export type ServiceNode = Pick<
  NodeApi<Proposal>,
  'apply' | 'readIndex' | 'leaderId' | 'isLeader' | 'peer'
>;
