import type { Clock } from '../../../operator/controller/clock.ts';
import { settled } from '../manual-clock.ts';

type Timer = { readonly at: number; readonly callback: () => void };

/** A clock that moves only when the test says so, from one due timer to the next. */
export class FakeClock implements Clock {
  readonly #wallOffsetMs: number;
  readonly #timers = new Set<Timer>();
  #now = 0;

  /** @param start the time of day at the beginning. */
  constructor(start = '2026-01-01T00:00:00Z') {
    this.#wallOffsetMs = Date.parse(start);
  }

  now(): number {
    return this.#now;
  }

  wallTime(): Date {
    return new Date(this.#wallOffsetMs + this.#now);
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the next timer is due; undefined when none waits. */
  nextIn(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : next.at - this.#now;
  }

  /** Moves time on and fires what comes due, letting all that follows from each happen. */
  async advance(durationMs: number): Promise<void> {
    const end = this.#now + durationMs;
    await settled();
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) {
      this.#now = next.at;
      this.#timers.delete(next);
      next.callback();
      await settled();
    }
    this.#now = end;
  }

  #next(): Timer | undefined {
    return [...this.#timers].sort((a, b) => a.at - b.at)[0];
  }
}
