import type { Prng } from '../core/prng.ts';
import type { Clock } from './clock.ts';

/** Saves a snapshot every so often; the first time at a random moment, so that peers spread out. */
export class SnapshotTimer {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #save: () => void;
  #cancel: () => void = () => undefined;
  #dueAt: number | undefined;

  constructor(clock: Clock, intervalMs: number, save: () => void) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#save = save;
  }

  start(prng: Prng): void {
    if (this.#intervalMs > 0) this.#arm(1 + prng.next() * (this.#intervalMs - 1));
  }

  /** Milliseconds until the next save; undefined: none is planned. */
  remainingMs(): number | undefined {
    return this.#dueAt === undefined ? undefined : Math.max(0, this.#dueAt - this.#clock.now());
  }

  stop(): void {
    this.#cancel();
    this.#dueAt = undefined;
  }

  #arm(delayMs: number): void {
    this.#dueAt = this.#clock.now() + delayMs;
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#save();
      this.#arm(this.#intervalMs);
    });
  }
}
