import type { Clock } from '../raft/index.ts';

/** How long a long job may hold the event loop at a time. */
const TURN_MS_MAX = 5;

/** Cuts a long job into turns of the event loop, so that heartbeats and calls go on beside it. */
export class TurnBudget {
  readonly #clock: Clock;
  #startedAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAt = clock.now();
  }

  /** Whether it is time to `pause`. */
  get spent(): boolean {
    return this.#clock.now() - this.#startedAt >= TURN_MS_MAX;
  }

  /** Lets everything else that waits run first. */
  async pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#clock.afterPendingInput(resolve);
    });
    this.#startedAt = this.#clock.now();
  }
}
