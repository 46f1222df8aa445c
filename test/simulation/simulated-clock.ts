import { MonotonicMs } from '../../server/raft/core/ids.ts';
import type { Clock } from '../../server/raft/node/clock.ts';
import type { ProcessGate } from './process-gate.ts';
import type { Scheduler } from './scheduler.ts';

/** How long one poll phase of the simulated loop takes. */
const POLL_MS = 0.02;

/** The monotonic clock of one process: starts anywhere, and runs too fast or too slow. */
export class SimulatedClock implements Clock {
  readonly #scheduler: Scheduler;
  readonly #gate: ProcessGate;
  readonly #rate: number;
  readonly #startMs: number;

  /** `rate` 1.05: a minute on this clock takes 57 s. `startMs`: what it shows at time 0. */
  constructor(
    scheduler: Scheduler,
    gate: ProcessGate,
    skew: { readonly rate: number; readonly startMs: number },
  ) {
    this.#scheduler = scheduler;
    this.#gate = gate;
    this.#rate = skew.rate;
    this.#startMs = skew.startMs;
  }

  now(): MonotonicMs {
    return MonotonicMs(this.#startMs + this.#scheduler.now() * this.#rate);
  }

  after(delayMs: number, callback: () => void): () => void {
    let cancelled = false;
    const run = (): void => {
      if (!cancelled) callback();
    };
    const cancel = this.#scheduler.after(delayMs / this.#rate, () => {
      this.#gate.enter('timer', run);
    });
    return () => {
      cancelled = true;
      cancel();
    };
  }

  afterPendingInput(callback: () => void): void {
    this.#scheduler.after(POLL_MS, () => {
      this.#gate.enter('afterInput', callback);
    });
  }
}
