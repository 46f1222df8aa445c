import type { Clock } from '../../../operator/controller/clock.ts';

const TICK_MS = 10;
/** How many milliseconds go by here in one of the real ones. */
const SPEED = 10;

type Timer = { readonly atMs: number; readonly callback: () => void };

/**
 * Time that goes by faster than outside, so that grace periods are short. It moves in small steps,
 * one for each turn that the process gets: on a busy machine it slows down instead of letting
 * everything be late.
 */
export class QuickTime implements Disposable {
  readonly #interval: NodeJS.Timeout;
  readonly #clocks = new Set<QuickClock>();
  #nowMs = 0;

  constructor() {
    this.#interval = setInterval(() => {
      this.#nowMs += TICK_MS * SPEED;
      for (const clock of this.#clocks) clock.fire(this.#nowMs);
    }, TICK_MS);
  }

  now(): number {
    return this.#nowMs;
  }

  /** A clock whose timers end with `signal`, those to come included. */
  clock(signal: AbortSignal): Clock {
    const clock = new QuickClock(this);
    this.#clocks.add(clock);
    signal.addEventListener('abort', () => {
      this.#clocks.delete(clock);
    });
    return clock;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#interval);
  }
}

class QuickClock implements Clock {
  readonly #time: QuickTime;
  readonly #timers = new Set<Timer>();

  constructor(time: QuickTime) {
    this.#time = time;
  }

  now(): number {
    return this.#time.now();
  }

  wallTime(): Date {
    return new Date();
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.now() + delayMs, callback };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  fire(nowMs: number): void {
    const due = [...this.#timers].filter(({ atMs }) => atMs <= nowMs);
    for (const timer of due.sort((a, b) => a.atMs - b.atMs)) {
      if (this.#timers.delete(timer)) timer.callback();
    }
  }
}
