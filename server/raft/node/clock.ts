import { MonotonicMs } from '../core/ids.ts';

/** Time and timers as the node sees them; the simulator has its own. Wall time never appears. */
export type Clock = {
  now(): MonotonicMs;
  /** Runs `callback` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, callback: () => void): () => void;
  /** Runs `callback` once what has already arrived (one poll phase of the loop) was handled. */
  afterPendingInput(callback: () => void): void;
};

/** The process's monotonic clock and timers. Timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => MonotonicMs(performance.now()),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  },
  afterPendingInput(callback) {
    setImmediate(callback);
  },
};
