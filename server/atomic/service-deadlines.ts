import type { Clock } from '../raft/index.ts';

/** How late a deadline may be noticed. */
const SWEEP_INTERVAL_MS = 20;

/** Something with a deadline, in the clock's milliseconds. */
export type Waiting = { readonly deadline: number; readonly expire: () => void };

/** Notices passed deadlines, with one timer for all, which runs only while something waits. */
export class DeadlineSweep {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `expire` once when the deadline passes, unless removed before. */
  add(waiting: Waiting): void {
    this.#waiting.add(waiting);
    if (this.#cancel === undefined) this.#arm();
  }

  remove(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    if (this.#closed) this.closeWhenIdle();
  }

  /** Stops the timer as soon as nothing waits any more. */
  closeWhenIdle(): void {
    this.#closed = true;
    if (this.#waiting.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(): void {
    this.#cancel = this.#clock.after(SWEEP_INTERVAL_MS, () => {
      this.#cancel = undefined;
      this.#sweep();
      if (this.#waiting.size > 0) this.#arm();
    });
  }

  #sweep(): void {
    const now = this.#clock.now();
    for (const waiting of this.#waiting) {
      if (waiting.deadline > now) continue;
      this.#waiting.delete(waiting);
      waiting.expire();
    }
  }
}
