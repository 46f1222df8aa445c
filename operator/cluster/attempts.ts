import { ApiError } from '../controller/api-error.ts';
import type { Plan } from './action.ts';
import { ForeignObject, LeavingObject } from './ownership.ts';
import { LOOK_LATER_MS } from './plan/waiting.ts';

/** What could not be written is tried again after this long. */
export const AGAIN_MS = 10_000;
/** Answers that say nothing of the request: too many, not now, not in time. */
const PASSING = [409, 429, 503, 504];

/** Why an object is not as it should be. */
export type Trouble = {
  /** Leaving and Passing: nobody has to do anything. */
  readonly reason: 'ForeignObject' | 'Refused' | 'Leaving' | 'Passing';
  readonly message: string;
  /** Monotonic milliseconds. */
  readonly againAtMs: number;
};

/** By what could not be written, such as `Service counters`. */
export type Troubles = ReadonlyMap<string, Trouble>;

/**
 * The writes of one pass that must not stop each other: what is refused is noted, to be told, and
 * tried again after a while.
 */
export class Attempts {
  readonly #before: Troubles;
  readonly #nowMs: number;
  readonly #troubles = new Map<string, Trouble>();

  /** `before`: of the last pass; `nowMs` is monotonic. */
  constructor(before: Troubles, nowMs: number) {
    this.#before = before;
    this.#nowMs = nowMs;
  }

  get troubles(): Troubles {
    return this.#troubles;
  }

  /** Those for a person that the last pass did not have. */
  get news(): readonly Trouble[] {
    return [...this.#troubles]
      .filter(([what, { reason }]) => {
        return isForPerson(reason) && this.#before.get(what)?.reason !== reason;
      })
      .map(([, trouble]) => trouble);
  }

  /** @throws that the API server is not there, and what is no answer of it. */
  async write(what: string, write: () => Promise<unknown>): Promise<void> {
    const known = this.#before.get(what);
    if (known !== undefined && this.#nowMs < known.againAtMs) {
      this.#troubles.set(what, known);
      return;
    }
    try {
      await write();
    } catch (error) {
      this.failed(what, error);
    }
  }

  /** Notes a failure. @throws the error, unless it is an answer of the API server. */
  failed(what: string, error: unknown): void {
    const reason = reasonOf(error);
    if (reason === undefined || !(error instanceof Error)) throw error;
    // What is about to go is heard of when it is gone; what passes may have passed in the next pass.
    const againAtMs = isForPerson(reason) ? this.#nowMs + AGAIN_MS : this.#nowMs;
    this.#troubles.set(what, { reason, message: error.message, againAtMs });
  }
}

function reasonOf(error: unknown): Trouble['reason'] | undefined {
  if (error instanceof ForeignObject) return 'ForeignObject';
  if (error instanceof LeavingObject) return 'Leaving';
  if (!(error instanceof ApiError) || error.code === 0) return undefined;
  return PASSING.includes(error.code) ? 'Passing' : 'Refused';
}

function isForPerson(reason: Trouble['reason']): reason is 'ForeignObject' | 'Refused' {
  return reason === 'ForeignObject' || reason === 'Refused';
}

/** The plan, which says too what could not be written. */
export function withTroubles(plan: Plan, troubles: Troubles): Plan {
  const known = [...troubles.values()];
  const waiting = known.find(({ reason }) => !isForPerson(reason));
  const bad = known.flatMap(({ reason, message }) =>
    isForPerson(reason) ? [{ reason, message }] : [],
  );
  const [first] = [...bad.filter(({ reason }) => reason === 'ForeignObject'), ...bad];
  const operation = waiting && ({ type: 'Repair', message: waiting.message } as const);
  const requeueAfterMs = Math.min(plan.requeueAfterMs, waiting ? LOOK_LATER_MS : Infinity);
  const told = { ...(operation && { operation }), ...plan, requeueAfterMs };
  if (first === undefined || plan.stalled !== undefined) return told;
  const more = bad.length > 1 ? ` (and ${String(bad.length - 1)} more)` : '';
  return { ...told, stalled: { reason: first.reason, message: `${first.message}${more}` } };
}
