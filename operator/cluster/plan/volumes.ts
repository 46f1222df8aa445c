import { bytesOf, quantityBytes } from '../../api/quantity.ts';
import { claimName } from '../../resources/names.ts';
import type { Plan } from '../action.ts';
import type { ClaimView, Observed } from '../observed.ts';
import { LOOK_IDLE_MS, LOOK_SOON_MS } from './waiting.ts';

/**
 * Brings volumes to the size that the spec asks for, one after the other and never to a smaller
 * one, while members go on; then the StatefulSet, which would make new ones of the old size.
 */
export function planVolumes(observed: Observed): Plan | undefined {
  const { group, spec, growthRefused, name } = observed;
  if (group === undefined) return undefined;
  const late = lateClaims(observed);
  const growing = late.find(isGrowing);
  if (growing !== undefined) {
    const text = growing.growth ?? 'waiting for the storage driver to grow it';
    return wait(`${claimName(name, growing.ordinal)}: ${text}`);
  }
  const [first] = late;
  if (first === undefined) return planClaimSize(observed);
  if (growthRefused !== undefined) {
    const message = `the volumes cannot grow to ${spec.storage.size}: ${growthRefused}`;
    return { stalled: { reason: 'Refused', message }, requeueAfterMs: LOOK_IDLE_MS };
  }
  const next = late.find(({ bound }) => bound);
  if (next === undefined) return wait(`${claimName(name, first.ordinal)} is not bound yet`);
  const { ordinal, uid } = next;
  const { size } = spec.storage;
  const message = `${claimName(name, ordinal)} is to grow to ${size}`;
  return {
    action: { type: 'growClaim', ordinal, uid, size },
    operation: { type: 'Grow', message },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

/** The volumes in use that are smaller than the spec asks for. */
export function lateClaims({
  claims,
  spec,
}: Pick<Observed, 'claims' | 'spec'>): readonly ClaimView[] {
  const wanted = quantityBytes(spec.storage.size);
  return claims.filter(
    ({ deleting, quarantinedAt, requestedBytes = wanted, capacityBytes = wanted, bound }) => {
      const has = bound ? Math.min(requestedBytes, capacityBytes) : requestedBytes;
      return !deleting && quarantinedAt === undefined && has < wanted;
    },
  );
}

function isGrowing({ bound, requestedBytes = 0, capacityBytes }: ClaimView): boolean {
  return bound && capacityBytes !== undefined && requestedBytes > capacityBytes;
}

/**
 * The size of new volumes cannot be changed in a StatefulSet: it is deleted without its pods, and
 * created again (presence.ts). Only when everything else is as it should be: what is created has
 * the template of the spec, and until then nobody replaces a pod.
 */
function planClaimSize(observed: Observed): Plan | undefined {
  const { statefulSet, spec, group, pods, claims, templateHash } = observed;
  const present = bytesOf(statefulSet?.claimSize);
  if (statefulSet === undefined || present === undefined) return undefined;
  if (present >= quantityBytes(spec.storage.size)) return undefined;
  // A volume that has not been heard of yet may be too small.
  const hasVolume = (ordinal: number) => claims.some((claim) => claim.ordinal === ordinal);
  const isWhole =
    group?.voters.every(({ ordinal, participating }) => participating && hasVolume(ordinal)) ===
    true;
  const isCalm = pods.every(
    ({ deleting, revision }) => !deleting && revision === statefulSet.updateRevision,
  );
  if (!isWhole || !isCalm || statefulSet.templateHash !== templateHash) {
    return wait(
      'all members must take part, with volumes that are known, before the StatefulSet is made anew',
    );
  }
  return {
    action: { type: 'orphanPods', uid: statefulSet.uid },
    operation: {
      type: 'Grow',
      message: 'making the StatefulSet anew, so that new volumes get the size',
    },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

function wait(message: string): Plan {
  return { operation: { type: 'Grow', message }, requeueAfterMs: LOOK_IDLE_MS };
}
