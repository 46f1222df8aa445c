import type { OperationType, Plan } from '../action.ts';
import type { PodView } from '../observed.ts';

/** While something is under way. */
export const LOOK_SOON_MS = 500;
/** While something outside is waited for. */
export const LOOK_LATER_MS = 1_000;
/** When nothing is to be done: how soon a new leader or a silent member is noticed. */
export const LOOK_IDLE_MS = 5_000;

/** A pod is waited for; says what it waits for itself. */
export function waiting(type: OperationType, name: string, pod: PodView | undefined): Plan {
  const state =
    pod === undefined
      ? 'does not exist yet'
      : (pod.trouble ?? (pod.deleting ? 'is being stopped' : 'does not answer yet'));
  return gate(type, `waiting for pod ${name}: ${state}`);
}

/** Nothing may be done now; the message says what is waited for. */
export function gate(type: OperationType, message: string): Plan {
  return { operation: { type, message }, requeueAfterMs: LOOK_LATER_MS };
}
