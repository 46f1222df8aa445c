import type { Message } from '../core/message.ts';
import type { Identity } from '../storage/identity-storage.ts';
import type { AddressedMessage, ReceiveRefusal } from '../transport/transport.ts';

/** What a message must make durable about this disk before the core may see it. */
export type IdentityChange = Partial<
  Pick<Identity, 'clusterId' | 'lineage' | 'bound' | 'joined' | 'reset' | 'prepared'>
>;

export type GateVerdict =
  | { readonly type: 'refuse'; readonly reason: ReceiveRefusal }
  | { readonly type: 'pass' }
  | { readonly type: 'passAfter'; readonly change: IdentityChange };

/**
 * Checks a message against this disk: cluster, history and the disk the sender means. Membership
 * of the sender is not checked: a lagging member must hear leaders it does not know yet
 * (dissertation §4.1).
 */
export function checkMessage(identity: Identity, addressed: AddressedMessage): GateVerdict {
  const { message } = addressed;
  const { toIncarnation } = message;
  // What was found on this disk for a plan must stay true until the plan is carried out.
  if (identity.prepared !== undefined) return refuse('notActive');
  if (identity.clusterId !== '' && addressed.clusterId !== '') {
    if (identity.clusterId !== addressed.clusterId) return refuse('clusterMismatch');
  }
  if (toIncarnation === undefined ? identity.bound : toIncarnation !== identity.incarnation) {
    return refuse('incarnationMismatch');
  }
  if (identity.lineage !== undefined && addressed.lineage !== undefined) {
    if (identity.lineage !== addressed.lineage) return refuse('lineageMismatch');
  }
  return isFromLeader(message) ? adopt(identity, addressed) : { type: 'pass' };
}

/** A leader that speaks to this disk tells it which history and cluster it belongs to. */
function adopt(identity: Identity, addressed: AddressedMessage): GateVerdict {
  const change: { -readonly [Key in keyof IdentityChange]: IdentityChange[Key] } = {};
  const addressedHere = addressed.message.toIncarnation === identity.incarnation;
  if (identity.lineage === undefined && addressed.lineage !== undefined) {
    change.lineage = addressed.lineage;
  }
  if (identity.clusterId === '' && addressed.clusterId !== '') {
    change.clusterId = addressed.clusterId;
  }
  if (addressedHere && !identity.bound) change.bound = true;
  if (addressedHere && !identity.joined) change.joined = true;
  return Object.keys(change).length === 0 ? { type: 'pass' } : { type: 'passAfter', change };
}

function isFromLeader({ type }: Message): boolean {
  return (
    type === 'appendRequest' || type === 'heartbeatRequest' || type === 'installSnapshotRequest'
  );
}

function refuse(reason: ReceiveRefusal): GateVerdict {
  return { type: 'refuse', reason };
}
