import type { Plan } from '../action.ts';
import type { Observed } from '../observed.ts';
import { LOOK_SOON_MS } from './waiting.ts';

/** How long another operator's claim is respected before it is taken over. */
const CONFLICT_MS = 60_000;

/** Nothing is changed before the group has accepted this operator as the newest one. */
export function planFence({ group, fence, facts }: Observed): Plan | undefined {
  if (group === undefined || fence === group.fence) return undefined;
  const lost = fence !== undefined && group.fence > fence;
  if (lost && (facts.get('fenceLost')?.heldMs ?? 0) < CONFLICT_MS) {
    const message =
      'another operator has claimed this cluster: let only one installation manage a namespace';
    return { stalled: { reason: 'OperatorConflict', message }, requeueAfterMs: 5_000 };
  }
  const { configurationIndex } = group;
  return {
    action: { type: 'claimFence', fence: group.fence + 1, configurationIndex },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

/** A membership change is finished before anything else begins. */
export function planChangeInFlight({ group }: Observed): Plan | undefined {
  return group === undefined || group.stable ? undefined : { requeueAfterMs: LOOK_SOON_MS };
}
