import type { PodView } from '../cluster/observed.ts';

/** Why a pod cannot be heard, as far as Kubernetes knows; undefined: it runs. */
export function podTrouble(pod: PodView | undefined): string | undefined {
  if (pod === undefined) return 'it has no pod';
  return pod.deleting ? 'its pod is being stopped' : pod.trouble;
}
