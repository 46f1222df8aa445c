import type { Plan } from '../action.ts';
import type { Observed } from '../observed.ts';
import { planBootstrap } from './bootstrap.ts';
import { planClaims } from './claims.ts';
import { planChangeInFlight, planFence } from './fence.ts';
import { planHibernation, planLineage, planPods, planWithoutLeader } from './presence.ts';
import { planReplacement } from './replacement.ts';
import { planRoll, planRollBack } from './roll.ts';
import { planScale } from './scale.ts';
import { planVolumes } from './volumes.ts';
import { LOOK_IDLE_MS } from './waiting.ts';

/** First come the conditions of everything else; whatever has something to say ends the pass. */
const STEPS: readonly ((observed: Observed) => Plan | undefined)[] = [
  planNothing,
  planHibernation,
  planBootstrap,
  planLineage,
  planPods,
  planRollBack,
  planWithoutLeader,
  planFence,
  planChangeInFlight,
  planReplacement,
  planRoll,
  planScale,
  planClaims,
  planVolumes,
];

/**
 * Decides the single next step from what is to what is asked for. Pure: a crash at any moment, and
 * the next look leads to the same step again or to the one after it.
 */
export function plan(observed: Observed): Plan {
  for (const step of STEPS) {
    const next = step(observed);
    if (next !== undefined) return withFailedRollout(observed, next);
  }
  return withFailedRollout(observed, { requeueAfterMs: LOOK_IDLE_MS });
}

/** Nothing is changed while the cluster is being deleted, or when a person said so. */
function planNothing({ deleting, spec }: Observed): Plan | undefined {
  return deleting || spec.paused ? { requeueAfterMs: LOOK_IDLE_MS } : undefined;
}

/** A template that failed is not tried again; this is said until the spec changes. */
function withFailedRollout({ status, templateHash }: Observed, plan: Plan): Plan {
  if (plan.stalled !== undefined || status.failedTemplate !== templateHash) return plan;
  const message =
    'the first member with the new template did not take part in time; the template before it is in force: correct the spec';
  return { ...plan, stalled: { reason: 'RolloutFailed', message } };
}
