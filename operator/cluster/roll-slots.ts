import type { Plan } from './action.ts';
import type { Observed } from './observed.ts';
import { plan } from './plan/plan.ts';
import { LOOK_IDLE_MS } from './plan/waiting.ts';

/**
 * Lets only some clusters at once be rolled for no other reason than that a new operator makes
 * other pods: if they are worse, most clusters never get them. What a person changes is not held up.
 */
export class RollSlots {
  readonly #max: number;
  readonly #holders = new Set<string>();
  /** The template that each cluster already lacked when it was first looked at, if it did. */
  readonly #inherited = new Map<string, string | undefined>();

  constructor(max: number) {
    this.#max = max;
  }

  /** The plan for the cluster with this key; while it waits for its turn, without the new template. */
  plan(key: string, observed: Observed): Plan {
    const isInherited = this.#isInherited(key, observed);
    const next = plan(observed);
    if (isOver(observed, next)) this.#holders.delete(key);
    const begins = next.operation?.type === 'Roll' && next.action?.type === 'applyTemplate';
    if (!begins || !isInherited) return next;
    if (!this.#holders.has(key) && this.#holders.size >= this.#max) return this.#without(observed);
    this.#holders.add(key);
    return next;
  }

  forget(key: string): void {
    this.#holders.delete(key);
    this.#inherited.delete(key);
  }

  /** Everything else goes on, but for what would bring the template along. */
  #without(observed: Observed): Plan {
    const templateHash = observed.statefulSet?.templateHash ?? observed.templateHash;
    const next = plan({ ...observed, templateHash });
    return next.action?.type === 'orphanPods' ? { requeueAfterMs: LOOK_IDLE_MS } : next;
  }

  #isInherited(key: string, observed: Observed): boolean {
    const { statefulSet, templateHash, status, generation } = observed;
    // What no operator has acted on yet is a person's change.
    const wasTold = status.observedGeneration === generation;
    const lacks =
      statefulSet !== undefined &&
      statefulSet.templateHash !== templateHash &&
      status.failedTemplate !== templateHash;
    if (!this.#inherited.has(key)) {
      this.#inherited.set(key, lacks && wasTold ? templateHash : undefined);
      // In the middle of a roll that another operator has begun.
      if (!lacks && isRolling(observed)) this.#holders.add(key);
    }
    return lacks && this.#inherited.get(key) === templateHash;
  }
}

/** All members run the newest template and take part, or it is a person's turn. */
function isOver(observed: Observed, { stalled }: Plan): boolean {
  const { group, spec, deleting } = observed;
  if (stalled !== undefined || spec.paused || spec.hibernate || deleting) return true;
  const isWhole = group?.voters.every(({ participating }) => participating) === true;
  return isWhole && !isRolling(observed);
}

/** Until the StatefulSet controller has seen the template nobody knows which pods have it. */
function isRolling({ statefulSet, templateHash, pods }: Observed): boolean {
  if (statefulSet?.templateHash !== templateHash) return false;
  return pods.some(({ revision }) => revision !== statefulSet.updateRevision);
}
