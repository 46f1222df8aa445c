import type { Operation } from './operation.ts';

/** Operations that wait to be sent, first come first served. */
export class OperationQueue {
  #items: Operation[] = [];

  get size(): number {
    return this.#items.length;
  }

  push(operation: Operation): void {
    this.#items.push(operation);
  }

  /** Puts operations back before all others. */
  putBack(operations: readonly Operation[]): void {
    this.#items = [...operations, ...this.#items];
  }

  /** Removes and returns at most `max` operations; those that are settled are dropped. */
  take(max: number): Operation[] {
    if (this.#items.length <= max) {
      const all = this.#items;
      this.#items = [];
      return all.some(isSettled) ? all.filter((operation) => !operation.settled) : all;
    }
    return this.#items.splice(0, max).filter((operation) => !operation.settled);
  }

  [Symbol.iterator](): Iterator<Operation> {
    return this.#items.values();
  }
}

function isSettled(operation: Operation): boolean {
  return operation.settled;
}
