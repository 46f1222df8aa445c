import { durationMs } from '../../api/duration.ts';
import type { Plan } from '../action.ts';
import type { ClaimView, Observed } from '../observed.ts';
import { isForeignClaim, podOf, voterOf } from './membership.ts';
import { LOOK_SOON_MS } from './waiting.ts';

/**
 * The volume of a member that was scaled away is kept for a while, marked, and then deleted; when
 * its ordinal votes again, the mark goes.
 */
export function planClaims(observed: Observed): Plan | undefined {
  const { claims, group, statefulSet } = observed;
  if (group === undefined || statefulSet === undefined) return undefined;
  const ours = claims.filter((claim) => !isForeignClaim(claim, group.clusterId));
  for (const claim of ours) {
    const action = actionFor(observed, claim, statefulSet.replicas);
    if (action !== undefined) return { action, requeueAfterMs: LOOK_SOON_MS };
  }
  return undefined;
}

function actionFor(observed: Observed, claim: ClaimView, replicas: number): Plan['action'] {
  const { ordinal, uid, quarantinedAt } = claim;
  if (claim.deleting) return undefined;
  const votes = voterOf(observed, ordinal) !== undefined;
  if (votes)
    return quarantinedAt === undefined ? undefined : { type: 'releaseClaim', ordinal, uid };
  if (ordinal < replicas || podOf(observed, ordinal) !== undefined) return undefined;
  if (quarantinedAt === undefined) return { type: 'quarantineClaim', ordinal, uid };
  const ageMs = Date.parse(observed.now) - Date.parse(quarantinedAt);
  const ttlMs = durationMs(observed.spec.storage.retention.quarantineTTL);
  return ageMs > ttlMs ? { type: 'deleteClaim', ordinal, uid } : undefined;
}
