import { setImmediate as nextTurn } from 'node:timers';
import type { SimulationRandom } from './random.ts';

type Scheduled = {
  readonly at: number;
  /** Random: events of the same instant come in an order of their own in each seed. */
  readonly tie: number;
  readonly callback: () => void;
  cancelled: boolean;
};

/**
 * Virtual time and everything that is going to happen in it. One event runs at a time, and all
 * promises it resolved have run their course before the next one starts: a run depends on nothing
 * but its seed. Times are milliseconds.
 */
export class Scheduler {
  readonly #heap: Scheduled[] = [];
  readonly #random: SimulationRandom;
  #now = 0;
  #events = 0;
  #stopped = false;
  /** Called after each event, once everything it caused has run. */
  afterEvent: () => void = () => undefined;

  constructor(random: SimulationRandom) {
    this.#random = random;
  }

  /** Virtual milliseconds since the start. */
  now(): number {
    return this.#now;
  }

  /** How many events have run. */
  events(): number {
    return this.#events;
  }

  /** Runs `callback` after `delayMs`; the returned function cancels it. */
  after(delayMs: number, callback: () => void): () => void {
    const at = this.#now + Math.max(0, delayMs);
    const scheduled = { at, tie: this.#random.bits(), callback, cancelled: false };
    this.#push(scheduled);
    return () => {
      scheduled.cancelled = true;
    };
  }

  /** Resolves after `delayMs`. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve);
    });
  }

  /** Ends the run under way after the present event. */
  stop(): void {
    this.#stopped = true;
  }

  /** Lets virtual time pass up to `untilMs`, or until `stop`. Rejects with what an event throws. */
  run(untilMs: number): Promise<void> {
    this.#stopped = false;
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        try {
          this.afterEvent();
          if (this.#stopped || !this.#runNext(untilMs)) resolve();
          // A turn of the real loop is the one way to let every microtask run first.
          else nextTurn(turn);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      nextTurn(turn);
    });
  }

  #runNext(untilMs: number): boolean {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.at > untilMs) {
        this.#now = Math.max(this.#now, untilMs);
        return false;
      }
      this.#pop();
      if (first.cancelled) continue;
      this.#now = first.at;
      this.#events++;
      first.callback();
      return true;
    }
  }

  #push(scheduled: Scheduled): void {
    const heap = this.#heap;
    let child = heap.length;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(scheduled, above)) break;
      heap[child] = above;
      child = parent;
    }
    heap[child] = scheduled;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let parent = 0;
    for (;;) {
      const left = 2 * parent + 1;
      const leftChild = heap[left];
      if (leftChild === undefined) break;
      const rightChild = heap[left + 1];
      const isRight = rightChild !== undefined && isBefore(rightChild, leftChild);
      const smaller = isRight ? rightChild : leftChild;
      if (!isBefore(smaller, last)) break;
      heap[parent] = smaller;
      parent = isRight ? left + 1 : left;
    }
    heap[parent] = last;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.at === b.at ? a.tie < b.tie : a.at < b.at;
}
