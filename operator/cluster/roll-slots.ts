import type { OperationType, Plan } from './action.ts';
import type { Observed } from './observed.ts';
import { LOOK_IDLE_MS } from './plan/waiting.ts';

/** A roll is not over during these: a pod of it has yet to come back. */
const ROLLING: readonly OperationType[] = ['Roll', 'RollBack', 'Repair'];

/**
 * Lets only some clusters at once be rolled for no other reason than that a new operator makes
 * other pods: if they are worse, most clusters never get them. What a person changes is not held up.
 */
export class RollSlots {
  readonly #max: number;
  readonly #holders = new Set<string>();
  /** Clusters whose template differed when they were first looked at. */
  readonly #inherited = new Map<string, boolean>();

  constructor(max: number) {
    this.#max = max;
  }

  /** `next` as it is, or nothing to do when the cluster with this key must wait for its turn. */
  admit(key: string, observed: Observed, next: Plan): Plan {
    const isInherited = this.#isInherited(key, observed);
    const isOver = next.operation === undefined || !ROLLING.includes(next.operation.type);
    if (isOver) this.#holders.delete(key);
    const begins = next.operation?.type === 'Roll' && next.action?.type === 'applyTemplate';
    if (!begins || !isInherited) return next;
    if (!this.#holders.has(key) && this.#holders.size >= this.#max) {
      return { requeueAfterMs: LOOK_IDLE_MS };
    }
    this.#holders.add(key);
    return next;
  }

  forget(key: string): void {
    this.#holders.delete(key);
    this.#inherited.delete(key);
  }

  #isInherited(key: string, { statefulSet, templateHash, status }: Observed): boolean {
    const differs =
      statefulSet !== undefined &&
      statefulSet.templateHash !== templateHash &&
      status.failedTemplate !== templateHash;
    const inherited = differs && (this.#inherited.get(key) ?? true);
    this.#inherited.set(key, inherited);
    return inherited;
  }
}
