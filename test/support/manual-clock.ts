import { MonotonicMs } from '../../server/raft/core/ids.ts';
import type { Clock } from '../../server/raft/node/clock.ts';

type Timer = { readonly at: number; readonly callback: () => void };

/** A clock that moves only when the test says so. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<Timer>();

  now(): MonotonicMs {
    return MonotonicMs(this.#now);
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  afterPendingInput(callback: () => void): void {
    setImmediate(callback);
  }

  /** Moves time on and fires what is due, letting everything that follows from it happen. */
  async advance(durationMs: number, stepMs = 10): Promise<void> {
    const end = this.#now + durationMs;
    while (this.#now < end) {
      this.#now += stepMs;
      for (const timer of [...this.#timers].sort((a, b) => a.at - b.at)) {
        if (timer.at > this.#now || !this.#timers.delete(timer)) continue;
        timer.callback();
      }
      await settled();
    }
  }
}

/** Lets promises and immediates that are already on their way finish. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
