/** Sweeps are at least this far apart, so that many close deadlines cost one sweep. */
const SWEEP_PAUSE_MIN_MS = 5;

/**
 * One timer for the deadlines of all operations. `sweep` ends what is due and returns the earliest
 * deadline left (Infinity when there is none).
 */
export class DeadlineTimer implements Disposable {
  readonly #sweep: (now: number) => number;
  #at = Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(sweep: (now: number) => number) {
    this.#sweep = sweep;
  }

  /** Makes sure that a sweep happens at `deadline` (in `performance.now()` milliseconds). */
  add(deadline: number): void {
    if (deadline >= this.#at) return;
    this.#at = deadline;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#due, Math.max(0, Math.ceil(deadline - performance.now())));
  }

  readonly #due = (): void => {
    const now = performance.now();
    this.#at = Infinity;
    const next = this.#sweep(now);
    if (next !== Infinity) this.add(Math.max(next, now + SWEEP_PAUSE_MIN_MS));
  };

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#at = -Infinity;
  }
}
