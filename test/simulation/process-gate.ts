import type { Scheduler } from './scheduler.ts';

/** What may reach a process, in the order in which its loop handles what piled up. */
export type InputKind = 'timer' | 'input' | 'afterInput';

const ORDER: readonly InputKind[] = ['timer', 'input', 'afterInput'];

/**
 * Everything that enters one simulated process passes here: while it is paused (SIGSTOP, a stalled
 * loop) it piles up, and comes all at once afterwards, timers first as in the real loop; once the
 * process is dead nothing enters any more.
 */
export class ProcessGate {
  readonly #scheduler: Scheduler;
  #state: 'running' | 'paused' | 'resuming' | 'dead' = 'running';
  readonly #waiting: Readonly<Record<InputKind, (() => void)[]>> = {
    timer: [],
    input: [],
    afterInput: [],
  };

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  isAlive(): boolean {
    return this.#state !== 'dead';
  }

  isPaused(): boolean {
    return this.#state === 'paused';
  }

  /** Hands `callback` to the process now, or when it runs again; never once it is dead. */
  enter(kind: InputKind, callback: () => void): void {
    if (this.#state === 'running') callback();
    else if (this.#state !== 'dead') this.#waiting[kind].push(callback);
  }

  pause(): void {
    if (this.#state !== 'dead') this.#state = 'paused';
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'resuming';
    this.#scheduler.after(0, this.#handleNext);
  }

  kill(): void {
    this.#state = 'dead';
    for (const kind of ORDER) this.#waiting[kind].length = 0;
  }

  readonly #handleNext = (): void => {
    if (this.#state !== 'resuming') return;
    const kind = ORDER.find((one) => this.#waiting[one].length > 0);
    const callback = kind === undefined ? undefined : this.#waiting[kind].shift();
    if (callback === undefined) {
      this.#state = 'running';
      return;
    }
    this.#scheduler.after(0, this.#handleNext);
    callback();
  };
}
