/** Time and timers as the controllers see them; tests have their own. */
export type Clock = {
  /** Milliseconds of a clock that only goes forward; the origin means nothing. */
  now(): number;
  /** Runs `callback` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, callback: () => void): () => void;
  /** The time of day: for what people read, never for decisions. */
  wallTime(): Date;
};

/** The process's clocks. Timers keep the process alive: whoever waits for one is at work. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
  wallTime: () => new Date(),
};

/** Resolves after `delayMs`, or as soon as `signal` fires. */
export function delay(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || delayMs <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      cancel();
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = clock.after(delayMs, finish);
    signal.addEventListener('abort', finish);
  });
}
