import type { Clock } from './clock.ts';

const BASE_DELAY_MS = 5;
const MAX_DELAY_MS = 300_000;

/** What a queue tells about itself; durations in seconds, as Prometheus wants them. */
export type QueueMetrics = {
  added(depth: number): void;
  taken(waitedSeconds: number, depth: number): void;
  finished(workedSeconds: number): void;
  retried(): void;
};

export type WorkQueueOptions = {
  readonly clock: Clock;
  /** Delay of the first rate-limited add of a key; each further one doubles it. Default 5. */
  readonly baseDelayMs?: number;
  /** The longest delay of a rate-limited add. Default 300,000. */
  readonly maxDelayMs?: number;
  readonly metrics?: QueueMetrics;
};

type Pending = { readonly at: number; readonly cancel: () => void };

/**
 * Keys of objects to look at, after client-go's workqueue: a key waits at most once however often
 * it is added, is never handed out while it is in work, and one added meanwhile comes again after
 * `done`. Its bound is thus the number of objects; nothing is ever refused.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #baseDelayMs: number;
  readonly #maxDelayMs: number;
  readonly #metrics: QueueMetrics | undefined;
  /** Keys ready to be taken and since when, oldest first. */
  readonly #ready = new Map<string, number>();
  /** Keys in work and since when. */
  readonly #processing = new Map<string, number>();
  /** Keys added while they were in work. */
  readonly #again = new Set<string>();
  readonly #delayed = new Map<string, Pending>();
  readonly #failures = new Map<string, number>();
  readonly #takers: ((key: string | undefined) => void)[] = [];
  readonly #drained = Promise.withResolvers<undefined>();
  #isShutDown = false;

  constructor({ clock, baseDelayMs, maxDelayMs, metrics }: WorkQueueOptions) {
    this.#clock = clock;
    this.#baseDelayMs = baseDelayMs ?? BASE_DELAY_MS;
    this.#maxDelayMs = maxDelayMs ?? MAX_DELAY_MS;
    this.#metrics = metrics;
  }

  /** Keys that are ready and wait for a worker. */
  get length(): number {
    return this.#ready.size;
  }

  /** Makes `key` ready, unless it is. Ignored after shutdown. */
  add(key: string): void {
    if (this.#isShutDown || this.#ready.has(key)) return;
    if (this.#processing.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#ready.set(key, this.#clock.now());
    this.#metrics?.added(this.#ready.size);
    const taker = this.#takers.shift();
    if (taker !== undefined) taker(this.#take());
  }

  /** Adds `key` after `delayMs`; of several such requests the earliest counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#isShutDown) return;
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    const at = this.#clock.now() + delayMs;
    const pending = this.#delayed.get(key);
    if (pending !== undefined && pending.at <= at) return;
    pending?.cancel();
    const cancel = this.#clock.after(delayMs, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { at, cancel });
  }

  /** Adds `key` after a delay that doubles with every call until `forget`. */
  addRateLimited(key: string): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#metrics?.retried();
    this.addAfter(key, Math.min(this.#maxDelayMs, this.#baseDelayMs * 2 ** failures));
  }

  /** The next rate-limited add of `key` is its first again. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** Rate-limited adds of `key` since it was last forgotten. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** The next key, to be given back with `done`; undefined once the queue is shut down. */
  get(): Promise<string | undefined> {
    if (this.#isShutDown) return Promise.resolve(undefined);
    if (this.#ready.size > 0) return Promise.resolve(this.#take());
    return new Promise((resolve) => {
      this.#takers.push(resolve);
    });
  }

  /** Ends the work on a key got from `get`. */
  done(key: string): void {
    const since = this.#processing.get(key);
    if (since === undefined) return;
    this.#processing.delete(key);
    this.#metrics?.finished(this.#secondsSince(since));
    if (this.#again.delete(key)) this.add(key);
    this.#resolveIfDrained();
  }

  /** Hands out nothing any more: what waits is dropped, what is in work goes on. */
  shutDown(): void {
    this.#isShutDown = true;
    for (const { cancel } of this.#delayed.values()) cancel();
    this.#delayed.clear();
    this.#ready.clear();
    this.#again.clear();
    for (const taker of this.#takers.splice(0)) taker(undefined);
    this.#resolveIfDrained();
  }

  /** Resolves when the queue is shut down and nothing is in work. */
  drained(): Promise<void> {
    return this.#drained.promise;
  }

  #take(): string | undefined {
    for (const [key, since] of this.#ready) {
      this.#ready.delete(key);
      this.#processing.set(key, this.#clock.now());
      this.#metrics?.taken(this.#secondsSince(since), this.#ready.size);
      return key;
    }
    return undefined;
  }

  #resolveIfDrained(): void {
    if (this.#isShutDown && this.#processing.size === 0) this.#drained.resolve(undefined);
  }

  #secondsSince(then: number): number {
    return (this.#clock.now() - then) / 1000;
  }
}
