import { ApiError } from '../controller/api-error.ts';
import type { Plan } from './action.ts';
import { ForeignObject, LeavingObject } from './ownership.ts';

/** What could not be written is tried again after this long. */
export const AGAIN_MS = 10_000;
/** Answers that say nothing of the request: too many, not now, not in time. */
const PASSING = [409, 429, 503, 504];

/** Why an object is not as it should be. */
export type Trouble = {
  readonly reason: 'ForeignObject' | 'Refused' | 'Leaving';
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

  /** Those that the last pass did not have. */
  get news(): readonly Trouble[] {
    return [...this.#troubles]
      .filter(([what, { reason }]) => this.#before.get(what)?.reason !== reason)
      .map(([, trouble]) => trouble);
  }

  /** @throws what is no refusal: conflicts, and that the API server is not there. */
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

  /** Notes a failure. @throws the error, unless it is a refusal. */
  failed(what: string, error: unknown): void {
    const reason = reasonOf(error);
    if (reason === undefined || !(error instanceof Error)) throw error;
    // What is about to go is heard of when it is gone.
    const againAtMs = reason === 'Leaving' ? this.#nowMs : this.#nowMs + AGAIN_MS;
    this.#troubles.set(what, { reason, message: error.message, againAtMs });
  }
}

function reasonOf(error: unknown): Trouble['reason'] | undefined {
  if (error instanceof ForeignObject) return 'ForeignObject';
  if (error instanceof LeavingObject) return 'Leaving';
  const isRefusal = error instanceof ApiError && error.code !== 0 && !PASSING.includes(error.code);
  return isRefusal ? 'Refused' : undefined;
}

/** The plan, which says too what could not be written. */
export function withTroubles(plan: Plan, troubles: Troubles): Plan {
  const known = [...troubles.values()];
  const leaving = known.find(({ reason }) => reason === 'Leaving');
  const bad = known.filter(({ reason }) => reason !== 'Leaving');
  const [first] = [...bad.filter(({ reason }) => reason === 'ForeignObject'), ...bad];
  const operation = leaving && ({ type: 'Repair', message: leaving.message } as const);
  const told = { ...(operation && { operation }), ...plan };
  if (first === undefined || first.reason === 'Leaving' || plan.stalled !== undefined) return told;
  const more = bad.length > 1 ? ` (and ${String(bad.length - 1)} more)` : '';
  return { ...told, stalled: { reason: first.reason, message: `${first.message}${more}` } };
}
